// Package ijson reads JSON text that all parsers read alike (I-JSON, RFC 7493): UTF-8
// without lone surrogates, no member twice in an object, and at most MaxDepth levels.
//
// A Decoder hands out values as they are written; an Object is a text that has been
// checked once. The package does not convert values: that is left to those who need
// them. Memory is at most a small multiple of the text.
package ijson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how many levels of objects and arrays a text may have, the outermost
// included. CPython's parser of literals ends at 200.
const MaxDepth = 64

// maxPointer bounds the pointers in errors: a text may consist of one long name.
const maxPointer = 256

// An Error says what is wrong with a text, and where.
type Error struct {
	Pointer jsontext.Pointer
	Detail  string
}

// Error returns the detail and its place.
func (e *Error) Error() string { return Fragment(e.Pointer) + ": " + e.Detail }

// ErrEmpty is the *Error of a text without a value.
var ErrEmpty error = &Error{"", "the JSON is empty"}

// wrong makes an Error of one of the tokenizer.
func wrong(err error) error {
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case !ok: // io.EOF: there is not even a value
		return ErrEmpty
	case syntax.Err == io.ErrUnexpectedEOF:
		return &Error{syntax.JSONPointer, "the JSON ends too early"}
	}
	return &Error{syntax.JSONPointer, fmt.Sprintf("%v, at byte %d", syntax.Err, syntax.ByteOffset)}
}

// Fragment returns a pointer as a URI fragment (RFC 6901 §6). One that is too long
// is cut to the longest value around it whose pointer is not.
func Fragment(p jsontext.Pointer) string {
	for len(p) > maxPointer {
		p = p.Parent()
	}
	u := url.URL{Fragment: string(p)}
	return "#" + u.EscapedFragment()
}

// Unquote returns what a valid JSON string means: a part of it if it has no escapes.
func Unquote(literal []byte) []byte {
	if bytes.IndexByte(literal, '\\') < 0 {
		return literal[1 : len(literal)-1]
	}
	s, _ := jsontext.AppendUnquote(nil, literal)
	return s
}
