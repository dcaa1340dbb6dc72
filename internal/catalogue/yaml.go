package catalogue

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// An Error is what is wrong with the file. Its text is one line that names the
// key, its value and what is wanted.
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

// A field is a key that an object may have, and what reads its value.
type field struct {
	key  string
	read reader
}

// object reads a mapping whose keys are those of fields, each at most once. A key
// without value is as good as none, and so is an object.
func object(path string, n *yaml.Node, fields []field) error {
	return members(path, n, func(path string, key, value *yaml.Node) error {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key.Value })
		if i < 0 {
			var keys []string
			for _, f := range fields {
				keys = append(keys, f.key)
			}
			return wrong(key, path, "is no key here, want one of %s", strings.Join(keys, ", "))
		}
		if value.Tag == "!!null" {
			return nil
		}
		return fields[i].read(path, value)
	})
}

// members calls fn for each member of a mapping. YAML nodes let duplicate keys
// pass, of which one would be lost.
func members(path string, n *yaml.Node, fn func(path string, key, value *yaml.Node) error) error {
	n = resolve(n)
	if n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return wrong(n, path, "is %s, want keys and values", show(n))
	}
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		at := path + "." + key.Value
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return wrong(key, path, "has a key that is no plain text")
		}
		if seen[key.Value] {
			return wrong(key, at, "is there twice")
		}
		seen[key.Value] = true
		if err := fn(at, key, value); err != nil {
			return err
		}
	}
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// show returns a value as an error shows it. Only scalars have a Value, so those
// who parse it refuse lists and mappings.
func show(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%.60q", n.Value)
}

// keep hands the value on to who reads it later.
func keep(dst **yaml.Node) reader {
	return func(_ string, n *yaml.Node) error {
		*dst = n
		return nil
	}
}

// text reads a string; !!binary is how YAML writes one that is no text.
func text(dst *string) reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Tag != "!!binary" || n.Decode(dst) != nil {
			return wrong(n, path, "is %s, want text in quotes", show(n))
		}
		return nil
	}
}

// list reads a list of names, each of which must be known.
func list(dst *[]string, known []string) reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return wrong(n, path, "is %s, want a list", show(n))
		}
		for _, item := range n.Content {
			if item = resolve(item); item.Kind != yaml.ScalarNode || !slices.Contains(known, item.Value) {
				return wrong(item, path, "has %s, want names out of: %s", show(item), strings.Join(known, ", "))
			}
			*dst = append(*dst, item.Value)
		}
		return nil
	}
}

func duration(dst *time.Duration) reader {
	return func(path string, n *yaml.Node) (err error) {
		if *dst, err = time.ParseDuration(n.Value); err != nil || *dst <= 0 {
			return wrong(n, path, "is %s, want a duration above 0 such as 30s or 500ms", show(n))
		}
		return nil
	}
}

func integer(dst *int, least, most int) reader {
	return func(path string, n *yaml.Node) (err error) {
		if *dst, err = strconv.Atoi(n.Value); err != nil || *dst < least || *dst > most {
			return wrong(n, path, "is %s, want a whole number from %d to %d", show(n), least, most)
		}
		return nil
	}
}

func boolean(dst *bool) reader {
	return func(path string, n *yaml.Node) error {
		if n.Tag != "!!bool" || n.Decode(dst) != nil {
			return wrong(n, path, "is %s, want true or false", show(n))
		}
		return nil
	}
}

// named reads one of a set of names. The error of parse must begin with the key.
func named[T any](dst *T, parse func(string) (T, error)) reader {
	return func(path string, n *yaml.Node) (err error) {
		if n.Kind != yaml.ScalarNode {
			return wrong(n, path, "is %s, want a name", show(n))
		}
		if *dst, err = parse(n.Value); err != nil {
			_, rest, _ := strings.Cut(err.Error(), " ")
			return wrong(n, path, "%s", rest)
		}
		return nil
	}
}
