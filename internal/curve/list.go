package curve

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/access"
	"mdpgateway/internal/yamlnode"
)

// A Role is what the owner of a key is to a broker.
type Role string

// The roles. A key has one, so that a worker cannot call and a client cannot get requests.
const (
	RoleWorker Role = "worker"
	RoleClient Role = "client"
)

// A Peer is the owner of a key.
type Peer struct {
	ID       string // for logs: [A-Za-z0-9._-]{1,64}
	Key      Key
	Role     Role
	Services []string // that a worker may serve; * is any text, ? any character
}

// MayServe reports whether the peer may be a worker of a service.
func (p *Peer) MayServe(service string) bool {
	return p.Role == RoleWorker && slices.ContainsFunc(p.Services, func(glob string) bool { return access.Match(glob, service) })
}

// A List is the peers that a broker lets in. It never changes.
type List struct{ peers map[string]*Peer } // by the text of the key

// NewList returns the list of some peers.
func NewList(peers ...Peer) *List {
	return new(List).With(peers...)
}

// With returns the list with more peers.
func (l *List) With(peers ...Peer) *List {
	next := &List{peers: make(map[string]*Peer, len(l.peers)+len(peers))}
	maps.Copy(next.peers, l.peers)
	for _, p := range peers {
		next.peers[p.Key.String()] = &p
	}
	return next
}

// Len returns the number of peers.
func (l *List) Len() int { return len(l.peers) }

// Find returns the owner of a key, given as its text, or nil if there is none.
func (l *List) Find(key []byte) *Peer { return l.peers[string(key)] }

const (
	mostPeers = 10_000
	mostGlobs = 1_000
)

// ParseList reads the file of a list: {id, key, role, services}. Name is what errors call the list. The error is an
// *yamlnode.Error.
func ParseList(name string, file []byte) (*List, error) {
	root, err := yamlnode.Document(file)
	if err != nil {
		return nil, err
	}
	var all []Peer
	if root != nil {
		if err := yamlnode.List(&all, mostPeers, "peers such as {id, key, role}", peer)(name, root); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, &yamlnode.Error{Line: 1, Text: name + " is empty, want at least one peer: nobody could connect"}
	}
	ids, keys := make(map[string]bool), make(map[Key]string)
	for i, p := range all {
		wrong := ""
		switch other, double := keys[p.Key]; {
		case ids[p.ID]:
			wrong = fmt.Sprintf("has the id %q of another peer, want one of its own", p.ID)
		case double:
			wrong = fmt.Sprintf("has the key of %q, want each key once", other)
		}
		if wrong != "" {
			return nil, yamlnode.Wrong(root.Content[i], fmt.Sprintf("%s[%d]", name, i), "%s", wrong)
		}
		ids[p.ID], keys[p.Key] = true, p.ID
	}
	return NewList(all...), nil
}

// peer reads one entry of the list.
func peer(p *Peer) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		err := yamlnode.Object(path, n, []yamlnode.Field{
			{Key: "id", Read: yamlnode.Scalar(&p.ID, func(text string) (string, error) { return text, access.CheckID(text) }), Need: "a name for logs"},
			{Key: "key", Read: yamlnode.Scalar(&p.Key, ParseKey), Need: keyWanted},
			{Key: "role", Read: yamlnode.Scalar(&p.Role, parseRole), Need: "worker or client"},
			{Key: "services", Read: yamlnode.List(&p.Services, mostGlobs, "names, in which * is any text", func(glob *string) yamlnode.Reader {
				return yamlnode.Scalar(glob, access.ParseGlob)
			})},
		})
		switch {
		case err != nil:
			return err
		case p.Role == RoleWorker && len(p.Services) == 0:
			return yamlnode.Wrong(n, path, `has no services, want a list of those that the worker may serve, or ["*"]`)
		case p.Role == RoleClient && len(p.Services) > 0:
			return yamlnode.Wrong(n, path, "has services, want none: they are those that a worker may serve")
		}
		return nil
	}
}

func parseRole(text string) (Role, error) {
	if role := Role(text); role == RoleWorker || role == RoleClient {
		return role, nil
	}
	return "", errors.New("worker or client")
}
