package codec

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/gateway"
)

// maxPointer bounds the pointers in errors: a caller's text may consist of one
// long name.
const maxPointer = 256

const (
	tooDeep = "more than 64 levels of objects and arrays"
	twice   = "the member is there twice"
)

// bad returns the error of a request that is malformed outside its JSON.
func bad(format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	return &gateway.Error{Kind: gateway.BadRequest, Detail: detail, Faults: []gateway.Fault{{Detail: detail}}}
}

// badAt returns the error of a request whose JSON is wrong at a pointer.
func badAt(at jsontext.Pointer, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	return &gateway.Error{Kind: gateway.BadRequest, Detail: detail, Faults: []gateway.Fault{{Pointer: fragment(at), Detail: detail}}}
}

// syntax returns the error of the tokenizer, met in a JSON value that is at a
// pointer, as one of ours.
func syntax(at jsontext.Pointer, err error) error {
	s, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok { // io.EOF: there is not even a value
		return badAt(at, "the JSON is empty")
	}
	at += s.JSONPointer
	if tokens := strings.SplitN(string(at), "/", maxDepth+2); len(tokens) > maxDepth+1 {
		// It would have been refused there already, had it been good.
		return badAt(jsontext.Pointer(strings.Join(tokens[:maxDepth+1], "/")), tooDeep)
	}
	switch s.Err {
	case jsontext.ErrDuplicateName:
		return badAt(at, twice)
	case io.ErrUnexpectedEOF:
		return badAt(at, "the JSON ends too early")
	}
	return badAt(at, "%v, at byte %d", s.Err, s.ByteOffset)
}

// fragment returns a pointer as a URI fragment (RFC 6901 §6). One that is too
// long is cut to the longest value around it whose pointer is not.
func fragment(p jsontext.Pointer) string {
	for len(p) > maxPointer {
		p = p.Parent()
	}
	u := url.URL{Fragment: string(p)}
	return "#" + u.EscapedFragment()
}
