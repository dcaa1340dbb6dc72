package catalogue

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/ijson"
	"mdpgateway/internal/yamlnode"
)

// maxValues bounds a schema or an example: aliases make few lines many values.
const maxValues = 20_000

// toJSON writes a YAML value as compact JSON, with its members in their order.
func toJSON(path string, n *yaml.Node) ([]byte, error) {
	w := jsonWriter{left: maxValues}
	err := w.value(path, n, 0)
	return w.dst, err
}

type jsonWriter struct {
	dst  []byte
	left int // values that may still come
}

func (w *jsonWriter) value(path string, n *yaml.Node, depth int) error {
	n = yamlnode.Resolve(n)
	if w.left--; w.left < 0 || depth > ijson.MaxDepth {
		return yamlnode.Wrong(n, path, "is too large, want at most %d values in %d levels", maxValues, ijson.MaxDepth)
	}
	switch n.Kind {
	case yaml.MappingNode:
		return w.object(path, n, depth)
	case yaml.SequenceNode:
		w.dst = append(w.dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				w.dst = append(w.dst, ',')
			}
			if err := w.value(fmt.Sprintf("%s[%d]", path, i), item, depth+1); err != nil {
				return err
			}
		}
		w.dst = append(w.dst, ']')
		return nil
	}
	return w.scalar(path, n)
}

func (w *jsonWriter) object(path string, n *yaml.Node, depth int) error {
	separator := byte('{')
	err := yamlnode.Members(path, n, func(path string, key, value *yaml.Node) error {
		w.dst = append(w.dst, separator)
		separator = ','
		w.string(key.Value)
		w.dst = append(w.dst, ':')
		return w.value(path, value, depth+1)
	})
	if separator == '{' {
		w.dst = append(w.dst, '{')
	}
	w.dst = append(w.dst, '}')
	return err
}

// string cannot fail: YAML that is not UTF-8 has not been parsed.
func (w *jsonWriter) string(s string) { w.dst, _ = jsontext.AppendQuote(w.dst, s) }

// scalar writes numbers as they are spelled, if JSON knows the spelling.
func (w *jsonWriter) scalar(path string, n *yaml.Node) error {
	switch n.Tag {
	case "!!str", "!!timestamp":
		w.string(n.Value)
		return nil
	case "!!null":
		w.dst = append(w.dst, "null"...)
		return nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err == nil {
			w.dst = fmt.Appendf(w.dst, "%t", b)
			return nil
		}
	case "!!int", "!!float":
		if v := jsontext.Value(n.Value); v.Kind() == jsontext.KindNumber && v.IsValid() {
			w.dst = append(w.dst, n.Value...)
			return nil
		}
	}
	return yamlnode.Wrong(n, path, "is %s, want what JSON can hold: text, a number as JSON writes it, true, false or null", yamlnode.Show(n))
}
