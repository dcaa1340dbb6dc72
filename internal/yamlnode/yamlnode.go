// Package yamlnode is what the readers of a YAML file's nodes have in common: how
// they follow aliases, and how they say in one line what is wrong and where. What
// the nodes mean is theirs: packages access and catalogue.
package yamlnode

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// An Error is what is wrong with a file. Its text is one line that names the key,
// its value and what is wanted.
type Error struct {
	Line int // of the file, from 1
	Text string
}

// Error returns the text, without the line.
func (e *Error) Error() string { return e.Text }

// Wrong returns the Error of the value at path.
func Wrong(n *yaml.Node, path, format string, args ...any) error {
	return &Error{n.Line, OneLine(path + " " + fmt.Sprintf(format, args...))}
}

// OneLine joins the lines of a text, and what white space there is.
func OneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// A Reader reads the value at path. Values without aliases are passed to it.
type Reader func(path string, n *yaml.Node) error

// A Field is a key that an object may have, and what reads its value.
type Field struct {
	Key  string
	Read Reader
}

// Keys lists the keys of fields, for people.
func Keys(fields []Field) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.Key
	}
	return strings.Join(all, ", ")
}

// Resolve returns what an alias stands for, or the node itself.
func Resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// Show returns a value as an error shows it. Only scalars have a Value, so those
// who parse it refuse lists and mappings.
func Show(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return "an empty list"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%.60q", n.Value)
}
