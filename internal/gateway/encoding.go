package gateway

import "fmt"

// An Encoding is the form of a frame within JSON. In replies the empty Encoding
// means Auto; in requests it means that the caller named none.
type Encoding string

// The encodings.
const (
	Auto   Encoding = "auto"   // replies only: Text if the frame is readable, otherwise Base64
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
