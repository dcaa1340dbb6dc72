package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how many levels of objects and arrays a JSON text may have, the
// outermost included. It is the same for what comes in and for what goes out.
const maxDepth = 64

// encoding64 is the one form of base64 that is read: the standard alphabet,
// padded, without stray bits. Line breaks, which it takes, are refused apart.
var encoding64 = base64.StdEncoding.Strict()

// isText reports whether people can read b: it is UTF-8 and has no control
// characters but tab, line feed and carriage return.
func isText(b []byte) bool {
	ascii := true
	for rest := b; len(rest) > 0; {
		if len(rest) >= 8 && plain(binary.LittleEndian.Uint64(rest)) {
			rest = rest[8:]
			continue
		}
		for _, c := range rest[:min(8, len(rest))] {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
				return false
			}
			ascii = ascii && c < utf8.RuneSelf
		}
		rest = rest[min(8, len(rest)):]
	}
	return ascii || utf8.Valid(b) && !hasC1(b)
}

// plain reports whether each of eight bytes is a character from space to tilde.
// Of each byte it looks at the top bit: of itself, of itself minus ' ', which
// borrows if it is below, and of itself plus 1, which carries if it is 0x7f. What
// a borrow does to the next byte up does not matter, since the answer is no then.
func plain(word uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	return (word|(word-' '*ones)|(word+ones))&tops == 0
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

// isValue reports whether b is one JSON value that all parsers read alike (RFC
// 7493) and that has no more than the usual levels.
func isValue(b []byte) bool {
	if len(b) <= maxKept {
		return jsontext.Value(b).IsValid() && levels(b) <= maxDepth
	}
	if !jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true)) || levels(b) > maxDepth {
		return false
	}
	_, found := duplicate(b)
	return !found
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
	start := i + 1
	for i = start; ; i++ {
		i += bytes.IndexByte(text[i:], '"')
		escapes := i
		for escapes > start && text[escapes-1] == '\\' {
			escapes--
		}
		if (i-escapes)%2 == 0 {
			return i
		}
	}
}
