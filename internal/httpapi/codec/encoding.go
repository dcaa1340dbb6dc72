package codec

import (
	"fmt"
	"unicode/utf8"
)

// An Encoding is the form of a frame within JSON. In replies the empty Encoding
// is Auto; in requests it means that the caller named none.
type Encoding string

// The encodings.
const (
	Auto   Encoding = "auto"   // replies alone: Text if people can read the frame, else Base64
	Text   Encoding = "text"   // a string that is the frame
	JSON   Encoding = "json"   // the JSON value that the frame holds
	Base64 Encoding = "base64" // a string that is the frame in base64 (RFC 4648 §4)
)

// ParseEncoding returns the encoding of that name for replies: auto, text, json
// or base64.
func ParseEncoding(name string) (Encoding, error) {
	switch e := Encoding(name); e {
	case Auto, Text, JSON, Base64:
		return e, nil
	}
	return "", fmt.Errorf("reply is %q, want one of auto, text, json, base64", name)
}

// AppendFrames appends the JSON array of frames to dst:
//
//	[{"data":"hello","encoding":"text"},{"data":"AP+A","encoding":"base64"}]
//
// A frame that can't be given in the encoding asked for is given as Auto would
// give it: each frame names its own encoding, and a reply that some worker
// computed for minutes must not be lost for one frame that is no JSON. The text
// has no line breaks, so that it fits into an event of a stream.
func AppendFrames(dst []byte, frames [][]byte, as Encoding) []byte {
	out := output{b: dst}
	out.frames(frames, as)
	return out.b
}

// encodingFor returns the encoding that a frame is given in if as is asked for.
func encodingFor(frame []byte, as Encoding) Encoding {
	switch {
	case as == Base64, as == Text && utf8.Valid(frame):
		return as
	case as == JSON && isValue(frame):
		return as
	case isText(frame):
		return Text
	}
	return Base64
}
