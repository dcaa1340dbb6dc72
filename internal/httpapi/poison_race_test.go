//go:build race

package httpapi

import (
	"bytes"
	"testing"
)

// TestAFreedBufferIsPoisoned holds that the tests under the race detector see who reads a
// body after it was given back.
func TestAFreedBufferIsPoisoned(t *testing.T) {
	b := newBuffer(leastKept)
	kept := append(b.bytes, "still read"...)
	b.free()
	if bytes.Contains(kept, []byte("still read")) {
		t.Errorf("a freed buffer still holds %q", kept)
	}
}
