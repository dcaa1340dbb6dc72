package ijson

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// maxName bounds a name, which is held for each level: no program has one that is longer.
const maxName = 64 << 10

// maxKept bounds what a Decoder holds when it is used again.
const maxKept = 64 << 10

// A Decoder reads one JSON text. The values that it returns are parts of the text,
// which it does not write to.
//
// It looks for duplicate names itself: jsontext would allocate for each name, 14 times
// the text in the worst case. Here a name costs eight bytes until its object ends.
type Decoder struct {
	Room Room // if set before the text is read, of what its names take

	d    jsontext.Decoder
	in   bytes.Buffer
	text []byte

	unquoted []byte // the name that was hashed last, if it had escapes

	outer  int               // levels around the text
	hashes []uint64          // of the names of the objects that are open, the outermost first
	open   [MaxDepth + 1]int // by depth: where in hashes the names of the object begin
	begins [MaxDepth + 1]int // by depth: where in text the object or array begins
}

// A Room is asked before a Decoder holds many bytes for the names of open objects. Its error ends the
// reading.
type Room interface{ ForNames(bytes int64) error }

var decoders = sync.Pool{New: func() any { return new(Decoder) }}

// seed makes hashes unpredictable: no caller can choose names that collide.
var seed = maphash.MakeSeed()

// NewDecoder returns a Decoder of text. Free should be called after its last use.
func NewDecoder(text []byte) *Decoder {
	d := decoders.Get().(*Decoder)
	d.reset(text)
	return d
}

func (d *Decoder) reset(text []byte) {
	d.text, d.hashes, d.outer, d.Room = text, d.hashes[:0], 0, nil
	d.in = *bytes.NewBuffer(text) // which jsontext reads without copying it
	d.d.Reset(&d.in, jsontext.AllowDuplicateNames(true))
}

// Valid reports whether text is one value.
func Valid(text []byte) bool {
	d := NewDecoder(text)
	defer d.Free()
	_, err := d.Value()
	return err == nil && d.End() == nil
}

// Free lets go of the text.
func (d *Decoder) Free() {
	if large := len(d.text) > maxKept; large {
		return // jsontext may hold a copy of a long name
	}
	d.reset(nil)
	decoders.Put(d)
}

// Kind returns the kind of the next token; it is KindInvalid where the text is wrong.
func (d *Decoder) Kind() jsontext.Kind { return d.d.PeekKind() }

// Pointer returns where the token is that was read last.
func (d *Decoder) Pointer() jsontext.Pointer { return d.d.StackPointer() }

// Token reads one token. Duplicate names and levels are the caller's to check.
func (d *Decoder) Token() error {
	if _, err := d.d.ReadToken(); err != nil {
		return wrong(err)
	}
	return nil
}

// Member reads the name of the next member of an object, or its end; then name is
// nil. Duplicate names are the caller's to check.
func (d *Decoder) Member() (name []byte, err error) {
	if d.Kind() == jsontext.KindEndObject {
		return nil, d.Token()
	}
	literal, err := d.name()
	if err != nil {
		return nil, err
	}
	return Unquote(literal), nil
}

func (d *Decoder) name() (jsontext.Value, error) {
	literal, err := d.d.ReadValue()
	switch {
	case err != nil:
		return nil, wrong(err)
	case len(literal) > maxName:
		return nil, &Error{"", fmt.Sprintf("a name of %d bytes, want at most %d", len(literal), maxName)}
	}
	return literal, nil
}

// End says what follows the value that was read last.
func (d *Decoder) End() error {
	if _, err := d.d.ReadToken(); err != io.EOF {
		return &Error{"", "more text follows the value"}
	}
	return nil
}

// Value reads the next value, with all that is in it. The levels around it count.
func (d *Decoder) Value() (jsontext.Value, error) {
	if kind := d.Kind(); kind != jsontext.KindBeginObject && kind != jsontext.KindBeginArray {
		value, err := d.d.ReadValue()
		if err != nil {
			return nil, wrong(err)
		}
		return value, nil
	}
	outer := d.d.StackDepth()
	for {
		if err := d.step(); err != nil {
			return nil, err
		}
		if d.d.StackDepth() == outer {
			return d.text[d.begins[outer+1]:d.d.InputOffset()], nil
		}
	}
}

// step reads one token of a value, and checks levels and names.
func (d *Decoder) step() error {
	depth := d.d.StackDepth()
	kind := d.Kind()
	if parent, length := d.d.StackIndex(depth); kind == '"' && parent == '{' && length%2 == 0 {
		name, err := d.name()
		if err != nil {
			return err
		}
		if err := d.roomForName(); err != nil {
			return err
		}
		d.hashes = append(d.hashes, d.hash(name))
		return nil
	}
	if err := d.Token(); err != nil {
		return err
	}
	switch kind {
	case '{', '[':
		if depth+d.outer == MaxDepth {
			return &Error{d.Pointer(), fmt.Sprintf("more than %d levels of objects and arrays", MaxDepth)}
		}
		d.open[depth+1], d.begins[depth+1] = len(d.hashes), int(d.d.InputOffset())-1
	case '}':
		return d.unique(depth)
	}
	return nil
}

// hashSize is the bytes of one hash.
const hashSize = 8

// roomForName makes room for one more hash, beyond what a Decoder keeps for all that can come: a text
// has no more names than colons, and a name takes five bytes of it.
func (d *Decoder) roomForName() error {
	if len(d.hashes) < cap(d.hashes) || cap(d.hashes)*hashSize < maxKept {
		return nil
	}
	rest := d.text[d.d.InputOffset():]
	names := len(d.hashes) + min(bytes.Count(rest, []byte(":")), len(rest)/5) + 1
	if d.Room != nil {
		if err := d.Room.ForNames(int64(names) * hashSize); err != nil {
			return err
		}
	}
	d.hashes = append(make([]uint64, 0, names), d.hashes...)
	return nil
}

// unique looks for a duplicate among the names of the object that has just ended.
func (d *Decoder) unique(depth int) error {
	hashes := d.hashes[d.open[depth]:]
	d.hashes = d.hashes[:d.open[depth]]
	slices.Sort(hashes)
	for i := 1; i < len(hashes); i++ {
		if hashes[i] != hashes[i-1] {
			continue
		}
		object := d.text[d.begins[depth]:d.d.InputOffset()]
		if name, ok := second(object, hashes[i]); ok {
			return &Error{d.Pointer().AppendToken(name), Twice}
		}
	}
	return nil
}

// Twice is the detail of an Error at a duplicate name.
const Twice = "the member is there twice"

// second returns the name of that hash, if a valid object has it twice.
func second(object []byte, h uint64) (name string, found bool) {
	d := NewDecoder(object)
	defer d.Free()
	_ = d.Token()
	var first []byte
	for {
		literal, err := d.d.ReadValue()
		if err != nil { // the object's end
			return "", false
		}
		if d.hash(literal) == h {
			switch name := Unquote(literal); {
			case first == nil:
				first = name
			case bytes.Equal(first, name):
				return string(name), true
			}
		}
		_ = d.d.SkipValue()
	}
}

// hash returns the hash of what a name means.
func (d *Decoder) hash(literal []byte) uint64 {
	if bytes.IndexByte(literal, '\\') < 0 {
		return maphash.Bytes(seed, literal[1:len(literal)-1])
	}
	d.unquoted, _ = jsontext.AppendUnquote(d.unquoted[:0], literal)
	return maphash.Bytes(seed, d.unquoted)
}
