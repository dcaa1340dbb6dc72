package catalogue

import (
	"maps"
	"slices"
	"sync/atomic"
)

// A Catalogue is the services of one configuration, as Parse read them. It never
// changes, and neither may its services be changed by those who get them.
type Catalogue struct {
	services map[string]*Service
	names    []string
}

func newCatalogue(services map[string]*Service) *Catalogue {
	return &Catalogue{services, slices.Sorted(maps.Keys(services))}
}

// Get returns the service of that name.
func (c *Catalogue) Get(name string) (*Service, bool) {
	s, ok := c.services[name]
	return s, ok
}

// Names returns the names of all services, sorted. The caller may keep and change
// the slice.
func (c *Catalogue) Names() []string { return slices.Clone(c.names) }

// A Store holds the catalogue in force. Its zero value holds an empty one. Its
// methods are safe for concurrent use.
//
// A caller that needs several answers that agree takes one Catalogue and asks that.
type Store struct {
	current atomic.Pointer[Catalogue]
}

// NewStore returns a store that holds c.
func NewStore(c *Catalogue) *Store {
	s := new(Store)
	s.Swap(c)
	return s
}

// Catalogue returns the catalogue in force. It is never nil.
func (s *Store) Catalogue() *Catalogue {
	if c := s.current.Load(); c != nil {
		return c
	}
	return new(Catalogue)
}

// Swap puts c in force, at once and as a whole.
func (s *Store) Swap(c *Catalogue) { s.current.Store(c) }

// Get returns the service of that name in the catalogue in force.
func (s *Store) Get(name string) (*Service, bool) { return s.Catalogue().Get(name) }

// Names returns the names of all services in force, sorted.
func (s *Store) Names() []string { return s.Catalogue().Names() }
