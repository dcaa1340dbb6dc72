package dispatch

import (
	"fmt"
	"slices"
	"strings"
)

// Exclusive says whether services that are not in the catalogue may be called.
type Exclusive int

// The modes.
const (
	Auto Exclusive = iota // while the broker answers MMI, which tells them from nonsense
	Only                  // no
	Open                  // yes
)

// ParseExclusive reads auto, only or open.
func ParseExclusive(name string) (Exclusive, error) {
	if i := slices.Index(exclusiveNames(), name); i >= 0 {
		return Exclusive(i), nil
	}
	return 0, fmt.Errorf("catalogue is %q, want one of %s", name, strings.Join(exclusiveNames(), ", "))
}

// String returns the name that ParseExclusive reads.
func (e Exclusive) String() string { return exclusiveNames()[e] }

func exclusiveNames() []string { return []string{"auto", "only", "open"} }
