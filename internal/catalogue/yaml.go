package catalogue

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/yamlnode"
)

// An Error is what is wrong with the services.
type Error = yamlnode.Error

// object reads a mapping whose keys are those of fields, each at most once. A key
// without value is as good as none, and so is an object.
func object(path string, n *yaml.Node, fields []yamlnode.Field) error {
	return members(path, n, func(path string, key, value *yaml.Node) error {
		i := slices.IndexFunc(fields, func(f yamlnode.Field) bool { return f.Key == key.Value })
		if i < 0 {
			return yamlnode.Wrong(key, path, "is no key here, want one of %s", yamlnode.Keys(fields))
		}
		if value.Tag == "!!null" {
			return nil
		}
		return fields[i].Read(path, value)
	})
}

// members calls fn for each member of a mapping. YAML nodes let duplicate keys
// pass, of which one would be lost.
func members(path string, n *yaml.Node, fn func(path string, key, value *yaml.Node) error) error {
	n = yamlnode.Resolve(n)
	if n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return yamlnode.Wrong(n, path, "is %s, want keys and values", yamlnode.Show(n))
	}
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], yamlnode.Resolve(n.Content[i+1])
		at := path + "." + key.Value
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return yamlnode.Wrong(key, path, "has a key that is no plain text")
		}
		if seen[key.Value] {
			return yamlnode.Wrong(key, at, "is there twice")
		}
		seen[key.Value] = true
		if err := fn(at, key, value); err != nil {
			return err
		}
	}
	return nil
}

// keep hands the value on to who reads it later.
func keep(dst **yaml.Node) yamlnode.Reader {
	return func(_ string, n *yaml.Node) error {
		*dst = n
		return nil
	}
}

// text reads a string; !!binary is how YAML writes one that is no text.
func text(dst *string) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Tag != "!!binary" || n.Decode(dst) != nil {
			return yamlnode.Wrong(n, path, "is %s, want text in quotes", yamlnode.Show(n))
		}
		return nil
	}
}

// list reads a list of names, each of which must be known.
func list(dst *[]string, known []string) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return yamlnode.Wrong(n, path, "is %s, want a list", yamlnode.Show(n))
		}
		for _, item := range n.Content {
			if item = yamlnode.Resolve(item); item.Kind != yaml.ScalarNode || !slices.Contains(known, item.Value) {
				return yamlnode.Wrong(item, path, "has %s, want names out of: %s", yamlnode.Show(item), strings.Join(known, ", "))
			}
			*dst = append(*dst, item.Value)
		}
		return nil
	}
}

func duration(dst *time.Duration) yamlnode.Reader {
	return func(path string, n *yaml.Node) (err error) {
		if *dst, err = time.ParseDuration(n.Value); err != nil || *dst <= 0 {
			return yamlnode.Wrong(n, path, "is %s, want a duration above 0 such as 30s or 500ms", yamlnode.Show(n))
		}
		return nil
	}
}

func integer(dst *int, least, most int) yamlnode.Reader {
	return func(path string, n *yaml.Node) (err error) {
		if *dst, err = strconv.Atoi(n.Value); err != nil || *dst < least || *dst > most {
			return yamlnode.Wrong(n, path, "is %s, want a whole number from %d to %d", yamlnode.Show(n), least, most)
		}
		return nil
	}
}

func boolean(dst *bool) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if n.Tag != "!!bool" || n.Decode(dst) != nil {
			return yamlnode.Wrong(n, path, "is %s, want true or false", yamlnode.Show(n))
		}
		return nil
	}
}

// named reads one of a set of names. The error of parse must begin with the key.
func named[T any](dst *T, parse func(string) (T, error)) yamlnode.Reader {
	return func(path string, n *yaml.Node) (err error) {
		if n.Kind != yaml.ScalarNode {
			return yamlnode.Wrong(n, path, "is %s, want a name", yamlnode.Show(n))
		}
		if *dst, err = parse(n.Value); err != nil {
			_, rest, _ := strings.Cut(err.Error(), " ")
			return yamlnode.Wrong(n, path, "%s", rest)
		}
		return nil
	}
}
