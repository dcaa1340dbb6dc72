package flowgraph

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// An Error says why a JSON object can't be a vars frame.
type Error struct {
	Pointer string // where, relative to the object, as a fragment (RFC 6901 §6): "#/sf"; "#" is the whole
	Detail  string // what is wrong there, for the caller

	// Range is set if the text may be good JSON, but is longer than MaxSize or has
	// a number that workers can't hold. Otherwise the text is malformed.
	Range bool
}

// Error returns the detail and its place.
func (e *Error) Error() string { return e.Pointer + ": " + e.Detail }

// Pointer returns the JSON pointer that leads through tokens, names of members
// or indices of elements, as a fragment (RFC 6901 §6).
func Pointer(tokens ...string) string {
	var p jsontext.Pointer
	for _, token := range tokens {
		p = p.AppendToken(token)
	}
	return fragment(p)
}

func fragment(p jsontext.Pointer) string {
	u := url.URL{Fragment: string(p)}
	return "#" + u.EscapedFragment()
}

// pointerAt returns where in object, which is valid, the token is that begins at
// offset. It walks there again, so that only what fails pays for keeping track.
func pointerAt(object []byte, offset int) string {
	d := newDecoder(object)
	for d.InputOffset() <= int64(offset) {
		if _, err := d.ReadToken(); err != nil {
			break
		}
	}
	return fragment(d.StackPointer())
}

// newDecoder returns a decoder of object that leaves duplicate names to members,
// which needs no allocation for each. The decoder does not write to object.
func newDecoder(object []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(object), jsontext.AllowDuplicateNames(true))
}

// malformed returns the error of the tokenizer as one of ours.
func malformed(err *jsontext.SyntacticError) *Error {
	tokens := strings.SplitN(string(err.JSONPointer), "/", MaxDepth+2)
	if len(tokens) > MaxDepth+1 {
		// The fault is deeper than anything may be, and so would its pointer be long.
		p := strings.Join(tokens[:MaxDepth+1], "/")
		return &Error{Pointer: fragment(jsontext.Pointer(p)), Detail: tooDeep}
	}
	detail := err.Err.Error()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		detail = "the text ends too early"
	}
	return &Error{Pointer: fragment(err.JSONPointer), Detail: detail}
}
