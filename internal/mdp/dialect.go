package mdp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// A Dialect is the layout of the messages that a broker understands. Brokers die of, or
// are wedged by, a layout that they do not expect, so a dialect is configured for each
// broker and never probed. On the wire, from a DEALER's point of view:
//
//	request   [''] header [request] service body…
//	reply     [''] header [partial|final] [service] [''] [ok] body…
//	no reply  [''] header error [service] body…  or  [''] header [final] [service] [''] failed body…
//
// What is in brackets is there if the dialect has it. A Dialect is never changed once it is
// in use; its frames are shared by all messages and must not be written to.
type Dialect struct {
	Name string // as settings and logs have it; of no meaning to the wire

	// The messages of clients. Check says which of them go together.
	Header           []byte
	RequestDelimiter bool   // an empty frame goes before the header of a request
	ReplyDelimiter   bool   // and of a reply
	Request          []byte // command of a request; nil means that there is no such frame
	Partial          []byte // command of a reply that others follow; nil: there are none
	Final            []byte // command of the last reply; nil: the only reply, without command
	Error            []byte // command in place of a reply; nil: there is none
	NamesService     bool   // a reply names its service
	NamesMMI         bool   // the reply of mmi.* names it, though others do not name theirs
	Padded           bool   // an empty frame goes before the body of a reply, but not of mmi.*
	OK, Failed       []byte // one of them goes before the body of a reply; nil: there are none
	Packed           bool   // header, command and service are one frame (see pack)
	MMI              MMI    // how far mmi.service can be used

	// Multiplexed says that this is MDPX/1, whose messages package mdpx knows: nothing else
	// above applies but the header, and nothing below.
	Multiplexed bool

	// What workers make of a body, and the body by which they say that they failed.
	NeedsVars bool   // they die of a request that is not a frame of data and one of vars
	Failure   []byte // first frame of such a body; nil: there is none

	// The messages of workers (see AppendWorker), if they are supported.
	Worker   []byte // their header; nil if they are not
	Commands []byte // their command bytes, indexed by Command; 0 where there is none
}

// names reports whether the reply of a service names it.
func (d *Dialect) names(mmi bool) bool { return d.NamesService || d.NamesMMI && mmi }

// String returns the dialect's name.
func (d *Dialect) String() string { return d.Name }

// HasPartials reports whether a reply may come in several messages.
func (d *Dialect) HasPartials() bool { return d.Partial != nil || d.Multiplexed }

// HasWorkers reports whether workers of this dialect are supported.
func (d *Dialect) HasWorkers() bool { return d.Worker != nil }

// HeaderFrames returns how many frames a reply has up to its service: what comes
// then may be its body.
func (d *Dialect) HeaderFrames() int {
	n := 1
	if d.Packed {
		return n
	}
	for _, there := range []bool{d.ReplyDelimiter, d.Final != nil, d.NamesService} {
		if there {
			n++
		}
	}
	return n
}

// ParseDialect returns the preset of that name, or X1.
func ParseDialect(name string) (*Dialect, error) {
	for _, d := range append(Presets(), X1) {
		if d.Name == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("dialect is %q, want one of %s", name, strings.Join(PresetNames(), ", "))
}

// Presets returns the dialects of MDP that have a name.
func Presets() []*Dialect { return slices.Clone(presets) }

// PresetNames returns the names that ParseDialect knows.
func PresetNames() (names []string) {
	for _, d := range append(Presets(), X1) {
		names = append(names, d.Name)
	}
	return names
}

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

// appendHead appends what goes before the body of every message of a client: the
// delimiter, the header, the command and the service, the last two unless they are nil.
func (d *Dialect) appendHead(dst [][]byte, delimiter bool, command, service []byte) [][]byte {
	if d.Packed {
		return append(dst, pack(d.Header, command, service))
	}
	if delimiter {
		dst = append(dst, nil)
	}
	dst = append(dst, d.Header)
	if command != nil {
		dst = append(dst, command)
	}
	if service != nil {
		dst = append(dst, service)
	}
	return dst
}
