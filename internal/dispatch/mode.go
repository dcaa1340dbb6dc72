package dispatch

import (
	"fmt"
	"slices"
	"strings"
)

// MMI says how far the brokers' own word about a service is taken (RFC 8/MMI).
type MMI int

// The modes.
const (
	MMIOn   MMI = iota // a service that the broker denies is not sent to
	MMIHint            // but one that is catalogued or known is
	MMIOff             // brokers are not asked
)

// Exclusive says whether services that are not in the catalogue may be called.
type Exclusive int

// The modes.
const (
	Auto Exclusive = iota // while the broker answers MMI, which tells them from nonsense
	Only                  // no
	Open                  // yes
)

// ParseMMI reads on, hint or off.
func ParseMMI(name string) (MMI, error) { return parse[MMI]("mmi", name, mmiNames()) }

// ParseExclusive reads auto, only or open.
func ParseExclusive(name string) (Exclusive, error) {
	return parse[Exclusive]("catalogue", name, exclusiveNames())
}

// String returns the name that ParseMMI reads.
func (m MMI) String() string { return mmiNames()[m] }

// String returns the name that ParseExclusive reads.
func (e Exclusive) String() string { return exclusiveNames()[e] }

func mmiNames() []string       { return []string{"on", "hint", "off"} }
func exclusiveNames() []string { return []string{"auto", "only", "open"} }

func parse[M ~int](what, name string, names []string) (M, error) {
	if i := slices.Index(names, name); i >= 0 {
		return M(i), nil
	}
	return 0, fmt.Errorf("%s is %q, want one of %s", what, name, strings.Join(names, ", "))
}
