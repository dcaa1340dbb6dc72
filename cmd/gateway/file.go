package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
)

// The keys of the file that are no flags.
const (
	servicesKey = "services"
	brokersKey  = "brokers"
)

// A file is the configuration file. Without one it is empty.
type file struct {
	name     string // for errors
	settings map[string]*yaml.Node
	services *yaml.Node // nil if there are none
	brokers  *yaml.Node // nil if there are none
}

// readFile reads the file of that path, "" for none. The keys are those that it
// may have beside services and brokers.
func readFile(path string, keys []string) (*file, error) {
	f := &file{name: filepath.Base(path), settings: make(map[string]*yaml.Node)}
	if path == "" {
		return f, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config is %q, want a file that can be read: %w", path, errors.Unwrap(err))
	}
	return f, f.parse(data, keys)
}

func (f *file) parse(data []byte, keys []string) error {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return fmt.Errorf("%s: %s", f.name, oneLine(err))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s has several documents, want one", f.name)
	}
	return f.members(doc.Content[0], "the file", func(name string, key, value *yaml.Node) error {
		switch {
		case name == servicesKey:
			f.services = value
		case name == brokersKey:
			f.brokers = value
		case slices.Contains(keys, name):
			f.settings[name] = value
			return f.checkScalar(name, value)
		default:
			return fmt.Errorf("%s is no setting, want one that --help lists, services or brokers", f.at(key, name))
		}
		return nil
	})
}

// members calls fn for each member of a mapping that has a value. YAML nodes let
// duplicate keys pass, of which one would be lost.
func (f *file) members(n *yaml.Node, what string, fn func(name string, key, value *yaml.Node) error) error {
	if n = resolve(n); isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s is %s, want keys and values", f.at(n, what), kindOf(n))
	}
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		if seen[key.Value] {
			return fmt.Errorf("%s is there twice", f.at(key, key.Value))
		}
		seen[key.Value] = true
		if isNull(value) {
			continue // a key without value, as templates leave them, is none
		}
		if err := fn(key.Value, key, value); err != nil {
			return err
		}
	}
	return nil
}

// checkScalar holds that a setting is one value or a list of them.
func (f *file) checkScalar(name string, n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return nil
	}
	if n.Kind == yaml.SequenceNode && !slices.ContainsFunc(n.Content, func(e *yaml.Node) bool { return resolve(e).Kind != yaml.ScalarNode }) {
		return nil
	}
	return fmt.Errorf("%s is %s, want one value or a list of values", f.at(n, name), kindOf(n))
}

// lookup returns the value of a setting as a flag would be given it, and where it
// stands.
func (f *file) lookup(name string) (key, text string, ok bool) {
	n, ok := f.settings[name]
	if !ok {
		return "", "", false
	}
	key = f.at(n, name)
	if n.Kind == yaml.ScalarNode {
		return key, n.Value, n.Value != ""
	}
	var items []string
	for _, e := range n.Content {
		items = append(items, resolve(e).Value)
	}
	return key, strings.Join(items, ","), len(items) > 0
}

// endpoints reads the list of brokers; dialect is that of those that name none.
func (f *file) endpoints(dialect mdp.Dialect) ([]client.Endpoint, error) {
	if f.brokers == nil {
		return nil, nil
	}
	if f.brokers.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s is %s, want a list of {name, endpoint, dialect}", f.at(f.brokers, brokersKey), kindOf(f.brokers))
	}
	var all []client.Endpoint
	for i, n := range f.brokers.Content {
		where := fmt.Sprintf("%s[%d]", brokersKey, i)
		e := client.Endpoint{Dialect: dialect}
		err := f.members(n, where, func(name string, key, value *yaml.Node) error {
			return named(setEndpoint(&e, name, value.Value), f.at(key, where+"."+name))
		})
		if err == nil && e.Address == "" {
			err = fmt.Errorf("%s has no endpoint, want tcp://host:port or ipc://path", f.at(n, where))
		}
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func setEndpoint(e *client.Endpoint, name, value string) (err error) {
	switch name {
	case "name":
		e.Name = value
	case "endpoint":
		e.Address, err = parseBroker(value, nil)
	case "dialect":
		e.Dialect, err = text(mdp.ParseDialect)(value, nil)
	default:
		return fmt.Errorf("is no setting of a broker, want name, endpoint or dialect")
	}
	if err != nil {
		return &valueError{got: value, want: err.Error()}
	}
	return nil
}

// at names a place of the file.
func (f *file) at(n *yaml.Node, what string) string {
	return fmt.Sprintf("%s:%d: %s", f.name, n.Line, what)
}

// resolve follows YAML's aliases.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return fmt.Sprintf("%q", n.Value)
	}
}

// named puts a key before an error, in place of one that it already names.
func named(err error, key string) error {
	var v *valueError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &v):
		return &valueError{key: key, got: v.got, want: v.want}
	default:
		return fmt.Errorf("%s %w", key, err)
	}
}

// oneLine joins the lines of an error, as YAML's have several.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
