package codec

import (
	"encoding/base64"
	"encoding/binary"
	"io"
	"slices"
	"sync"

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
		o.dense(frame)
	case gateway.Text:
		o.b = append(o.b, '"')
		o.text(frame)
		o.b = append(o.b, '"')
	default:
		o.b = append(o.b, '"')
		o.base64(frame)
		o.b = append(o.b, '"')
	}
	o.b = append(append(append(o.b, `,"encoding":"`...), as...), `"}`...)
}

// text adds what is between the quotes of a string. A piece may end within a
// character: escapes stand for single bytes.
func (o *output) text(s []byte) {
	for len(s) > piece {
		o.b = appendEscaped(o.b, s[:piece])
		s = s[piece:]
		o.spill()
	}
	o.b = appendEscaped(o.b, s)
}

func (o *output) base64(s []byte) {
	for len(s) > piece {
		o.b = base64.StdEncoding.AppendEncode(o.b, s[:piece])
		s = s[piece:]
		o.spill()
	}
	o.b = base64.StdEncoding.AppendEncode(o.b, s)
}

// dense adds a valid JSON value without the white space between its tokens, and
// otherwise as it is written: order, numbers and escapes are the sender's.
func (o *output) dense(value []byte) {
	for len(value) > 0 {
		at := nextSpace(value)
		kept := value[:at]
		for len(kept) > piece && o.w != nil {
			o.b = append(o.b, kept[:piece]...)
			kept = kept[piece:]
			o.spill()
		}
		o.b = append(o.b, kept...)
		value = value[min(at+1, len(value)):]
	}
}

// nextSpace returns where the first white space between the tokens of a JSON text
// is, or its length.
func nextSpace(text []byte) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
		case ' ', '\t', '\n', '\r':
			return i
		}
	}
	return len(text)
}

// appendEscaped appends UTF-8, or a part of it, as it is written in a JSON string.
func appendEscaped(dst, s []byte) []byte {
	for {
		plain := plainRun(s)
		dst = append(dst, s[:plain]...)
		if plain == len(s) {
			return dst
		}
		dst = appendEscape(dst, s[plain])
		s = s[plain+1:]
	}
}

// plainRun returns how many bytes of s come before the first that a JSON string has
// only as an escape.
func plainRun(s []byte) int {
	i := 0
	for len(s)-i >= 8 && verbatim(binary.LittleEndian.Uint64(s[i:])) {
		i += 8
	}
	for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}

// verbatim reports whether none of eight bytes needs an escape. A borrow goes only from
// a byte that does.
func verbatim(word uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quotes, slashes := word^'"'*ones, word^'\\'*ones
	return ((word-' '*ones)&^word|(quotes-ones)&^quotes|(slashes-ones)&^slashes)&tops == 0
}

// appendEscape appends the escape of a byte that needs one.
func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
