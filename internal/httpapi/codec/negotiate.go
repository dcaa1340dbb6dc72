package codec

import (
	"strings"

	"mdpgateway/internal/gateway"
)

// A replyKind is how a reply's frames become a body.
type replyKind int

const (
	jsonReply replyKind = iota
	formReply
	sseReply
	ndjsonReply
	rawReply
)

// negotiate decides on the reply. The parameter ?reply beats Accept; without
// either, or where */* is liked best, the reply to a raw request is raw, and others are JSON.
func (e *Exchange) negotiate(accept []string, reply, contentType string) error {
	if contentType == "" {
		contentType = typeOctets
	}
	e.raw = contentType
	m := newMenu(accept, contentType)
	if e.frame >= 0 {
		m.dropStreams() // they are answered before there is a whole reply to pick a frame of
	}
	switch reply {
	case "":
		return e.choose(&m)
	case "raw":
		e.reply = rawReply
		if o := m.best(true, rawReply); o != nil {
			e.setRaw(o)
		}
		return nil
	}
	// An encoding is one of frames within JSON, which events of a stream are too.
	e.as = gateway.Encoding(reply)
	if o := m.best(true); o != nil && (o.kind == sseReply || o.kind == ndjsonReply) {
		e.set(o)
	}
	return nil
}

// choose gives what Accept likes best.
func (e *Exchange) choose(m *menu) error {
	best := m.best(true)
	if best != nil && best.quality >= m.any.quality {
		e.set(best)
		return nil
	}
	mirror := [...]replyKind{rawBody: rawReply, jsonBody: jsonReply, formBody: jsonReply}[e.body]
	if !m.given || m.any.quality > 0 && m.takes(mirror) {
		e.reply, e.mirrored = mirror, true
		return nil
	}
	if best = m.best(false); best != nil {
		e.set(best)
		return nil
	}
	return &gateway.Error{Kind: gateway.NotAcceptable, Detail: "Accept names no type that this service replies in: " + m.names()}
}

// takes reports whether the caller takes a reply that mirrors the request. A raw one
// is then of the service's own type.
func (m *menu) takes(mirror replyKind) bool {
	if mirror == rawReply {
		return m.offers[len(m.offers)-1].quality > 0
	}
	return m.best(false, mirror) != nil
}

func (e *Exchange) set(o *offer) {
	e.reply = o.kind
	e.Stream = o.kind == sseReply || o.kind == ndjsonReply
	if o.kind == rawReply {
		e.setRaw(o)
	}
}

// setRaw sets the type of a raw reply: ours, never the caller's spelling. The
// service's own keeps its parameters.
func (e *Exchange) setRaw(o *offer) {
	if o.media != mediaOf(e.raw) {
		e.raw = o.media
	}
}

// names lists the types on the menu.
func (m *menu) names() string {
	var b strings.Builder
	for i, o := range m.offers {
		if i == len(m.offers)-1 && (o.media == typeOctets || o.media == typeText) {
			break // it is on the list already
		}
		if o.media == "" {
			continue // dropped
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(o.media)
	}
	return b.String()
}
