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

// The dialects. The first four are those that the embedded broker serves; the others are
// named after the one broker that speaks them. docs/brokers.md has a table.
const (
	V01         Dialect = iota // RFC 7/MDP: MDPC01, one reply per request
	V02                        // RFC 18/MDP: MDPC02, PARTIAL replies and a FINAL one
	Loudify                    // version 0.1 with headers of its own and a padded reply
	Majortomo                  // 0.2 with a delimiter; its replies do not name the service
	MajordomoGo                // 0.1 with a padded reply
	LibMDP02                   // libmdp's draft of 0.2: the header of 0.2, the frames of 0.1
	LibMDP0X                   // libmdp's MDPC0X: a reply has a command, one of them a refusal
	Plantd                     // 0.2 whose commands are words; requests alone have a delimiter
	IronDomo                   // 0.1 with a header of its own
	RustyDomo                  // 0.2 whose replies do not name the service
	ZMQMDP2                    // 0.2 whose commands are digits
	WDL83                      // 0.1 whose replies say success or failure before the body
)

// A layout is a dialect as data. On the wire, from a DEALER's point of view:
//
//	request        [''] client [request] service body…
//	reply          [''] client [partial|final] [service] [''] [success] body…
//	worker's       [''] worker command …      (see command.go)
//
// The leading empty frame is present if delimiter is set, the one before the body if
// padded is. The frames are shared by all messages and must not be written to.
type layout struct {
	name           string
	client         []byte // header of what clients send and receive
	worker         []byte // header of what workers send and receive; nil where unsupported
	delimiter      bool   // an empty frame goes before the header
	bareReply      bool   // but not before that of a reply
	request        []byte // command of a request; nil means that there is no such frame
	partial        []byte // command of a reply that others follow; nil: there are none
	final          []byte // command of the last reply; nil: the only reply, without command
	refused        []byte // command of a reply that says that there is none; nil: there are none
	namesService   bool   // a reply names its service
	namesMMI       bool   // the reply of mmi.* names it, though others do not name theirs
	padded         bool   // an empty frame goes after the service of a reply, but of mmi.*
	success        []byte // goes before the body of a reply; another frame there means failure
	noMMI          bool   // mmi.service is not answered, or never truly
	workerCommands []byte // a worker's command bytes, indexed by Command; 0 where there is none
}

var mdpc01, mdpc02 = []byte("MDPC01"), []byte("MDPC02")

// layouts is indexed by Dialect and never changes.
var layouts = [...]layout{
	V01: {
		name: "mdp/0.1", client: mdpc01, worker: []byte("MDPW01"),
		delimiter: true, namesService: true,
		workerCommands: []byte{Ready: 1, Work: 2, Partial: 0, Final: 3, Heartbeat: 4, Disconnect: 5},
	},
	V02: {
		name: "mdp/0.2", client: mdpc02, worker: []byte("MDPW02"),
		request: []byte{1}, partial: []byte{2}, final: []byte{3}, namesService: true,
		workerCommands: []byte{Ready: 1, Work: 2, Partial: 3, Final: 4, Heartbeat: 5, Disconnect: 6},
	},
	Loudify: {
		name: "loudify", client: []byte("C01"), worker: []byte("W01"),
		delimiter: true, namesService: true, padded: true,
		workerCommands: []byte{Ready: 1, Work: 2, Partial: 0, Final: 3, Heartbeat: 4, Disconnect: 5},
	},
	Majortomo: {
		name: "majortomo", client: mdpc02, worker: []byte("MDPW02"),
		delimiter: true, request: []byte{2}, partial: []byte{3}, final: []byte{4}, noMMI: true,
		workerCommands: []byte{Ready: 1, Work: 2, Partial: 3, Final: 4, Heartbeat: 5, Disconnect: 6},
	},
	MajordomoGo: {name: "majordomogo", client: mdpc01, delimiter: true, namesService: true, padded: true, noMMI: true},
	LibMDP02:    {name: "libmdp-0.2", client: mdpc02, delimiter: true, namesService: true},
	LibMDP0X: {
		name: "libmdp-0x", client: []byte("MDPC0X"), delimiter: true,
		final: []byte{2}, refused: []byte{3}, namesService: true,
	},
	Plantd: {
		name: "plantd", client: mdpc02, delimiter: true, bareReply: true,
		request: []byte("REQUEST"), partial: []byte("PARTIAL"), final: []byte("FINAL"), namesService: true,
	},
	IronDomo: {name: "irondomo", client: []byte("IDPC01"), delimiter: true, namesService: true, noMMI: true},
	RustyDomo: {
		name: "rustydomo", client: mdpc02, request: []byte{1}, partial: []byte{2}, final: []byte{3}, namesMMI: true,
	},
	ZMQMDP2: {
		name: "zmq-mdp2", client: mdpc02,
		request: []byte("1"), partial: []byte("2"), final: []byte("3"), namesService: true, noMMI: true,
	},
	WDL83: {name: "wdl83", client: mdpc01, delimiter: true, namesService: true, success: []byte("success"), noMMI: true},
}

func (d Dialect) layout() *layout { return &layouts[d] }

func (l *layout) replyDelimiter() bool { return l.delimiter && !l.bareReply }

// names reports whether the reply of a service names it.
func (l *layout) names(mmi bool) bool { return l.namesService || l.namesMMI && mmi }

// header returns the frame where the header of a message must be, or nil.
func header(frames [][]byte, delimiter bool) []byte {
	if !delimiter && len(frames) > 0 {
		return frames[0]
	}
	if delimiter && len(frames) > 1 && len(frames[0]) == 0 {
		return frames[1]
	}
	return nil
}

// afterHeader checks the delimiter and the header and returns what follows.
func afterHeader(frames [][]byte, delimiter bool, want []byte) ([][]byte, error) {
	if got := header(frames, delimiter); got == nil || !bytes.Equal(got, want) {
		return nil, unfit(ReasonHeader, "a message whose header is not %q", want)
	}
	if delimiter {
		return frames[2:], nil
	}
	return frames[1:], nil
}

// ParseDialect returns the dialect of that name.
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

// HasMMI reports whether brokers of this dialect answer mmi.service truly (RFC 8/MMI).
func (d Dialect) HasMMI() bool { return !d.layout().noMMI }

// NamesService reports whether a reply names its service. Where it does not, a late
// reply of another service can't be told from the one that is awaited.
func (d Dialect) NamesService() bool { return d.layout().namesService }

// HeaderFrames returns how many frames a reply has up to its service: what comes
// then may be its body.
func (d Dialect) HeaderFrames() int {
	l, n := d.layout(), 1
	for _, there := range []bool{l.replyDelimiter(), l.final != nil, l.namesService} {
		if there {
			n++
		}
	}
	return n
}
