package main

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/nearest"
	"mdpgateway/internal/yamlnode"
)

// parseDialect reads a preset's name. The error says what is wanted.
func parseDialect(name string) (*mdp.Dialect, error) {
	d, err := mdp.ParseDialect(name)
	if err == nil {
		return d, nil
	}
	if near := nearest.Of(name, mdp.PresetNames()); near != "" {
		return nil, fmt.Errorf("%s; did you mean %s?", yamlnode.Wish(err), near)
	}
	return nil, errors.New(yamlnode.Wish(err))
}

// readDialect reads a preset's name, or a dialect that is declared.
func readDialect(dst **mdp.Dialect) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind == yaml.MappingNode {
			d, err := declared(path, n)
			*dst = d
			return err
		}
		return yamlnode.Scalar(dst, parseDialect)(path, n)
	}
}

// declaredName is the name of every dialect that is declared.
const declaredName = "declared"

// declared reads a mapping that describes a dialect. What it leaves out is as in mdp/0.1.
func declared(path string, n *yaml.Node) (*mdp.Dialect, error) {
	d := &mdp.Dialect{Name: declaredName, RequestDelimiter: true, ReplyDelimiter: true, NamesService: true}
	nodes := make(map[string]*yaml.Node) // by the key as mdp.LayoutError has it
	frame := func(key string, dst *[]byte) yamlnode.Reader {
		return func(path string, n *yaml.Node) error {
			var text string
			err := yamlnode.Text(&text)(path, n)
			*dst, nodes[key] = []byte(text), n
			return err
		}
	}
	err := yamlnode.Object(path, n, []yamlnode.Field{
		{Key: "header", Read: frame("header", &d.Header), Need: "the frame that messages of clients begin with"},
		{Key: "delimiter", Read: object(
			yamlnode.Field{Key: "request", Read: yamlnode.Boolean(&d.RequestDelimiter)},
			yamlnode.Field{Key: "reply", Read: yamlnode.Boolean(&d.ReplyDelimiter)})},
		{Key: "request", Read: frame("request", &d.Request)},
		{Key: "partial", Read: frame("partial", &d.Partial)},
		{Key: "final", Read: frame("final", &d.Final)},
		{Key: "error", Read: frame("error", &d.Error)},
		{Key: "names_service", Read: yamlnode.Boolean(&d.NamesService)},
		{Key: "padded", Read: yamlnode.Boolean(&d.Padded)},
		{Key: "status_frame", Read: object(
			yamlnode.Field{Key: "ok", Read: frame("status_frame.ok", &d.OK), Need: "the frame before a reply's body"},
			yamlnode.Field{Key: "failed", Read: frame("status_frame.failed", &d.Failed), Need: "the frame in place of ok"})},
		{Key: "mmi", Read: yamlnode.Scalar(&d.MMI, mdp.ParseMMI)},
	})
	if err != nil {
		return nil, err
	}
	if e, ok := errors.AsType[*mdp.LayoutError](d.Check()); ok {
		if at := nodes[e.Key]; at != nil {
			n = at
		}
		return nil, yamlnode.Wrong(n, path+"."+e.Key, "%s", e.Text)
	}
	return d, nil
}

// object reads a mapping whose keys are those of fields.
func object(fields ...yamlnode.Field) yamlnode.Reader {
	return func(path string, n *yaml.Node) error { return yamlnode.Object(path, n, fields) }
}

// dialectNode returns a dialect as the file has it: its name, or what readDialect reads.
func dialectNode(d *mdp.Dialect) *yaml.Node {
	if d.Name != declaredName {
		return scalarNode(d.Name)
	}
	m := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	add := func(to *yaml.Node, key string, value *yaml.Node) {
		to.Content = append(to.Content, scalarNode(key), value)
	}
	frame := func(to *yaml.Node, key string, text []byte) {
		if text == nil {
			return
		}
		n := &yaml.Node{}
		n.SetString(string(text))
		n.Style = yaml.DoubleQuotedStyle
		add(to, key, n)
	}
	boolean := func(to *yaml.Node, key string, b bool) {
		add(to, key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(b)})
	}
	frame(m, "header", d.Header)
	delimiter := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	boolean(delimiter, "request", d.RequestDelimiter)
	boolean(delimiter, "reply", d.ReplyDelimiter)
	add(m, "delimiter", delimiter)
	frame(m, "request", d.Request)
	frame(m, "partial", d.Partial)
	frame(m, "final", d.Final)
	frame(m, "error", d.Error)
	boolean(m, "names_service", d.NamesService)
	boolean(m, "padded", d.Padded)
	if d.OK != nil {
		status := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		frame(status, "ok", d.OK)
		frame(status, "failed", d.Failed)
		add(m, "status_frame", status)
	}
	return m
}

// layout returns the messages of a dialect in one line.
func layout(d *mdp.Dialect) string {
	text := ""
	for _, m := range d.Messages() {
		text += m.Name + " " + mdp.Show(m.Frames) + "; "
	}
	return text + "mmi " + d.MMI.String()
}
