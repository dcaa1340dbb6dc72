package codec

import (
	"bytes"
	"unicode/utf8"
)

// plainBody returns the frame of an envelope that is nothing but {"body":"…"}, of a
// string without escapes, as most are. The tokenizer takes the same, at several times
// the cost; what is not known here is left to it, good or bad.
func plainBody(src []byte) (frame []byte, ok bool) {
	rest := src
	for _, token := range [...]string{`{`, `"body"`, `:`, `"`} {
		if rest, ok = bytes.CutPrefix(trimSpace(rest), []byte(token)); !ok {
			return nil, false
		}
	}
	end := plainRun(rest)
	if end == len(rest) || rest[end] != '"' {
		return nil, false
	}
	frame, rest = rest[:end], trimSpace(rest[end+1:])
	if len(rest) == 0 || rest[0] != '}' || len(trimSpace(rest[1:])) > 0 {
		return nil, false
	}
	return frame, utf8.Valid(frame)
}

// trimSpace drops what JSON takes for white space at the start of text.
func trimSpace(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[0] == '\n' || text[0] == '\r') {
		text = text[1:]
	}
	return text
}
