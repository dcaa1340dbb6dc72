package codec

import (
	"bytes"
	"encoding/base64"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

const (
	// frameCost is what the lists of a call's frames take for each of them, here and on the way to the broker.
	frameCost = 2 * mdp.FrameOverhead

	// unheld is what a request may take beside its body without being counted.
	unheld = 4 << 10

	// varsCost is how many times as long a vars frame may be as the vars. The dispatcher takes no frame of
	// more than mostVars by default.
	varsCost = 5
	mostVars = 64 << 10
)

// A held is the memory that a decoder takes beside the body, most of which the call holds until its end.
type held struct {
	room   gateway.Room // nil holds nothing
	frames int64        // bytes of frames that are no parts of the body, and of their list
	names  int64        // while the body is read
	asked  int64        // of room
}

// take holds n more bytes for frames.
func (h *held) take(n int) error {
	h.frames += int64(n)
	return h.resize()
}

// ForNames is ijson.Room.
func (h *held) ForNames(n int64) error {
	h.names = n
	return h.resize()
}

// forVars holds what becomes of vars of that length: a frame.
func (h *held) forVars(n int) error { return h.take(min(varsCost*n, n+varsCost*mostVars)) }

func (h *held) resize() error {
	n := h.frames + h.names
	if h.room == nil || n <= max(h.asked, unheld) {
		return nil
	}
	if !h.room.Resize(n + n/8) { // so that many frames ask a few times
		return gateway.Refused(gateway.ReasonMemory, gateway.NoMemory)
	}
	h.asked = n + n/8
	return nil
}

// end holds no more than is left when the body has been read.
func (h *held) end() {
	h.names = 0
	if h.room != nil && h.asked > h.frames {
		h.room.Resize(h.frames)
	}
}

// unquoted returns how many bytes ijson.Unquote takes for a string.
func unquoted(literal []byte) int {
	if bytes.IndexByte(literal, '\\') < 0 {
		return 0
	}
	return len(literal)
}

// copied returns how many bytes decodeFrame takes for a value in that encoding.
func copied(as gateway.Encoding, data []byte) int {
	switch as {
	case gateway.Text:
		return unquoted(data)
	case gateway.Base64:
		return unquoted(data) + base64.StdEncoding.DecodedLen(len(data))
	}
	return len(data)
}
