// Package yamlnode reads YAML strictly. Settings, services and keys are read with it, so that
// every error has one form: a line that names the file's line, the key, its value and what is
// wanted. A key must be known, and may be there once; a key without value is ignored; aliases
// are followed, merge keys are refused. What looks like a caller's key or token, or like a PEM block, is never
// shown.
//
// What the values mean is the caller's: it lists the Fields of a mapping, each with a Reader.
package yamlnode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// An Error is what is wrong with a file.
type Error struct {
	Line int // of the file, from 1
	Text string
}

// Error returns the text, without the line.
func (e *Error) Error() string { return e.Text }

// In puts the name of the file and the line before an error that is an *Error.
func In(name string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return fmt.Errorf("%s:%d: %w", name, e.Line, e)
	}
	return err
}

// Wrong returns the *Error of the value at path.
func Wrong(n *yaml.Node, path, format string, args ...any) error {
	return &Error{n.Line, OneLine(path + " " + fmt.Sprintf(format, args...))}
}

// OneLine joins the lines of a text, and collapses white space.
func OneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Resolve returns what an alias stands for, or the node itself.
func Resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// secretPrefix begins every caller's key.
const secretPrefix = "mdpgw_"

// Show returns a value as an error shows it.
func Show(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return "an empty list"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case strings.Contains(n.Value, secretPrefix):
		return "a key itself"
	case strings.HasPrefix(n.Value, "eyJ"): // {" in base64, as every JWT begins
		return "a token itself"
	case strings.Contains(n.Value, "-----BEGIN "):
		return "a PEM block"
	}
	return fmt.Sprintf("%.60q", n.Value)
}

// lineOf is how the parser begins its errors.
var lineOf = regexp.MustCompile(`^yaml: line (\d+): `)

// Document returns the value of the one document of a file, or nil if the file is empty. The
// error is an *Error.
func Document(file []byte) (*yaml.Node, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(file))
	err := dec.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		text, line := OneLine(err.Error()), 1
		if m := lineOf.FindStringSubmatch(text); m != nil {
			line, _ = strconv.Atoi(m[1])
			text = "yaml: " + text[len(m[0]):]
		}
		return nil, &Error{line, text}
	case !errors.Is(dec.Decode(new(yaml.Node)), io.EOF):
		return nil, &Error{1, "the file has several documents, want one"}
	}
	return Resolve(doc.Content[0]), nil
}
