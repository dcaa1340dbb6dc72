package codec

import (
	"bytes"
	"testing"
)

// TestPlainRunStopsAtTheFirstByteThatIsNotPlain puts each byte at each place among plain ones, with others like it behind.
func TestPlainRunStopsAtTheFirstByteThatIsNotPlain(t *testing.T) {
	for c := range 256 {
		plain := c >= ' ' && c < 0x7f && c != '"' && c != '\\'
		for _, around := range []byte{' ', '!', '#', '[', ']', '~'} {
			for at := range 20 {
				b := bytes.Repeat([]byte{around}, 20)
				b[at], b[19] = byte(c), byte(c)
				want := at
				if plain {
					want = len(b)
				}
				if got := plainRun(b); got != want {
					t.Fatalf("%q: got %d, want %d", b, got, want)
				}
			}
		}
	}
}
