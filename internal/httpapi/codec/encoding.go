package codec

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// An Encoding is the form of a frame within JSON. In requests the empty Encoding
// means that the caller named none; in replies it is Auto.
type Encoding string

// The encodings.
const (
	Auto   Encoding = "auto"   // replies alone: Text where nothing of the frame needs an escape that people can't read, else Base64
	Text   Encoding = "text"   // a string that holds the frame, which is UTF-8
	JSON   Encoding = "json"   // the JSON value that the frame holds
	Base64 Encoding = "base64" // the frame in base64 (RFC 4648 §4)
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
	dst = append(dst, '[')
	for i, frame := range frames {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFrame(dst, frame, as)
	}
	return append(dst, ']')
}

func appendFrame(dst, frame []byte, as Encoding) []byte {
	const data, text, json, base64 = `{"data":`, `,"encoding":"text"}`, `,"encoding":"json"}`, `,"encoding":"base64"}`
	dst = append(dst, data...)
	if as == JSON {
		if value, ok := appendCompact(dst, frame); ok {
			return append(value, json...)
		}
	}
	if as == Text && validUTF8(frame) || as != Base64 && isText(frame) {
		return append(appendString(dst, frame), text...)
	}
	dst = append(dst, '"')
	dst = encoding64.AppendEncode(dst, frame)
	return append(append(dst, '"'), base64...)
}

// appendString appends s, which should be UTF-8, as a JSON string; what is not
// UTF-8 in it is replaced by U+FFFD.
func appendString[Bytes ~[]byte | ~string](dst []byte, s Bytes) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}
