package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

// TestEveryByteIsEscapedWhereverItStands puts every byte at every place of a word and
// behind it, beside bytes that make a word look as if it needed escapes.
func TestEveryByteIsEscapedWhereverItStands(t *testing.T) {
	for c := range 0x80 {
		for _, beside := range []string{"~", "!", "\x7f", "é"} {
			for at := range 18 {
				s := strings.Repeat(beside, at) + string(rune(c)) + strings.Repeat(beside, 17-at)
				var out output
				out.text([]byte(s))
				escaped := out.b
				var got string
				if err := json.Unmarshal(escaped, &got); err != nil || got != s {
					t.Fatalf("%q: got %q, which is %q, %v", s, escaped, got, err)
				}
			}
		}
	}
}

func TestRepliesDoNotMix(t *testing.T) {
	e := Exchange{reply: jsonReply, frame: -1}
	for range 500 {
		size := 1 << rand.IntN(20)
		data := bytes.Repeat([]byte("a\"b"), size/3+1)
		w := collected{header: http.Header{}}
		if err := e.WriteReply(&w, "echo", "id", gateway.Reply{Frames: [][]byte{data}}); err != nil {
			t.Fatal(err)
		}
		var got struct{ Frames []struct{ Data string } }
		if err := json.Unmarshal(w.body.Bytes(), &got); err != nil || len(got.Frames) != 1 || got.Frames[0].Data != string(data) {
			t.Fatalf("of %d bytes got %.100q, %v", len(data), w.body.Bytes(), err)
		}
	}
}

// TestWhatMayStillBeWrittenIsNotUsedAgain holds that the bytes of a write that failed
// stay as they were.
func TestWhatMayStillBeWrittenIsNotUsedAgain(t *testing.T) {
	e := Exchange{reply: jsonReply, frame: -1}
	for _, size := range []int{64, 1 << 20} {
		failing := collected{header: http.Header{}, err: errors.New("gone")}
		if err := e.WriteReply(&failing, "echo", "id", gateway.Reply{Frames: [][]byte{bytes.Repeat([]byte("a"), size)}}); err == nil {
			t.Fatal("a write that fails: got no error")
		}
		before := bytes.Clone(failing.last)
		for range 100 {
			ok := collected{header: http.Header{}}
			if err := e.WriteReply(&ok, "echo", "id", gateway.Reply{Frames: [][]byte{bytes.Repeat([]byte("b"), size)}}); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(failing.last, before) {
			t.Errorf("of %d bytes: others were written over what may still be written", size)
		}
	}
}

// collected is a ResponseWriter that keeps the body, and the slice that was last
// written, or fails.
type collected struct {
	header http.Header
	body   bytes.Buffer
	last   []byte
	err    error
}

func (c *collected) Header() http.Header { return c.header }
func (c *collected) WriteHeader(int)     {}
func (c *collected) Write(p []byte) (int, error) {
	c.last = p
	if c.err != nil {
		return 0, c.err
	}
	return c.body.Write(p)
}
