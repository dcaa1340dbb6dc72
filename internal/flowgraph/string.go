package flowgraph

import (
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// stringEnd returns the end of the valid JSON string that begins at src[i], and
// whether it means what it says: printable ASCII without escapes and without
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

// appendPythonString appends a valid JSON string as Python's ascii() prints it:
// in single quotes, unless it has those and no double ones, and ASCII only, so
// that neither a source encoding nor a terminal can change it.
func appendPythonString(dst, literal []byte) []byte {
	quote := quoteFor(literal)
	dst = append(dst, quote)
	for i := 1; i < len(literal)-1; {
		var r rune
		r, i = decodeRune(literal, i)
		dst = appendPythonRune(dst, r, quote)
	}
	return append(dst, quote)
}

func quoteFor(literal []byte) byte {
	single := false
	for i := 1; i < len(literal)-1; {
		var r rune
		switch r, i = decodeRune(literal, i); r {
		case '"':
			return '\''
		case '\'':
			single = true
		}
	}
	if single {
		return '"'
	}
	return '\''
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

// decodeRune returns the character at s[i] of a valid JSON string and where the
// next one is. An escaped surrogate pair is one character.
func decodeRune(s []byte, i int) (r rune, next int) {
	if s[i] != '\\' {
		r, n := utf8.DecodeRune(s[i:])
		return r, i + n
	}
	switch c := s[i+1]; c {
	case 'b':
		return '\b', i + 2
	case 'f':
		return '\f', i + 2
	case 'n':
		return '\n', i + 2
	case 'r':
		return '\r', i + 2
	case 't':
		return '\t', i + 2
	case 'u':
		if r = hex4(s[i+2:]); utf16.IsSurrogate(r) {
			return utf16.DecodeRune(r, hex4(s[i+8:])), i + 12
		}
		return r, i + 6
	default: // \" \\ \/
		return rune(c), i + 2
	}
}

// hex4 returns the value of four hexadecimal digits.
func hex4(s []byte) (r rune) {
	for _, c := range s[:4] {
		switch {
		case c <= '9':
			r = r<<4 | rune(c-'0')
		default:
			r = r<<4 | rune(c|0x20-'a'+10)
		}
	}
	return r
}
