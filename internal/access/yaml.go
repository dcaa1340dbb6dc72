package access

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/yamlnode"
)

// An Error is what is wrong with a keys file. Its text never shows what may be a
// secret.
type Error = yamlnode.Error

// object reads a mapping whose members are those of fields, each at most once.
// Those in required must be there; its values say what each is. A member without
// value is as good as none.
func object(path string, n *yaml.Node, fields []yamlnode.Field, required map[string]string) error {
	if n = yamlnode.Resolve(n); n.Kind != yaml.MappingNode {
		return yamlnode.Wrong(n, path, "is %s, want {id, sha256, services, expires, rate, max_in_flight}", show(n))
	}
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], yamlnode.Resolve(n.Content[i+1])
		at := slices.IndexFunc(fields, func(f yamlnode.Field) bool { return f.Key == key.Value && key.Kind == yaml.ScalarNode })
		if at < 0 {
			return yamlnode.Wrong(key, path, "has the member %s, want only %s", show(key), yamlnode.Keys(fields))
		}
		if seen[key.Value] {
			return yamlnode.Wrong(key, path+"."+key.Value, "is there twice")
		}
		if value.Tag == "!!null" {
			continue
		}
		seen[key.Value] = true
		if err := fields[at].Read(path+"."+key.Value, value); err != nil {
			return err
		}
	}
	for _, f := range fields {
		if want, must := required[f.Key]; must && !seen[f.Key] {
			return yamlnode.Wrong(n, path, "has no %s, want %s", f.Key, want)
		}
	}
	return nil
}

// show returns a value as an error shows it. What looks like a key is not shown.
func show(n *yaml.Node) string {
	if strings.Contains(n.Value, prefix) {
		return "a key itself"
	}
	return yamlnode.Show(n)
}
