package codec

import (
	"encoding/base64"
	"unicode"
	"unicode/utf8"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
)

// encoding64 is the one form of base64 that is read: the standard alphabet,
// padded, without stray bits. It skips line breaks, which are refused apart.
var encoding64 = base64.StdEncoding.Strict()

// encodingFor returns the encoding that a frame is given in if as is asked for.
func encodingFor(frame []byte, as gateway.Encoding) gateway.Encoding {
	switch {
	case as == gateway.Base64, as == gateway.Text && utf8.Valid(frame):
		return as
	case as == gateway.JSON && ijson.Valid(frame):
		return as
	case isText(frame):
		return gateway.Text
	}
	return gateway.Base64
}

// isText reports whether people can read b: it is UTF-8 and has no control
// characters but tab, line feed and carriage return.
func isText(b []byte) bool {
	for {
		b = b[plainRun(b):]
		if len(b) == 0 {
			return true
		}
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			return false
		case unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r':
			return false
		}
		b = b[n:]
	}
}

// A compactor drops the white space between the tokens of a valid JSON value that comes
// in parts; order, numbers and escapes stay the sender's. jsontext's Compact would hold
// two more copies of the value.
type compactor struct{ quoted, escaped bool }

// append appends the next part of the value to dst.
func (c *compactor) append(dst, part []byte) []byte {
	for _, b := range part {
		switch {
		case c.escaped:
			c.escaped = false
		case b == '"':
			c.quoted = !c.quoted
		case c.quoted:
			c.escaped = b == '\\'
		case b == ' ', b == '\t', b == '\n', b == '\r':
			continue
		}
		dst = append(dst, b)
	}
	return dst
}
