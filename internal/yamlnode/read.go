package yamlnode

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/nearest"
)

// A Reader reads the value at path. It is given what an alias stands for.
type Reader func(path string, n *yaml.Node) error

// A Field is a key that a mapping may have, and what reads its value.
type Field struct {
	Key  string
	Read Reader
	Need string // if the key must be there, what it is
}

// Object reads a mapping whose keys are those of fields.
func Object(path string, n *yaml.Node, fields []Field) error {
	n = Resolve(n)
	seen := make(map[string]bool)
	err := Members(path, n, func(at string, key, value *yaml.Node) error {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Key == key.Value })
		if i < 0 {
			return unknown(at, key, fields)
		}
		if value.Tag == "!!null" {
			return nil
		}
		seen[key.Value] = true
		return fields[i].Read(at, value)
	})
	for _, f := range fields {
		if err == nil && f.Need != "" && !seen[f.Key] {
			err = Wrong(n, path, "has no %s, want %s", f.Key, f.Need)
		}
	}
	return err
}

// unknown is the error of a key that a mapping may not have.
func unknown(at string, key *yaml.Node, fields []Field) error {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.Key
	}
	if near := nearest.Of(key.Value, keys); near != "" {
		return Wrong(key, at, "is no key here, did you mean %s? want one of %s", near, strings.Join(keys, ", "))
	}
	return Wrong(key, at, "is no key here, want one of %s", strings.Join(keys, ", "))
}

// Members calls fn for each member of a mapping. The parser lets a key pass that is there
// twice, of which one would be lost. Path is empty for the file itself.
func Members(path string, n *yaml.Node, fn func(path string, key, value *yaml.Node) error) error {
	n = Resolve(n)
	what, prefix := path, path+"."
	if path == "" {
		what, prefix = "the file", ""
	}
	switch {
	case n.Tag == "!!null":
		return nil
	case n.Kind != yaml.MappingNode:
		return Wrong(n, what, "is %s, want keys and values", Show(n))
	}
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], Resolve(n.Content[i+1])
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || strings.Contains(key.Value, secretPrefix) {
			return Wrong(key, what, "has a key that is no plain text")
		}
		if seen[key.Value] {
			return Wrong(key, prefix+key.Value, "is there twice")
		}
		seen[key.Value] = true
		if err := fn(prefix+key.Value, key, value); err != nil {
			return err
		}
	}
	return nil
}

// List reads a list of at most that many items, each with its own Reader; want says what they
// are.
func List[T any](dst *[]T, most int, want string, read func(item *T) Reader) Reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return Wrong(n, path, "is %s, want a list of %s", Show(n), want)
		}
		if len(n.Content) > most {
			return Wrong(n, path, "has %d items, want at most %d", len(n.Content), most)
		}
		for i, each := range n.Content {
			var item T
			if err := read(&item)(fmt.Sprintf("%s[%d]", path, i), Resolve(each)); err != nil {
				return err
			}
			*dst = append(*dst, item)
		}
		return nil
	}
}

// Keep hands the value on to what reads it later.
func Keep(dst **yaml.Node) Reader {
	return func(_ string, n *yaml.Node) error {
		*dst = n
		return nil
	}
}

// Text reads a string; !!binary is how YAML writes one that is no text.
func Text(dst *string) Reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Tag != "!!binary" || n.Decode(dst) != nil {
			return Wrong(n, path, "is %s, want text in quotes", Show(n))
		}
		return nil
	}
}

// Scalar reads one value. The error of parse says what is wanted, alone or after ", want ".
func Scalar[T any](dst *T, parse func(text string) (T, error)) Reader {
	return func(path string, n *yaml.Node) (err error) {
		*dst, err = parse(n.Value)
		if err == nil && n.Kind != yaml.ScalarNode {
			err = errors.New("one value")
		}
		if err != nil {
			return Wrong(n, path, "is %s, want %s", Show(n), Wish(err))
		}
		return nil
	}
}

// Wish returns what an error says is wanted.
func Wish(err error) string {
	text := err.Error()
	if _, want, found := strings.Cut(text, ", want "); found {
		return want
	}
	return text
}

// Duration reads a duration above 0.
func Duration(dst *time.Duration) Reader {
	return Scalar(dst, func(text string) (time.Duration, error) { return ParseDuration(text, 1) })
}

// ParseDuration reads a duration of at least that much, 0 or 1 ns. The error says what is wanted.
func ParseDuration(text string, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err == nil && d >= least:
		return d, nil
	case least > 0:
		return 0, errors.New("a duration above 0 such as 25s or 500ms")
	}
	return 0, errors.New("a duration such as 25s or 500ms")
}

// Integer reads a whole number.
func Integer(dst *int, least, most int) Reader {
	return Scalar(dst, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("a whole number from %d to %d", least, most)
		}
		return n, nil
	})
}

// Boolean reads true or false.
func Boolean(dst *bool) Reader {
	return func(path string, n *yaml.Node) error {
		if n.Tag != "!!bool" || n.Decode(dst) != nil {
			return Wrong(n, path, "is %s, want true or false", Show(n))
		}
		return nil
	}
}
