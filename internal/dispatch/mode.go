package dispatch

import (
	"fmt"
	"slices"
	"strings"
)

// CatalogueMode says whether services that are not in the catalogue may be called.
type CatalogueMode int

// The modes.
const (
	CatalogueAuto CatalogueMode = iota // while the broker answers MMI, which tells them from nonsense
	CatalogueOnly                      // no
	CatalogueOpen                      // yes
)

// ParseCatalogueMode reads auto, only or open.
func ParseCatalogueMode(name string) (CatalogueMode, error) {
	if i := slices.Index(catalogueModes(), name); i >= 0 {
		return CatalogueMode(i), nil
	}
	return 0, fmt.Errorf("catalogue is %q, want one of %s", name, strings.Join(catalogueModes(), ", "))
}

// String returns the name that ParseCatalogueMode reads.
func (c CatalogueMode) String() string { return catalogueModes()[c] }

func catalogueModes() []string { return []string{"auto", "only", "open"} }
