package access

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// An Error is what is wrong with a keys file. Its text is one line that names the
// key, its value and what is wanted; it never shows what may be a secret.
type Error struct {
	Line int // of the file, from 1
	Text string
}

// Error returns the text, without the line.
func (e *Error) Error() string { return e.Text }

func wrong(n *yaml.Node, path, format string, args ...any) error {
	return &Error{n.Line, oneLine(path + " " + fmt.Sprintf(format, args...))}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// A reader reads the value at path. Values without aliases are passed to it.
type reader func(path string, n *yaml.Node) error

// A field is a member that an object may have, and what reads its value.
type field struct {
	name string
	read reader
}

// object reads a mapping whose members are those of fields, each at most once.
// Those in required must be there; its values say what each is. A member without
// value is as good as none.
func object(path string, n *yaml.Node, fields []field, required map[string]string) error {
	if n = resolve(n); n.Kind != yaml.MappingNode {
		return wrong(n, path, "is %s, want {id, sha256, services, expires, rate, max_in_flight}", show(n))
	}
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value && key.Kind == yaml.ScalarNode })
		if at < 0 {
			return wrong(key, path, "has the member %s, want only %s", show(key), names(fields))
		}
		if seen[key.Value] {
			return wrong(key, path+"."+key.Value, "is there twice")
		}
		if value.Tag == "!!null" {
			continue
		}
		seen[key.Value] = true
		if err := fields[at].read(path+"."+key.Value, value); err != nil {
			return err
		}
	}
	for _, f := range fields {
		if want, must := required[f.name]; must && !seen[f.name] {
			return wrong(n, path, "has no %s, want %s", f.name, want)
		}
	}
	return nil
}

func names(fields []field) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	return strings.Join(all, ", ")
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// show returns a value as an error shows it. What looks like a key is not shown.
func show(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return "an empty list"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case strings.Contains(n.Value, prefix):
		return "a key itself"
	}
	return fmt.Sprintf("%.60q", n.Value)
}
