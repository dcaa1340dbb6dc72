package flowgraph

import (
	"bytes"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// stringEnd returns the end of the valid JSON string that begins at src[i], and
// whether Python writes it alike: it is printable ASCII without escapes and without
// the quote that Python prefers.
func stringEnd(src []byte, i int) (end int, plain bool) {
	plain = true
	for i++; src[i] != '"'; i++ {
		switch c := src[i]; {
		case c == '\\':
			plain = false
			i++ // what is escaped is not the end
		case c == '\'' || c >= 0x7f:
			plain = false
		}
	}
	return i + 1, plain
}

// appendPythonString appends a string as Python's ascii() prints it: in single quotes,
// unless it has those and no double ones, and ASCII only, so that neither a source
// encoding nor a terminal can change it.
func appendPythonString(dst, s []byte) []byte {
	quote := byte('\'')
	if bytes.IndexByte(s, '\'') >= 0 && bytes.IndexByte(s, '"') < 0 {
		quote = '"'
	}
	dst = append(dst, quote)
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		dst = appendPythonRune(dst, r, quote)
		s = s[n:]
	}
	return append(dst, quote)
}

func appendPythonRune(dst []byte, r rune, quote byte) []byte {
	switch {
	case r == rune(quote) || r == '\\':
		return append(dst, '\\', byte(r))
	case r >= ' ' && r < 0x7f:
		return append(dst, byte(r))
	case r == '\n':
		return append(dst, `\n`...)
	case r == '\r':
		return append(dst, `\r`...)
	case r == '\t':
		return append(dst, `\t`...)
	case r <= 0xff:
		return appendHex(append(dst, `\x`...), r, 2)
	case r <= 0xffff:
		return appendHex(append(dst, `\u`...), r, 4)
	}
	return appendHex(append(dst, `\U`...), r, 8)
}

func appendHex(dst []byte, r rune, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[r>>shift&0xf])
	}
	return dst
}
