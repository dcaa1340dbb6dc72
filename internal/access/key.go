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

// A Key is one key as configured: what may be done with it, and its hash in place
// of itself.
type Key struct {
	ID          string            // for logs and metrics; unique
	SHA256      [sha256.Size]byte // of the key that callers send
	Services    []string          // which may be called: names in which * is any text and ? any character
	Expires     time.Time         // from when on it is not valid; zero means never
	Rate        Rate              // requests per time; zero means any
	MaxInFlight int               // calls at once; 0 means any
	Metrics     bool              // whether /metrics may be read, which shows all keys' ids and all services
}

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

// New returns a new key, which only its owner should ever see, and its hash.
func New() (secret string, hash [sha256.Size]byte) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	secret = prefix + base64.RawURLEncoding.EncodeToString(b)
	return secret, sha256.Sum256([]byte(secret))
}

// Line returns the key as a line of the keys file, which Parse reads.
func (k *Key) Line() string {
	quoted := make([]string, len(k.Services))
	for i, glob := range k.Services {
		// A name is printable ASCII: a single quote is all that has to be doubled.
		quoted[i] = "'" + strings.ReplaceAll(glob, "'", "''") + "'"
	}
	line := fmt.Sprintf("- {id: '%s', sha256: '%x', services: [%s]", k.ID, k.SHA256, strings.Join(quoted, ", "))
	if !k.Expires.IsZero() {
		line += ", expires: " + k.Expires.UTC().Format(time.RFC3339)
	}
	if k.Rate != (Rate{}) {
		line += ", rate: " + k.Rate.String()
	}
	return line + "}"
}

// may reports whether the key is for a service of that name.
func (k *Key) may(service string) bool {
	return slices.ContainsFunc(k.Services, func(glob string) bool { return match(glob, service) })
}

// valid reports whether the key has not expired.
func (k *Key) valid(now time.Time) bool { return k.Expires.IsZero() || now.Before(k.Expires) }

// idForm keeps ids fit for labels and logs. What begins with _ in a label is no
// key's id.
var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

const idWanted = "1 to 64 letters, digits, dots, dashes and underscores, the first a letter or digit"

// CheckID says why an id can't be a key's: it must be 1 to 64 letters, digits,
// dots, dashes and underscores, the first a letter or digit.
func CheckID(id string) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("id is %.80q, want %s", id, idWanted)
	}
	return nil
}
