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
