package mdp

import (
	"fmt"
	"slices"
	"strings"
)

// MMI says how far a broker's own word about its services is taken (RFC 8/MMI).
type MMI int

// The modes, the most trusting first.
const (
	MMIOn   MMI = iota // a service that the broker denies is not sent to
	MMIHint            // but one that is catalogued or known is
	MMIOff             // the broker is not asked
)

func mmiNames() []string { return []string{"on", "hint", "off"} }

// ParseMMI reads on, hint or off.
func ParseMMI(name string) (MMI, error) {
	if i := slices.Index(mmiNames(), name); i >= 0 {
		return MMI(i), nil
	}
	return 0, fmt.Errorf("mmi is %q, want one of %s", name, strings.Join(mmiNames(), ", "))
}

// String returns the name that ParseMMI reads.
func (m MMI) String() string { return mmiNames()[m] }

// WithMMI returns the dialect with that mode. A broker that is Multiplexed is never asked: it
// tells its services of its own accord.
func (d *Dialect) WithMMI(m MMI) *Dialect {
	if d.MMI == m || d.Multiplexed {
		return d
	}
	other := *d
	other.MMI = m
	return &other
}

// MMIService is the broker's own service that says whether a service has workers. Its
// answer's last frame is one of the statuses.
const (
	MMIService = "mmi.service"
	mmiPrefix  = "mmi."

	StatusFound          = "200" // a worker is registered
	StatusNotFound       = "404" // none is
	StatusNotImplemented = "501" // the broker has no such mmi service

	// statusBadRequest is how brokers written in Java (jeromq's, zguide's) say 404.
	statusBadRequest = "400"
)

// IsMMI reports whether a name belongs to the broker itself. Callers may not ask for such
// names, workers may not register them.
func IsMMI[S string | []byte](name S) bool {
	return len(name) >= len(mmiPrefix) && string(name[:len(mmiPrefix)]) == mmiPrefix
}

// AppendLookup appends the frames of the question whether a service has workers
// (mmi.service).
func (d *Dialect) AppendLookup(dst [][]byte, service []byte) ([][]byte, error) {
	if err := CheckService(service); err != nil {
		return dst, err
	}
	return append(d.appendHead(dst, d.RequestDelimiter, d.Request, []byte(MMIService)), service), nil
}

// ParseStatus reads the answer to AppendLookup's question: its last frame, since
// brokers differ in what precedes it.
func (d *Dialect) ParseStatus(frames [][]byte) (status string, err error) {
	body, final, err := d.ParseReply(MMIService, frames)
	if err != nil {
		return "", err
	}
	if !final || len(body) == 0 {
		return "", malformed("an answer of %s without status", MMIService)
	}
	switch s := string(body[len(body)-1]); s {
	case StatusFound, StatusNotFound, StatusNotImplemented:
		return s, nil
	case statusBadRequest:
		return StatusNotFound, nil
	default:
		return "", malformed("an answer of %s with status %q", MMIService, head([]byte(s)))
	}
}
