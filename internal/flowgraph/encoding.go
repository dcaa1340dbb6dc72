package flowgraph

import (
	"fmt"
	"strings"
)

// An Encoding is the form of the vars frame that a service's workers read.
type Encoding int

// The encodings.
const (
	Python Encoding = iota // what ast.literal_eval reads: {'sf': 7, 'has_crc': False}
	JSON                   // compact JSON: {"sf":7,"has_crc":false}
	None                   // the workers read no vars: no frame is sent
)

// names is indexed by Encoding and never changes.
var names = [...]string{Python: "python", JSON: "json", None: "none"}

// ParseEncoding returns the encoding of that name: python, json or none.
func ParseEncoding(name string) (Encoding, error) {
	for e := range names {
		if names[e] == name {
			return Encoding(e), nil
		}
	}
	return 0, fmt.Errorf("vars is %q, want one of %s", name, strings.Join(names[:], ", "))
}

// String returns the name that ParseEncoding reads.
func (e Encoding) String() string { return names[e] }

// MarshalText and UnmarshalText let flags and files name an encoding.
func (e Encoding) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText sets e to the encoding that text names.
func (e *Encoding) UnmarshalText(text []byte) error {
	parsed, err := ParseEncoding(string(text))
	if err != nil {
		return err
	}
	*e = parsed
	return nil
}

// Append appends the vars frame for object, which must be one JSON object, to
// dst. The members keep their order and the numbers their spelling, so that 7
// stays an int and 7.0 a float. None appends nothing, but checks object as the
// others do: what a caller may send does not depend on the worker.
//
// It refuses what a worker would misread or die of: text that is not I-JSON
// (RFC 7493: UTF-8, no lone surrogates, no duplicate names), more than MaxDepth
// levels, ints of more than MaxDigits digits, floats out of range; and what is
// longer than MaxSize. The error is an *Error, and dst is then returned as it was.
func (e Encoding) Append(dst, object []byte) ([]byte, error) {
	if err := check(object); err != nil {
		return dst, err
	}
	w := writer{encoding: e, src: object, dst: dst, members: newMembers(object)}
	if err := w.write(); err != nil {
		return dst, err
	}
	return w.dst, nil
}
