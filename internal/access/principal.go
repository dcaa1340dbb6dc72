package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// prefix begins every key, so that people and scanners of repositories see what
// a string is that was put where it should not be.
const prefix = "mdpgw_"

// A Principal is who may call, as configured: how it is proven and what it may do. It never changes.
type Principal struct {
	ID    string // for logs and metrics; unique
	Owner string // whose jobs it may read; empty means as Pass.Owner says

	// Exactly one is set: what proves that a caller is this principal.
	Key         *Key
	Certificate *Certificate
	Token       *Token

	Services    []string  // which may be called: names in which * is any text and ? any character
	Expires     time.Time // from when on it is not valid; zero means never
	Rate        Rate      // requests per time; zero means any
	MaxInFlight int       // calls at once; 0 means any
	MaxJobs     int       // jobs that are kept at once; 0 means any
	Metrics     bool      // whether /metrics may be read, which shows all ids and all services
}

// A Key proves a principal by a secret that callers send.
type Key struct{ SHA256 [sha256.Size]byte }

// A Rate is how often something may happen: up to Calls at once, and as many anew
// in each Per.
type Rate struct {
	Calls int
	Per   time.Duration
}

// String returns what ParseRate reads.
func (r Rate) String() string {
	for unit, per := range units {
		if per == r.Per {
			return fmt.Sprintf("%d/%s", r.Calls, unit)
		}
	}
	return "any"
}

// NewKey returns a new key, which only its owner should ever see, and its hash.
func NewKey() (secret string, hash [sha256.Size]byte) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	secret = prefix + base64.RawURLEncoding.EncodeToString(b)
	return secret, sha256.Sum256([]byte(secret))
}

// Line returns a principal with a key as a line of the list, which ReadList reads.
func (p *Principal) Line() string {
	quoted := make([]string, len(p.Services))
	for i, glob := range p.Services {
		// A name is printable ASCII: a single quote is all that has to be doubled.
		quoted[i] = "'" + strings.ReplaceAll(glob, "'", "''") + "'"
	}
	line := fmt.Sprintf("- {id: '%s', key: {sha256: '%x'}, services: [%s]", p.ID, p.Key.SHA256, strings.Join(quoted, ", "))
	if !p.Expires.IsZero() {
		line += ", expires: " + p.Expires.UTC().Format(time.RFC3339)
	}
	if p.Rate != (Rate{}) {
		line += ", rate: " + p.Rate.String()
	}
	return line + "}"
}

// may reports whether the principal is for a service of that name.
func (p *Principal) may(service string) bool {
	return slices.ContainsFunc(p.Services, func(glob string) bool { return match(glob, service) })
}

// valid reports whether the principal has not expired.
func (p *Principal) valid(now time.Time) bool { return p.Expires.IsZero() || now.Before(p.Expires) }

// proof names what proves the principal. Two with the same proof let the same callers in.
func (p *Principal) proof() string {
	switch {
	case p.Key != nil:
		return fmt.Sprintf("key %x", p.Key.SHA256)
	case p.Certificate != nil:
		return fmt.Sprintf("certificate %q", *p.Certificate)
	default:
		return fmt.Sprintf("token %q", *p.Token)
	}
}

// idForm keeps ids fit for labels and logs. What begins with _ in a label is no
// principal's id.
var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

const idWanted = "1 to 64 letters, digits, dots, dashes and underscores, the first a letter or digit"

// CheckID says why an id can't be a principal's: it must be 1 to 64 letters, digits,
// dots, dashes and underscores, the first a letter or digit.
func CheckID(id string) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("id is %.80q, want %s", id, idWanted)
	}
	return nil
}
