package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/nearest"
	"mdpgateway/internal/yamlnode"
)

// The keys of the file that are no flags.
const (
	servicesKey = "services"
	brokersKey  = "brokers"
	issuersKey  = "issuers"
	accessKey   = "access"  // a flag, too, unless it is a list
	consoleKey  = "console" // a flag, too, unless it is a mapping
)

// A file is the configuration file. Without one it is empty.
type file struct {
	name     string                // for errors
	settings map[string]*yaml.Node // by the name of the flag
	services *yaml.Node            // nil if there are none
	brokers  *yaml.Node            // nil if there are none
	access   *yaml.Node            // the list of principals; nil if there is none
	issuers  *yaml.Node            // nil if there are none
	console  *yaml.Node            // what is told of the console; nil if nothing is
	text     []byte                // all of it
}

// readFile reads the file of that path, "" for none. The keys are those that it
// may have beside services, brokers and issuers.
func readFile(path string, keys []string) (*file, error) {
	f := &file{name: filepath.Base(path), settings: make(map[string]*yaml.Node)}
	if path == "" {
		return f, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config is %q, want a file that can be read: %w", path, errors.Unwrap(err))
	}
	f.text = data
	return f, f.parse(data, keys)
}

func (f *file) parse(data []byte, keys []string) error {
	root, err := yamlnode.Document(data)
	if err == nil && root != nil {
		err = yamlnode.Members("", root, func(name string, key, value *yaml.Node) error {
			return f.add(name, key, value, keys)
		})
	}
	return yamlnode.In(f.name, err)
}

// add takes one key of the file. A key without value, as templates leave them, is ignored.
func (f *file) add(name string, key, value *yaml.Node, keys []string) error {
	switch known := append(slices.Clone(keys), servicesKey, brokersKey, issuersKey); {
	case !slices.Contains(known, name):
		if near := nearest.Of(name, known); near != "" {
			return yamlnode.Wrong(key, name, "is no setting, did you mean %s?", near)
		}
		return yamlnode.Wrong(key, name, "is no setting, want one that --help-all lists, services, brokers or issuers")
	case value.Tag == "!!null":
		return nil
	case name == servicesKey:
		f.services = value
	case name == brokersKey:
		f.brokers = value
	case name == issuersKey:
		f.issuers = value
	case name == accessKey && value.Kind != yaml.ScalarNode:
		f.access = value
	case name == consoleKey && value.Kind != yaml.ScalarNode:
		f.console = value
	default:
		f.settings[name] = value
		_, err := values(name, value)
		return err
	}
	return nil
}

// values returns the texts of a setting, which is one value or a list of them.
func values(name string, n *yaml.Node) (texts []string, err error) {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}, nil
	}
	for _, item := range n.Content {
		if item = yamlnode.Resolve(item); n.Kind != yaml.SequenceNode || item.Kind != yaml.ScalarNode {
			return nil, yamlnode.Wrong(n, name, "is %s, want one value or a list of values", yamlnode.Show(n))
		}
		texts = append(texts, item.Value)
	}
	return texts, nil
}

// lookup returns the value of a setting as a flag would be given it, and where it
// stands.
func (f *file) lookup(name string) (key, text string, ok bool) {
	n, ok := f.settings[name]
	if !ok {
		return "", "", false
	}
	texts, _ := values(name, n)
	text = strings.Join(texts, ",")
	return fmt.Sprintf("%s:%d: %s", f.name, n.Line, name), text, text != ""
}

// endpoints reads the list of brokers. The dialect is that of those that name none. A broker
// that names no mode of MMI has the given one, or that of its dialect if it asks less.
func (f *file) endpoints(dialect *mdp.Dialect, mmi mdp.MMI) (all []client.Endpoint, err error) {
	if f.brokers == nil {
		return nil, nil
	}
	read := yamlnode.List(&all, mostBrokers, "{name, endpoint, dialect, mmi, curve}", func(e *client.Endpoint) yamlnode.Reader {
		e.Dialect = dialect
		return func(path string, n *yaml.Node) error {
			const unset = mdp.MMI(-1)
			own := unset
			err := yamlnode.Object(path, n, []yamlnode.Field{
				{Key: "name", Read: yamlnode.Scalar(&e.Name, func(text string) (string, error) { return text, nil })},
				{Key: "endpoint", Read: yamlnode.Scalar(&e.Address, parseBroker), Need: brokerWanted},
				{Key: "dialect", Read: readDialect(&e.Dialect)},
				{Key: "mmi", Read: yamlnode.Scalar(&own, mdp.ParseMMI)},
				{Key: "curve", Read: readClient(&e.Curve)},
			})
			if err != nil {
				return err
			}
			if own == unset {
				own = max(mmi, e.Dialect.MMI)
			}
			e.Dialect = e.Dialect.WithMMI(own)
			return nil
		}
	})
	return all, yamlnode.In(f.name, read(brokersKey, f.brokers))
}

// mostBrokers bounds the list of brokers.
const mostBrokers = 1_000
