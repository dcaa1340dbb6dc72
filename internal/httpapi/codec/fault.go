package codec

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
)

// bad returns the error of a request that is malformed outside its JSON.
func bad(format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	return &gateway.Error{Kind: gateway.BadRequest, Detail: detail, Faults: []gateway.Fault{{Detail: detail}}}
}

// badAt returns the error of a request whose JSON is wrong at a pointer.
func badAt(at jsontext.Pointer, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	return &gateway.Error{Kind: gateway.BadRequest, Detail: detail, Faults: []gateway.Fault{{Pointer: ijson.Fragment(at), Detail: detail}}}
}

// badJSON returns the error of a request whose JSON, which is the value at a pointer,
// ijson refuses. Other errors are left as they are.
func badJSON(at jsontext.Pointer, err error) error {
	if wrong, ok := errors.AsType[*ijson.Error](err); ok {
		return badAt(at+wrong.Pointer, "%s", wrong.Detail)
	}
	return err
}
