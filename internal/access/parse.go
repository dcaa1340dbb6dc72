package access

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/yamlnode"
)

// What a keys file may have. Every key is compared with for every request, so
// that their number is what a request costs.
const (
	mostKeys     = 1_000
	mostGlobs    = 1_000
	mostCalls    = 1_000_000
	mostInFlight = 1_000_000
)

// An Error is what is wrong with a keys file. Its text never shows what may be a secret.
type Error = yamlnode.Error

// Parse reads a keys file: a YAML list of {id, sha256, services, expires, rate,
// max_in_flight, metrics}, of which the first three are required; with metrics, services is not. The error is an *Error,
// the first of the file's.
func Parse(file []byte) (*Keys, error) {
	root, err := yamlnode.Document(file)
	if err != nil {
		return nil, err
	}
	var all []*Key
	if root != nil {
		keys := yamlnode.List(&all, mostKeys, "{id, sha256, services, expires, rate, max_in_flight}", key)
		if err := keys("keys", root); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, &Error{Line: 1, Text: "the file has no keys, want at least one"}
	}
	keys := new(Keys)
	for i, k := range all {
		if err := keys.add(k); err != nil {
			return nil, yamlnode.Wrong(root.Content[i], fmt.Sprintf("keys[%d]", i), "%v", err)
		}
	}
	return keys, nil
}

func key(dst **Key) yamlnode.Reader {
	k := new(Key)
	*dst = k
	fields := []yamlnode.Field{
		{Key: "id", Read: yamlnode.Scalar(&k.ID, parseID), Need: "a name for logs and metrics"},
		{Key: "sha256", Read: hash(k.SHA256[:]), Need: "the hash of the key"},
		{Key: "services", Read: yamlnode.List(&k.Services, mostGlobs, "names, in which * is any text", glob)},
		{Key: "expires", Read: yamlnode.Scalar(&k.Expires, ParseExpiry)},
		{Key: "rate", Read: yamlnode.Scalar(&k.Rate, ParseRate)},
		{Key: "max_in_flight", Read: yamlnode.Integer(&k.MaxInFlight, 1, mostInFlight)},
		{Key: "metrics", Read: yamlnode.Boolean(&k.Metrics)},
	}
	return func(path string, n *yaml.Node) error {
		err := yamlnode.Object(path, n, fields)
		if err == nil && len(k.Services) == 0 && !k.Metrics {
			err = yamlnode.Wrong(n, path, `has no services, want a list of names, or ["*"]`)
		}
		return err
	}
}

func parseID(text string) (string, error) { return text, CheckID(text) }

// hash reads 64 hex digits. Its error does not show what is there instead: it may
// be the key itself.
func hash(dst []byte) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		b, err := hex.DecodeString(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || len(b) != len(dst) {
			return yamlnode.Wrong(n, path, "is not what it should be, want the 64 hex digits of the key's SHA-256")
		}
		copy(dst, b)
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

// add adds a key whose id and hash no other has: of two, only one would ever be found.
func (k *Keys) add(key *Key) error {
	for _, other := range k.keys {
		switch {
		case other.ID == key.ID:
			return fmt.Errorf("has the id %q of another key, want one of its own", key.ID)
		case other.SHA256 == key.SHA256:
			return fmt.Errorf("has the sha256 of %q, want each key once", other.ID)
		}
	}
	k.keys = append(k.keys, key)
	return nil
}
