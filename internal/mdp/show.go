package mdp

import (
	"strconv"
	"strings"
)

// A Message is a message of a dialect as an example.
type Message struct {
	Name   string // request, reply, partial, final, or error
	Frames [][]byte
}

// Messages returns the messages that clients of the dialect send and receive: one of each
// kind, of the service SERVICE and with the body BODY.
func (d *Dialect) Messages() []Message {
	service, body := []byte("SERVICE"), [][]byte{[]byte("BODY")}
	if d.Multiplexed {
		return []Message{
			{"request", [][]byte{d.Header, {1}, []byte("ID"), service, []byte("TTL"), body[0]}},
			{"partial", [][]byte{d.Header, {0x11}, []byte("ID"), body[0]}},
			{"final", [][]byte{d.Header, {0x12}, []byte("ID"), body[0]}},
		}
	}
	request := append(d.appendHead(nil, d.RequestDelimiter, d.Request, service), body...)
	all := []Message{{"request", request}}
	last := "reply"
	if d.HasPartials() {
		all = append(all, Message{"partial", d.AppendReply(nil, service, body, false)})
		last = "final"
	}
	all = append(all, Message{last, d.AppendReply(nil, service, body, true)})
	if d.Error != nil || d.Failed != nil {
		all = append(all, Message{"error", d.AppendRefusal(nil, service, body)})
	}
	return all
}

// shown is how many bytes of a frame Show writes.
const shown = 64

// Show writes frames as the documentation does: separated by |, an empty one as two
// quotes, bytes that are not printable ASCII as \x01. Long ones are cut.
func Show(frames [][]byte) string {
	texts := make([]string, len(frames))
	for i, frame := range frames {
		q := strconv.QuoteToASCII(string(frame[:min(len(frame), shown)]))
		switch q = q[1 : len(q)-1]; {
		case len(frame) == 0:
			q = "''"
		case len(frame) > shown:
			q += "…"
		}
		texts[i] = q
	}
	return strings.Join(texts, " | ")
}
