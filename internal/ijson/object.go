package ijson

import (
	"github.com/go-json-experiment/json/jsontext"
)

// An Object is the text of one JSON object that has been checked. It is a member of some
// document, so it has one level less than that may have. The zero Object is none at all.
type Object struct{ text []byte }

// ParseObject checks that text is one object. The error is an *Error. The Object
// shares the text, which must not change.
func ParseObject(text []byte) (Object, error) { return ParseObjectIn(text, nil) }

// ParseObjectIn is ParseObject by a Decoder with that Room.
func ParseObjectIn(text []byte, room Room) (Object, error) {
	d := NewDecoder(text)
	defer d.Free()
	d.outer, d.Room = 1, room
	o, err := d.Object()
	if err == nil {
		err = d.End()
	}
	if err != nil {
		return Object{}, err
	}
	return o, nil
}

// MustObject is ParseObject of a text that is known to be one object.
func MustObject(text string) Object {
	o, err := ParseObject([]byte(text))
	if err != nil {
		panic(err)
	}
	return o
}

// Object reads the next value, which must be an object.
func (d *Decoder) Object() (Object, error) {
	value, err := d.Value()
	if err != nil {
		return Object{}, err
	}
	if kind := value.Kind(); kind != jsontext.KindBeginObject {
		return Object{}, &Error{d.Pointer(), "it is " + Describe(kind) + ", want an object"}
	}
	return Object{value}, nil
}

// Empty is the object without members.
var Empty = MustObject("{}")

// IsZero reports whether there is no object.
func (o Object) IsZero() bool { return o.text == nil }

// Text returns the text of the object as it was written, or nil of the zero Object.
// Do not write to it.
func (o Object) Text() []byte { return o.text }

// String returns the text of the object.
func (o Object) String() string { return string(o.text) }

// PointerAt returns where in the object the token is that begins at an offset of its
// text. It walks there again, so that only what fails pays for keeping track.
func (o Object) PointerAt(offset int) jsontext.Pointer {
	d := NewDecoder(o.text)
	defer d.Free()
	for d.d.InputOffset() <= int64(offset) && d.Token() == nil {
	}
	return d.Pointer()
}

// Describe names a kind of JSON value as people do.
func Describe(kind jsontext.Kind) string {
	switch kind {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginArray:
		return "an array"
	}
	return "an object"
}
