package codec

import (
	"encoding/base64"
	"io"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/gateway"
)

// piece is how much JSON is made before it is written. A multiple of 3, so that
// base64 can be made of pieces.
const piece = 48 << 10

// outputs are those that nobody uses.
var outputs = sync.Pool{New: func() any { return new(output) }}

// newOutput returns an output with room for about size bytes, or for a piece and
// what comes of it.
func newOutput(size int) *output {
	o := outputs.Get().(*output)
	o.b = slices.Grow(o.b, min(size, 2*piece))
	return o
}

// free leaves o to others, but for one that has grown too large with escapes. It
// must not be called after a write that failed: over HTTP/2 such a write may still
// go on when it has returned.
func (o *output) free() {
	if cap(o.b) <= 4*piece {
		*o = output{b: o.b[:0]}
		outputs.Put(o)
	}
}

// An output is JSON in the making. With a writer it hands on what it has piece by
// piece: JSON may be six times as long as the frames in it, and what a call may
// hold is counted in frames.
type output struct {
	b   []byte    // not yet written
	w   io.Writer // nil: all stays in b
	err error     // of w; after one nothing more is written
}

// spill writes what there is, if it is more than a piece.
func (o *output) spill() {
	if len(o.b) >= piece {
		o.flush()
	}
}

// flush writes what there is.
func (o *output) flush() {
	if o.w == nil {
		return
	}
	if o.err == nil {
		_, o.err = o.w.Write(o.b)
	}
	o.b = o.b[:0]
}

// string adds s as a JSON string. What is not UTF-8 in it is replaced by U+FFFD.
func (o *output) string(s string) { o.b, _ = jsontext.AppendQuote(o.b, s) }

// frames adds the array of frames:
//
//	[{"data":"hello","encoding":"text"},{"data":"AP+A","encoding":"base64"}]
//
// A frame that can't be given in the encoding asked for is given as Auto would
// give it: each frame names its own encoding, and a reply that some worker
// computed for minutes must not be lost for one frame that is no JSON. The text
// has no line breaks, so that it fits into an event of a stream.
func (o *output) frames(frames [][]byte, as gateway.Encoding) {
	o.b = append(o.b, '[')
	for i, frame := range frames {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.frame(frame, encodingFor(frame, as))
		o.spill()
	}
	o.b = append(o.b, ']')
}

// frame adds the object of a frame, which can be given in the encoding as.
func (o *output) frame(frame []byte, as gateway.Encoding) {
	o.b = append(o.b, `{"data":`...)
	switch as {
	case gateway.JSON:
		o.json(frame)
	case gateway.Text:
		o.text(frame)
	default:
		o.base64(frame)
	}
	o.b = append(append(append(o.b, `,"encoding":"`...), as...), `"}`...)
}

// text adds a string of UTF-8.
func (o *output) text(s []byte) {
	o.b = append(o.b, '"')
	for len(s) > 0 {
		n := min(piece, len(s))
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		if plainRun(s[:n]) == n {
			o.b = append(o.b, s[:n]...)
		} else {
			at := len(o.b)
			o.b, _ = jsontext.AppendQuote(o.b, s[:n])
			o.b = append(o.b[:at], o.b[at+1:len(o.b)-1]...) // without its quotes
		}
		o.spill()
		s = s[n:]
	}
	o.b = append(o.b, '"')
}

func (o *output) base64(s []byte) {
	o.b = append(o.b, '"')
	for part := range slices.Chunk(s, piece) {
		o.b = base64.StdEncoding.AppendEncode(o.b, part)
		o.spill()
	}
	o.b = append(o.b, '"')
}

// json adds a valid JSON value without the white space between its tokens.
func (o *output) json(value []byte) {
	var dense compactor
	for part := range slices.Chunk(value, piece) {
		o.b = dense.append(o.b, part)
		o.spill()
	}
}
