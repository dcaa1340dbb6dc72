package access

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/yamlnode"
)

// What a list may have. A key is compared with every other for every request, so that their
// number is what a request costs.
const (
	mostPrincipals = 1_000
	mostGlobs      = 1_000
	mostCalls      = 1_000_000
	mostInFlight   = 1_000_000
	mostJobs       = 1_000_000
)

// An Error is what is wrong with a list. Its text never shows what may be a secret.
type Error = yamlnode.Error

// A List is the principals of one configuration and the issuers of their tokens, as ReadList
// read them. It never changes.
type List struct {
	principals []*Principal
	issuers    []Issuer
	source     source
}

// Principals returns the principals in their order. The slice is the caller's, what it points
// to must not be changed.
func (l *List) Principals() []*Principal { return slices.Clone(l.principals) }

// Issuers returns the issuers whose tokens are taken. The slice is the caller's.
func (l *List) Issuers() []Issuer { return slices.Clone(l.issuers) }

// ParseList reads a file that has the list alone, empty files included. Name is what errors call the list.
func ParseList(name string, file []byte, issuers []Issuer) (*List, error) {
	root, err := yamlnode.Document(file)
	if err != nil {
		return nil, err
	}
	return ReadList(name, root, file, issuers)
}

// ReadList reads the list of principals at root, which is in file: {id, owner, services, expires, rate,
// max_in_flight, max_jobs, metrics} and one of {key, certificate, token}. The id and the proof are required, and
// services or metrics. sha256 in place of key is the short form that keys files have. A token's issuer must be one
// of issuers. Name is what errors call the list. The error is an *Error, the first of the file's.
func ReadList(name string, root *yaml.Node, file []byte, issuers []Issuer) (*List, error) {
	var all []*Principal
	if root != nil {
		read := yamlnode.List(&all, mostPrincipals, "principals such as {id, key, services}", func(p **Principal) yamlnode.Reader {
			return principal(p, issuers)
		})
		if err := read(name, root); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		line := 1
		if root != nil {
			line = root.Line
		}
		return nil, &Error{Line: line, Text: name + " is empty, want at least one principal"}
	}
	list := &List{issuers: issuers, source: newSource(root, file)}
	for i, p := range all {
		if err := list.add(p); err != nil {
			return nil, yamlnode.Wrong(root.Content[i], fmt.Sprintf("%s[%d]", name, i), "%v", err)
		}
	}
	return list, nil
}

// principal reads one entry of the list.
func principal(dst **Principal, issuers []Issuer) yamlnode.Reader {
	p := new(Principal)
	*dst = p
	proofs := 0
	proof := func(name string, read yamlnode.Reader) yamlnode.Field {
		return yamlnode.Field{Key: name, Read: func(path string, n *yaml.Node) error {
			proofs++
			return read(path, n)
		}}
	}
	fields := []yamlnode.Field{
		{Key: "id", Read: yamlnode.Scalar(&p.ID, parseID), Need: "a name for logs and metrics"},
		{Key: "owner", Read: yamlnode.Scalar(&p.Owner, parseOwner)},
		proof("key", readKey(&p.Key)),
		proof("sha256", readHash(&p.Key)),
		proof("certificate", readCertificate(&p.Certificate)),
		proof("token", readToken(&p.Token, issuers)),
		{Key: "services", Read: yamlnode.List(&p.Services, mostGlobs, "names, in which * is any text", glob)},
		{Key: "expires", Read: yamlnode.Scalar(&p.Expires, ParseExpiry)},
		{Key: "rate", Read: yamlnode.Scalar(&p.Rate, ParseRate)},
		{Key: "max_in_flight", Read: yamlnode.Integer(&p.MaxInFlight, 1, mostInFlight)},
		{Key: "max_jobs", Read: yamlnode.Integer(&p.MaxJobs, 1, mostJobs)},
		{Key: "metrics", Read: yamlnode.Boolean(&p.Metrics)},
	}
	return func(path string, n *yaml.Node) error {
		err := yamlnode.Object(path, n, fields)
		switch {
		case err != nil:
			return err
		case proofs == 0:
			return yamlnode.Wrong(n, path, "has no proof of who calls, want one of key, certificate, token")
		case proofs > 1:
			return yamlnode.Wrong(n, path, "has %d proofs of who calls, want one of key, certificate, token", proofs)
		case len(p.Services) == 0 && !p.Metrics:
			return yamlnode.Wrong(n, path, `has no services, want a list of names, or ["*"]`)
		}
		return nil
	}
}

func parseID(text string) (string, error) { return text, CheckID(text) }

func parseOwner(text string) (string, error) {
	if !idForm.MatchString(text) {
		return "", errors.New(idWanted)
	}
	return text, nil
}

// readKey reads {sha256}. Its error does not show what is there instead, like that of readHash.
func readKey(dst **Key) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.MappingNode {
			return yamlnode.Wrong(n, path, "is not what it should be, want {sha256: …}, the hash of the key")
		}
		return yamlnode.Object(path, n, []yamlnode.Field{{Key: "sha256", Read: readHash(dst), Need: "the hash of the key"}})
	}
}

// readHash reads 64 hex digits. Its error does not show what is there instead: it may
// be the key itself.
func readHash(dst **Key) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		key := new(Key)
		b, err := hex.DecodeString(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || len(b) != len(key.SHA256) {
			return yamlnode.Wrong(n, path, "is not what it should be, want the 64 hex digits of the key's SHA-256")
		}
		copy(key.SHA256[:], b)
		*dst = key
		return nil
	}
}

const globWanted = "a service's name, in which * is any text"

func glob(dst *string) yamlnode.Reader { return yamlnode.Scalar(dst, ParseGlob) }

// ParseGlob reads the name of a service, in which * is any text and ? any character.
func ParseGlob(text string) (string, error) {
	if mdp.CheckService(text) != nil {
		return "", errors.New(globWanted)
	}
	return text, nil
}

// ParseExpiry reads a date, which means its beginning in UTC, or a date and time.
func ParseExpiry(text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("a date such as 2027-02-01 or 2027-02-01T12:00:00Z")
}

// units is what a rate may be per, and never changes.
var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// ParseRate reads a number of calls per second, minute or hour, such as 50/s.
func ParseRate(text string) (Rate, error) {
	calls, unit, _ := strings.Cut(text, "/")
	number, err := strconv.Atoi(calls)
	per := units[unit]
	if err != nil || number < 1 || number > mostCalls || per == 0 {
		return Rate{}, fmt.Errorf("1 to %d calls per s, m or h, such as 50/s", mostCalls)
	}
	return Rate{number, per}, nil
}

// add adds a principal whose id and key no other has: of two keys, only one would ever be found.
func (l *List) add(p *Principal) error {
	for _, other := range l.principals {
		switch {
		case other.ID == p.ID:
			return fmt.Errorf("has the id %q of another principal, want one of its own", p.ID)
		case p.Key != nil && other.Key != nil && *other.Key == *p.Key:
			return fmt.Errorf("has the sha256 of %q, want each key once", other.ID)
		}
	}
	l.principals = append(l.principals, p)
	return nil
}
