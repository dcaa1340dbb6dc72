package flowgraph

import (
	"fmt"
	"strings"

	"mdpgateway/internal/ijson"
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

// Append appends the vars frame for an object to dst. The members keep their order and
// the numbers their spelling, so that 7 stays an int and 7.0 a float. None appends
// nothing, but checks the object as the others do: what a caller may send does not
// depend on the worker.
//
// It refuses numbers that a worker would misread or die of: ints of more than MaxDigits
// digits and floats out of range. The error is an *ijson.Error, and dst is then returned
// as it was.
func (e Encoding) Append(dst []byte, object ijson.Object) ([]byte, error) {
	w := writer{encoding: e, src: object.Text(), dst: dst}
	if at, fault := w.write(); fault != "" {
		return dst, &ijson.Error{Pointer: object.PointerAt(at), Detail: fault}
	}
	return w.dst, nil
}
