package flowgraph

import (
	"bytes"
	"hash/maphash"
	"math/bits"

	"github.com/go-json-experiment/json/jsontext"
)

// maxFirstTable bounds the table that is made before any name has been seen: a
// long text of colons must not cost more memory than its names would.
const maxFirstTable = 1 << 14

// members is the set of the names of all members of all objects of one JSON
// text. The tokenizer can find duplicates too, but allocates for each name of a
// large object; this is one table. Its hash is seeded at random: no caller can
// choose names that collide.
type members struct {
	src   []byte
	seed  maphash.Seed
	slots []member // open addressing, at most half full; their number is a power of two
	used  int
}

// A member is a name and the object that it is in. It is small, because a hostile
// text may have millions; MaxSize keeps its numbers in range.
type member struct {
	hash   uint32 // of both
	object uint32 // counted from 1; 0 is a free slot
	start  uint32 // of the name's literal in src
}

// newMembers returns an empty set. There are at most as many names as colons, so
// the table of an ordinary text never grows.
func newMembers(src []byte) members {
	slots := 2 << bits.Len(uint(bytes.Count(src, []byte{':'})))
	return members{src: src, seed: maphash.MakeSeed(), slots: make([]member, min(slots, maxFirstTable))}
}

// add adds the name whose literal is src[start:end] to an object, and reports
// false if the object has it already. A plain literal has no escapes.
func (m *members) add(object uint32, start, end int, plain bool) bool {
	if 2*m.used >= len(m.slots) {
		m.grow()
	}
	name := m.src[start+1 : end-1]
	if !plain {
		name = unescape(m.src[start:end])
	}
	// Multiples of the golden ratio spread one name of many objects over the table.
	hash := uint32(maphash.Bytes(m.seed, name)) + object*0x9e3779b1
	slot := m.find(hash, object, name)
	if slot.object != 0 {
		return false
	}
	*slot = member{hash, object, uint32(start)}
	m.used++
	return true
}

// find returns the slot of that name of that object, or else a free one.
func (m *members) find(hash, object uint32, name []byte) *member {
	shift := 33 - bits.Len(uint(len(m.slots)))
	for i := hash >> shift; ; i++ {
		slot := &m.slots[i&uint32(len(m.slots)-1)]
		if slot.object == 0 || slot.hash == hash && slot.object == object && m.named(slot, name) {
			return slot
		}
	}
}

func (m *members) named(slot *member, name []byte) bool {
	end, _ := stringEnd(m.src, int(slot.start))
	return bytes.Equal(unescape(m.src[slot.start:end]), name)
}

func (m *members) grow() {
	old := m.slots
	m.slots = make([]member, 2*len(old))
	for _, slot := range old {
		if slot.object != 0 {
			*m.find(slot.hash, 0, nil) = slot // 0: no two are equal, any free slot will do
		}
	}
}

// unescape returns what a valid JSON string means.
func unescape(literal []byte) []byte {
	name, _ := jsontext.AppendUnquote(nil, literal)
	return name
}
