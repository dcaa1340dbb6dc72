package catalogue

import (
	"regexp"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/yamlnode"
)

// reasonForm keeps reasons fit for labels of metrics and for programs.
var reasonForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// status reads the status of a response to a request that ran. To callers and
// proxies some mean that it was not sent or make them send it again, and others need
// headers that only the gateway's own refusals have.
func status(dst *int) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		if err := yamlnode.Integer(dst, 400, 599)(path, n); err != nil {
			return err
		}
		switch *dst {
		case 401, 405, 407, 408, 415, 417, 421, 425, 426, 429, 499, 503:
			return yamlnode.Wrong(n, path, "is %s, want none of 401, 405, 407, 408, 415, 417, 421, 425, 426, 429, 499, 503: they say that the request was not sent, or how to send it again", yamlnode.Show(n))
		}
		return nil
	}
}

// rule reads a reply that means failure.
func rule(r *Rule) yamlnode.Reader {
	var equals string
	fields := []yamlnode.Field{
		{Key: "frame", Read: yamlnode.Integer(&r.Frame, 0, mostFrames)},
		{Key: "equals", Read: yamlnode.Text(&equals), Need: "the bytes of the frame"},
		{Key: "reason", Read: yamlnode.Text(&r.Reason)},
		{Key: "status", Read: status(&r.Status)},
		{Key: "detail", Read: yamlnode.Text(&r.Detail)},
	}
	return func(path string, n *yaml.Node) error {
		if err := yamlnode.Object(path, n, fields); err != nil {
			return err
		}
		r.Equals = []byte(equals)
		if !reasonForm.MatchString(r.Reason) {
			return yamlnode.Wrong(n, path+".reason", "is %q, want 1 to 64 of a-z, 0-9 and _, the first a letter", r.Reason)
		}
		return nil
	}
}
