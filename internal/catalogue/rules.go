package catalogue

import (
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// reasonForm keeps reasons fit for labels of metrics and for programs.
var reasonForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// rules reads the replies that mean failure.
func rules(dst *[]Rule) reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return wrong(n, path, "is %s, want a list of {frame, equals, reason, status, detail}", show(n))
		}
		if len(n.Content) > mostRules {
			return wrong(n, path, "has %d rules, want at most %d", len(n.Content), mostRules)
		}
		for i, item := range n.Content {
			rule, err := parseRule(fmt.Sprintf("%s[%d]", path, i), resolve(item))
			if err != nil {
				return err
			}
			*dst = append(*dst, rule)
		}
		return nil
	}
}

func parseRule(path string, n *yaml.Node) (Rule, error) {
	var r Rule
	var equals *yaml.Node
	err := object(path, n, []field{
		{"frame", integer(&r.Frame, 0, mostFrames)},
		{"equals", keep(&equals)},
		{"reason", text(&r.Reason)},
		{"status", integer(&r.Status, 400, 599)},
		{"detail", text(&r.Detail)},
	})
	switch {
	case err != nil:
		return r, err
	case equals == nil:
		return r, wrong(n, path, "has no equals, want the bytes of the frame")
	case !reasonForm.MatchString(r.Reason):
		return r, wrong(n, path+".reason", "is %q, want 1 to 64 of a-z, 0-9 and _, the first a letter", r.Reason)
	}
	var bytes string
	err = text(&bytes)(path+".equals", equals)
	r.Equals = []byte(bytes)
	return r, err
}
