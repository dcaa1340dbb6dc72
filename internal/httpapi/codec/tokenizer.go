package codec

import (
	"bytes"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// maxKept is the length of the longest body whose tokenizer is used again. It may
// hold on to as much as the names of the body.
const maxKept = 64 << 10

// A tokenizer reads JSON. It is used again and again, since what it allocates was
// most of what a small call cost.
type tokenizer struct {
	d  jsontext.Decoder
	in bytes.Buffer
}

var tokenizers = sync.Pool{New: func() any { return new(tokenizer) }}

// read begins to read src: where it is, since that is what the decoder does with a
// bytes.Buffer, and without writing to it. If src is longer than maxKept the caller
// must look for duplicate names.
func (t *tokenizer) read(src []byte) {
	t.in = *bytes.NewBuffer(src)
	if len(src) <= maxKept {
		t.d.Reset(&t.in)
	} else {
		t.d.Reset(&t.in, jsontext.AllowDuplicateNames(true))
	}
}

// release lets go of a body of that size and leaves t to others.
func (t *tokenizer) release(size int) {
	if size <= maxKept {
		t.read(nil)
		tokenizers.Put(t)
	}
}
