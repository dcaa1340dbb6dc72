package access

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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

// Parse reads a keys file: a YAML list of {id, sha256, services, expires, rate,
// max_in_flight}, of which the first three are required. The error is an *Error,
// the first of the file's.
func Parse(file []byte) (*Keys, error) {
	root, err := document(file)
	if err != nil {
		return nil, err
	}
	if root.Kind != yaml.SequenceNode {
		return nil, yamlnode.Wrong(root, "the file", "is %s, want a list of {id, sha256, services, expires, rate, max_in_flight}", show(root))
	}
	switch n := len(root.Content); {
	case n == 0:
		return nil, yamlnode.Wrong(root, "the file", "has no keys, want at least one")
	case n > mostKeys:
		return nil, yamlnode.Wrong(root, "the file", "has %d keys, want at most %d", n, mostKeys)
	}
	keys := new(Keys)
	for i, item := range root.Content {
		path := fmt.Sprintf("keys[%d]", i)
		key, err := parseKey(path, item)
		if err != nil {
			return nil, err
		}
		if err := keys.add(key); err != nil {
			return nil, yamlnode.Wrong(item, path, "%v", err)
		}
	}
	return keys, nil
}

// document returns the value of the one document of a file.
func document(file []byte) (*yaml.Node, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(file))
	err := dec.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		return nil, &Error{Line: 1, Text: "the file has no keys, want at least one"}
	case err != nil:
		return nil, &Error{Line: 1, Text: yamlnode.OneLine(err.Error())}
	case !errors.Is(dec.Decode(new(yaml.Node)), io.EOF):
		return nil, &Error{Line: 1, Text: "the file has several documents, want one"}
	}
	return yamlnode.Resolve(doc.Content[0]), nil
}

func parseKey(path string, n *yaml.Node) (*Key, error) {
	k := new(Key)
	required := map[string]string{"id": "a name for logs and metrics", "sha256": "the hash of the key", "services": "a list of names, or [\"*\"]"}
	err := object(path, n, []yamlnode.Field{
		{Key: "id", Read: id(&k.ID)},
		{Key: "sha256", Read: hash(k.SHA256[:])},
		{Key: "services", Read: globs(&k.Services)},
		{Key: "expires", Read: moment(&k.Expires)},
		{Key: "rate", Read: frequency(&k.Rate)},
		{Key: "max_in_flight", Read: count(&k.MaxInFlight)},
	}, required)
	return k, err
}

func id(dst *string) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode {
			return yamlnode.Wrong(n, path, "is %s, want text", show(n))
		}
		*dst = n.Value
		if CheckID(n.Value) != nil {
			return yamlnode.Wrong(n, path, "is %s, want %s", show(n), idWanted)
		}
		return nil
	}
}

// hash reads 64 hex digits. Its error does not show what is there instead: it may
// be the key itself.
func hash(dst []byte) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode {
			return yamlnode.Wrong(n, path, "is %s, want the 64 hex digits of the key's SHA-256", show(n))
		}
		b, err := hex.DecodeString(n.Value)
		if err != nil || len(b) != len(dst) {
			return yamlnode.Wrong(n, path, "is not what it should be, want the 64 hex digits of the key's SHA-256")
		}
		copy(dst, b)
		return nil
	}
}

func globs(dst *[]string) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > mostGlobs {
			return yamlnode.Wrong(n, path, "is %s, want a list of 1 to %d names, in which * is any text", show(n), mostGlobs)
		}
		for _, item := range n.Content {
			item = yamlnode.Resolve(item)
			if item.Kind != yaml.ScalarNode || mdp.CheckService(item.Value) != nil {
				return yamlnode.Wrong(item, path, "has %s, want a service's name, in which * is any text", show(item))
			}
			*dst = append(*dst, item.Value)
		}
		return nil
	}
}

// moment reads a date, which means its beginning in UTC, or a date and time.
func moment(dst *time.Time) yamlnode.Reader {
	return func(path string, n *yaml.Node) (err error) {
		if n.Kind == yaml.ScalarNode {
			for _, layout := range []string{time.DateOnly, time.RFC3339} {
				if *dst, err = time.Parse(layout, n.Value); err == nil {
					return nil
				}
			}
		}
		return yamlnode.Wrong(n, path, "is %s, want a date such as 2027-02-01 or 2027-02-01T12:00:00Z", show(n))
	}
}

// units is what a rate may be per, and never changes.
var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

func frequency(dst *Rate) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		calls, unit, _ := strings.Cut(n.Value, "/")
		number, err := strconv.Atoi(calls)
		*dst = Rate{number, units[unit]}
		if n.Kind != yaml.ScalarNode || err != nil || number < 1 || number > mostCalls || dst.Per == 0 {
			return yamlnode.Wrong(n, path, "is %s, want 1 to %d calls per s, m or h, such as 50/s", show(n), mostCalls)
		}
		return nil
	}
}

func count(dst *int) yamlnode.Reader {
	return func(path string, n *yaml.Node) (err error) {
		if *dst, err = strconv.Atoi(n.Value); n.Kind != yaml.ScalarNode || err != nil || *dst < 1 || *dst > mostInFlight {
			return yamlnode.Wrong(n, path, "is %s, want a whole number from 1 to %d", show(n), mostInFlight)
		}
		return nil
	}
}

// add adds a key whose id and hash no other has: of two, one would be nobody's.
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
