package codec

import (
	"strconv"
	"strings"
)

// A liking is how much a caller likes a type: the quality of the most specific
// range of Accept that matches it (RFC 9110 §12.5.1).
type liking struct {
	quality     int // in thousandths
	specificity int // 0: no range matches; 1: */*; 2: text/*; 3: text/plain
}

// An offer is a type that a reply can have, and how it is liked.
type offer struct {
	media string
	kind  replyKind
	liking
}

// A menu is what a service can give. Of types that a caller likes equally the
// first is given. The last is the service's own.
type menu struct {
	offers [7]offer
	given  bool   // Accept says something
	any    liking // of */*
}

func newMenu(accept []string, own string) menu {
	m := menu{offers: [...]offer{
		{media: typeJSON, kind: jsonReply}, {media: typeForm, kind: formReply},
		{media: typeSSE, kind: sseReply}, {media: typeNDJSON, kind: ndjsonReply},
		{media: typeOctets, kind: rawReply}, {media: typeText, kind: rawReply},
		{media: mediaOf(own), kind: rawReply},
	}}
	for _, value := range accept {
		for element := range split(value, ',') {
			m.given = true
			m.add(element)
		}
	}
	return m
}

// mediaOf returns a Content-Type without its parameters.
func mediaOf(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.Trim(media, blanks)
}

// add applies one range. One that is malformed matches nothing, but * alone means
// any type, as older clients write it. Parameters but q are not looked at: no type
// that is offered has any that tell it from another.
func (m *menu) add(element string) {
	media, l := "", liking{quality: 1000}
	for part := range split(element, ';') {
		if media == "" {
			media = part
			continue
		}
		if name, value, _ := strings.Cut(part, "="); strings.EqualFold(name, "q") {
			l.quality = parseQuality(value)
		}
	}
	kind, sub, _ := strings.Cut(media, "/")
	switch {
	case media == "*/*", media == "*":
		l.specificity = 1
		m.any.update(l)
	case sub == "*":
		l.specificity = 2
	default:
		l.specificity = 3
	}
	for i := range m.offers {
		o := &m.offers[i]
		if l.specificity == 1 || strings.EqualFold(o.media, media) || l.specificity == 2 && hasType(o.media, kind) {
			o.update(l)
		}
	}
}

// dropStreams takes the streams off the menu.
func (m *menu) dropStreams() {
	for i := range m.offers {
		if kind := m.offers[i].kind; kind == sseReply || kind == ndjsonReply {
			m.offers[i] = offer{kind: kind}
		}
	}
}

func (l *liking) update(other liking) {
	if other.specificity > l.specificity || other.specificity == l.specificity && other.quality > l.quality {
		*l = other
	}
}

// hasType reports whether a media type begins with kind and a slash.
func hasType(media, kind string) bool {
	return len(media) > len(kind) && media[len(kind)] == '/' && strings.EqualFold(media[:len(kind)], kind)
}

// parseQuality reads a weight (RFC 9110 §12.4.2), 0 to 1, as thousandths. Clients
// also write .2 for 0.2, and more digits than the three that count: those round up,
// so that only zero refuses a type. What is no weight says nothing, and so is 1.
func parseQuality(value string) (thousandths int) {
	const none = 1000
	whole, fraction, _ := strings.Cut(value, ".")
	if whole != "0" && whole != "1" && (whole != "" || fraction == "") || strings.Trim(fraction, "0123456789") != "" {
		return none
	}
	thousandths, _ = strconv.Atoi(whole + (fraction + "000")[:3]) // nothing but four digits
	if strings.Trim(fraction[min(3, len(fraction)):], "0") != "" {
		thousandths++
	}
	return min(thousandths, none)
}

// best returns the offer that is liked best. Named offers are those that a range
// other than */* matches.
func (m *menu) best(named bool, kinds ...replyKind) *offer {
	var best *offer
	for i := range m.offers {
		o := &m.offers[i]
		if o.quality == 0 || named && o.specificity < 2 || len(kinds) > 0 && o.kind != kinds[0] {
			continue
		}
		if best == nil || o.quality > best.quality {
			best = o
		}
	}
	return best
}
