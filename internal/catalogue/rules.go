package catalogue

import (
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/yamlnode"
)

// reasonForm keeps reasons fit for labels of metrics and for programs.
var reasonForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// rules reads the replies that mean failure.
func rules(dst *[]Rule) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return yamlnode.Wrong(n, path, "is %s, want a list of {frame, equals, reason, status, detail}", yamlnode.Show(n))
		}
		if len(n.Content) > mostRules {
			return yamlnode.Wrong(n, path, "has %d rules, want at most %d", len(n.Content), mostRules)
		}
		for i, item := range n.Content {
			rule, err := parseRule(fmt.Sprintf("%s[%d]", path, i), yamlnode.Resolve(item))
			if err != nil {
				return err
			}
			*dst = append(*dst, rule)
		}
		return nil
	}
}

// status reads the status of a response to a request that ran. To callers and
// proxies some mean that it was not sent or make them send it again, and others need
// headers that only the gateway's own refusals have.
func status(dst *int) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if err := integer(dst, 400, 599)(path, n); err != nil {
			return err
		}
		switch *dst {
		case 401, 405, 407, 408, 415, 417, 421, 425, 426, 429, 499, 503:
			return yamlnode.Wrong(n, path, "is %s, want none of 401, 405, 407, 408, 415, 417, 421, 425, 426, 429, 499, 503: they say that the request was not sent, or how to send it again", yamlnode.Show(n))
		}
		return nil
	}
}

func parseRule(path string, n *yaml.Node) (Rule, error) {
	var r Rule
	var equals *yaml.Node
	err := object(path, n, []yamlnode.Field{
		{Key: "frame", Read: integer(&r.Frame, 0, mostFrames)},
		{Key: "equals", Read: keep(&equals)},
		{Key: "reason", Read: text(&r.Reason)},
		{Key: "status", Read: status(&r.Status)},
		{Key: "detail", Read: text(&r.Detail)},
	})
	switch {
	case err != nil:
		return r, err
	case equals == nil:
		return r, yamlnode.Wrong(n, path, "has no equals, want the bytes of the frame")
	case !reasonForm.MatchString(r.Reason):
		return r, yamlnode.Wrong(n, path+".reason", "is %q, want 1 to 64 of a-z, 0-9 and _, the first a letter", r.Reason)
	}
	var bytes string
	err = text(&bytes)(path+".equals", equals)
	r.Equals = []byte(bytes)
	return r, err
}
