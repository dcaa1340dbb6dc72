package codec

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how many levels of objects and arrays a JSON text may have, the
// outermost included. It is the same for what comes in and for what goes out.
const maxDepth = 64

// encoding64 is the one form of base64 that is read and written: the standard
// alphabet, padded, without line breaks and stray bits.
var encoding64 = base64.StdEncoding.Strict()

func validUTF8(b []byte) bool { return utf8.Valid(b) }

// isText reports whether people can read b: it is UTF-8 and has no control
// characters but tab, line feed and carriage return.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b) && !hasC1(b)
}

// hasC1 reports whether b, which is UTF-8, has one of the control characters
// U+0080 to U+009F: the byte C2 and one below A0.
func hasC1(b []byte) bool {
	for i := 1; i < len(b); i++ {
		if b[i-1] == 0xc2 && b[i] < 0xa0 {
			return true
		}
	}
	return false
}

// appendCompact appends a JSON value without the white space between its tokens,
// and otherwise as it is written: order, numbers and escapes are the sender's. It
// reports false, and appends nothing, if value is not one JSON value that all
// parsers read alike (RFC 7493), or one of too many levels.
func appendCompact(dst, value []byte) ([]byte, bool) {
	if !jsontext.Value(value).IsValid() || levels(value) > maxDepth {
		return dst, false
	}
	return appendDense(dst, value), true
}

// appendDense does the work of appendCompact on a value that is valid.
func appendDense(dst, value []byte) []byte {
	kept := 0 // of value, what precedes it has been dealt with
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			i = stringEnd(value, i)
		case ' ', '\t', '\n', '\r':
			dst = append(dst, value[kept:i]...)
			kept = i + 1
		}
	}
	return append(dst, value[kept:]...)
}

// levels returns how deep the objects and arrays of a valid JSON value nest.
func levels(value []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			i = stringEnd(value, i)
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}

// stringEnd returns where the string that begins at i in a valid JSON text ends:
// the index of its closing quote.
func stringEnd(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}
