package mdp

import (
	"bytes"
	"fmt"
	"strings"
)

// A Dialect names the layout of the messages that a broker understands. Brokers
// die of, or are wedged by, a layout that they do not expect, so a dialect is
// configured for each broker and never probed.
type Dialect int

// The dialects. Brokers that speak others are listed in docs/brokers.md.
const (
	V01       Dialect = iota // RFC 7/MDP: MDPC01, one reply per request
	V02                      // RFC 18/MDP: MDPC02, PARTIAL replies and a FINAL one
	Loudify                  // version 0.1 with headers of its own and a padded reply
	Majortomo                // 0.2 with a delimiter; its replies do not name the service
)

// A layout is a dialect as data. On the wire, from a DEALER's point of view:
//
//	request        [''] client [request] service body…
//	reply          [''] client [partial|final] [service] [''] body…
//	worker's       [''] worker command …      (see command.go)
//
// The leading empty frame is present if delimiter is set, the one before the body if
// padded is. The frames are shared by all messages and must not be written to.
type layout struct {
	name           string
	client         []byte // header of what clients send and receive
	worker         []byte // header of what workers send and receive; nil where unsupported
	delimiter      bool   // an empty frame goes before the header
	request        []byte // command of a request; nil means that there is no such frame
	partial        []byte // command of a reply that others follow; nil: there are none
	final          []byte // command of the last reply; nil: the only reply, without command
	namesService   bool   // a reply names its service
	padded         bool   // an empty frame goes after the service of a reply, but of mmi.*
	workerCommands []byte // a worker's command bytes, indexed by Command; 0 where there is none
}

// layouts is indexed by Dialect and never changes.
var layouts = [...]layout{
	V01: {
		name: "mdp/0.1", client: []byte("MDPC01"), worker: []byte("MDPW01"),
		delimiter: true, namesService: true,
		workerCommands: []byte{Ready: 1, Work: 2, Partial: 0, Final: 3, Heartbeat: 4, Disconnect: 5},
	},
	V02: {
		name: "mdp/0.2", client: []byte("MDPC02"), worker: []byte("MDPW02"),
		request: []byte{1}, partial: []byte{2}, final: []byte{3}, namesService: true,
		workerCommands: []byte{Ready: 1, Work: 2, Partial: 3, Final: 4, Heartbeat: 5, Disconnect: 6},
	},
	Loudify: {
		name: "loudify", client: []byte("C01"), worker: []byte("W01"),
		delimiter: true, namesService: true, padded: true,
		workerCommands: []byte{Ready: 1, Work: 2, Partial: 0, Final: 3, Heartbeat: 4, Disconnect: 5},
	},
	Majortomo: {
		name: "majortomo", client: []byte("MDPC02"), worker: []byte("MDPW02"),
		delimiter: true, request: []byte{2}, partial: []byte{3}, final: []byte{4},
		workerCommands: []byte{Ready: 1, Work: 2, Partial: 3, Final: 4, Heartbeat: 5, Disconnect: 6},
	},
}

func (d Dialect) layout() *layout { return &layouts[d] }

// header returns the frame where the header of a message must be, or nil.
func (l *layout) header(frames [][]byte) []byte {
	if !l.delimiter && len(frames) > 0 {
		return frames[0]
	}
	if l.delimiter && len(frames) > 1 && len(frames[0]) == 0 {
		return frames[1]
	}
	return nil
}

// afterHeader checks the delimiter and the header and returns what follows.
func (l *layout) afterHeader(frames [][]byte, header []byte) ([][]byte, error) {
	if got := l.header(frames); got == nil || !bytes.Equal(got, header) {
		return nil, unfit(ReasonHeader, "a message whose header is not %q", header)
	}
	if l.delimiter {
		return frames[2:], nil
	}
	return frames[1:], nil
}

// ParseDialect returns the dialect of that name: mdp/0.1, mdp/0.2, loudify or
// majortomo.
func ParseDialect(name string) (Dialect, error) {
	var known []string
	for d := range layouts {
		if layouts[d].name == name {
			return Dialect(d), nil
		}
		known = append(known, layouts[d].name)
	}
	return 0, fmt.Errorf("dialect is %q, want one of %s", name, strings.Join(known, ", "))
}

// String returns the name that ParseDialect reads.
func (d Dialect) String() string { return d.layout().name }

// MarshalText and UnmarshalText let flags and files name a dialect.
func (d Dialect) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText sets d to the dialect that text names.
func (d *Dialect) UnmarshalText(text []byte) error {
	var err error
	*d, err = ParseDialect(string(text))
	return err
}

// Header returns the frame that a client's messages begin with, after the
// delimiter. It is shared: do not write to it.
func (d Dialect) Header() []byte { return d.layout().client }

// HasPartials reports whether a reply may come in several messages.
func (d Dialect) HasPartials() bool { return d.layout().partial != nil }

// HasWorkers reports whether workers of this dialect are supported.
func (d Dialect) HasWorkers() bool { return d.layout().worker != nil }

// HasMMI reports whether brokers of this dialect answer mmi.service (RFC 8/MMI).
func (d Dialect) HasMMI() bool { return d != Majortomo }

// NamesService reports whether a reply names its service. Where it does not, a late
// reply of another service can't be told from the one that is awaited.
func (d Dialect) NamesService() bool { return d.layout().namesService }

// HeaderFrames returns how many frames a reply has up to its service: what comes
// then may be its body.
func (d Dialect) HeaderFrames() int {
	l, n := d.layout(), 1
	for _, there := range []bool{l.delimiter, l.final != nil, l.namesService} {
		if there {
			n++
		}
	}
	return n
}
