package codec

import (
	"bytes"
	"hash/maphash"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// names finds members that an object of a long JSON text has twice. The tokenizer
// does that too, but remembers every name: of 64 MiB with eight million members,
// 560 MiB. Here each name costs the eight bytes of a hash, which are sorted; only
// where two are equal are names compared. The hash is seeded at random: no caller
// can choose names that collide.
type names struct {
	src  []byte // valid JSON
	seed maphash.Seed
}

// duplicate returns where in a valid JSON value a name is that its object has
// already, if there is one.
func duplicate(value []byte) (at jsontext.Pointer, found bool) {
	n := names{value, maphash.MakeSeed()}
	var hashes []uint64
	n.walk(func(hash uint64, _ uint32, _, _ int) { hashes = append(hashes, hash) })
	slices.Sort(hashes)
	for i := 1; i < len(hashes); i++ {
		if hashes[i] == hashes[i-1] {
			if at, found = n.second(hashes[i]); found {
				return at, true
			}
		}
	}
	return "", false
}

// walk calls visit for every name with its hash, which its object is part of, the
// object's number, and where the string is.
func (n names) walk(visit func(hash uint64, object uint32, start, end int)) {
	var open []uint32 // the objects and arrays around, as numbers; an array is 0
	objects, name := uint32(0), false
	for i := 0; i < len(n.src); i++ {
		switch n.src[i] {
		case '{':
			objects++
			open, name = append(open, objects), true
		case '[':
			open, name = append(open, 0), false
		case '}', ']':
			open = open[:len(open)-1]
		case ',':
			name = open[len(open)-1] != 0
		case '"':
			start := i
			i = stringEnd(n.src, i)
			if name {
				object := open[len(open)-1]
				// Multiples of the golden ratio tell the same name of two objects apart.
				hash := maphash.Bytes(n.seed, unquoted(n.src[start:i+1])) + uint64(object)*0x9e3779b97f4a7c15
				visit(hash, object, start, i+1)
				name = false
			}
		}
	}
}

// second returns the pointer to the second of two equal names of one object that
// have this hash.
func (n names) second(hash uint64) (at jsontext.Pointer, found bool) {
	type place struct {
		object     uint32
		start, end int
	}
	var met []place
	n.walk(func(h uint64, object uint32, start, end int) {
		if h != hash || found {
			return
		}
		for _, p := range met {
			if p.object == object && bytes.Equal(unquoted(n.src[p.start:p.end]), unquoted(n.src[start:end])) {
				at, found = n.pointer(end), true
				return
			}
		}
		met = append(met, place{object, start, end})
	})
	return at, found
}

// pointer returns the pointer to the name that ends at an offset.
func (n names) pointer(end int) jsontext.Pointer {
	d := jsontext.NewDecoder(bytes.NewBuffer(n.src), jsontext.AllowDuplicateNames(true))
	for d.InputOffset() < int64(end) {
		if _, err := d.ReadToken(); err != nil {
			break
		}
	}
	return d.StackPointer()
}
