package codec

import (
	"strings"
	"testing"
	"unicode"
)

// TestIsTextKnowsEveryControlCharacter puts every character of the first two
// blocks of Unicode at every place of a word and behind it.
func TestIsTextKnowsEveryControlCharacter(t *testing.T) {
	for r := range rune(0x180) {
		want := !unicode.IsControl(r) || r == '\t' || r == '\n' || r == '\r'
		for at := range 18 {
			s := strings.Repeat("~", at) + string(r) + strings.Repeat(" ", 17-at)
			if got := isText([]byte(s)); got != want {
				t.Errorf("%q: %v, want %v", s, got, want)
			}
		}
	}
}

func TestIsTextKnowsUTF8(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "é": true, "\u2028": true, "😀 after some words": true, "eight by\xe9": false, "\xc3": false,
		"\xed\xa0\x80": false, "\xc0\x80": false, "\xf4\x90\x80\x80": false, "12345678\xff12345678": false,
	} {
		if got := isText([]byte(s)); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}
