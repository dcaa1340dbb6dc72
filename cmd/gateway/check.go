package main

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// writeEffective writes the settings in force as a configuration file: what it
// prints, given back with --config, means the same. Its comments say what strangers can reach,
// and which messages each broker is sent and expected to send.
func writeEffective(w io.Writer, flags []*kong.Flag, s *settings) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	add := func(key string, value *yaml.Node) {
		root.Content = append(root.Content, scalarNode(key), value)
	}
	for _, f := range flags {
		switch {
		case slices.Contains([]string{"help", "config", "check", "broker"}, f.Name): // brokers has what broker says, and more
		case f.Name == accessKey && s.accessList != nil:
			add(accessKey, s.accessList)
		case f.Name == consoleKey && s.console != nil && s.Console:
			add(consoleKey, s.console)
		default:
			add(f.Name, node(f))
		}
	}
	if len(s.Brokers) > 0 {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, b := range s.Brokers {
			n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, HeadComment: layout(b.Dialect), Content: []*yaml.Node{
				scalarNode("name"), scalarNode(b.Name),
				scalarNode("endpoint"), scalarNode(b.Address),
				scalarNode("dialect"), dialectNode(b.Dialect),
				scalarNode("mmi"), scalarNode(b.Dialect.MMI.String()),
			}}
			if b.Curve != nil {
				n.Content = append(n.Content, scalarNode("curve"), clientNode(b.Curve))
			}
			list.Content = append(list.Content, n)
		}
		add(brokersKey, list)
	}
	if s.issuers != nil {
		add(issuersKey, s.issuers)
	}
	if s.Services != nil {
		add(servicesKey, s.Services)
	}
	for _, e := range s.exposures() {
		if _, err := fmt.Fprintf(w, "# warning: %s is %s: %s\n", e.setting, e.value, e.message); err != nil {
			return err
		}
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return err
	}
	return enc.Close()
}

// node returns the value of a flag in the form that the file has.
func node(f *kong.Flag) *yaml.Node {
	switch value := f.Target.Interface().(type) {
	case time.Duration:
		return scalarNode(formatDuration(value))
	case fmt.Stringer:
		return scalarNode(value.String())
	}
	v := reflect.Indirect(f.Target)
	if v.Kind() == reflect.Slice && v.Len() == 1 && f.HasDefault {
		return scalarNode(v.Index(0).String())
	}
	if v.Kind() == reflect.Slice {
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			list.Content = append(list.Content, scalarNode(v.Index(i).String()))
		}
		return list
	}
	if f.Tag.Type == "bytes" {
		return &yaml.Node{Kind: yaml.ScalarNode, Value: formatBytes(v.Int())}
	}
	if v.Kind() == reflect.String {
		return scalarNode(v.String())
	}
	n := new(yaml.Node)
	if err := n.Encode(v.Interface()); err != nil {
		panic(fmt.Sprintf("--%s has a value of type %s: %v", f.Name, v.Type(), err))
	}
	return n
}

// scalarNode returns a string, quoted where YAML would read something else.
func scalarNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if s == "" || strings.ContainsAny(s, "*&#{}[],'\"") {
		n.SetString(strconv.Quote(s))
		n.Style, n.Value = yaml.DoubleQuotedStyle, s
	}
	return n
}
