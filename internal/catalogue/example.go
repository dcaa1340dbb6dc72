package catalogue

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
	"mdpgateway/internal/yamlnode"
)

// setExample reads an example and proves that, as a request, it would be sent.
func (s *Service) setExample(path string, n *yaml.Node, defaults *Defaults) (err error) {
	var vars, other *yaml.Node
	err = yamlnode.Object(path, n, []yamlnode.Field{
		{Key: "body", Read: yamlnode.Keep(&other)}, {Key: "frames", Read: yamlnode.Keep(&other)}, {Key: "encoding", Read: yamlnode.Keep(&other)}, {Key: "vars", Read: yamlnode.Keep(&vars)},
	})
	if err != nil {
		return err
	}
	if s.Example, err = toJSON(path, n); err != nil {
		return err
	}
	if size := int64(len(s.Example)); size > defaults.MaxBody && defaults.MaxBody != 0 {
		return yamlnode.Wrong(n, path, "has %d bytes as JSON, want at most --max-body, which is %d", size, defaults.MaxBody)
	}
	if defaults.CheckBody != nil {
		frames, err := defaults.CheckBody(s.Example)
		if err != nil {
			return yamlnode.Wrong(n, path, "is refused as a request: %s", why(err))
		}
		if most := s.MostFrames(slices.ContainsFunc(defaults.Loudify, s.MayAsk)); frames > most {
			return yamlnode.Wrong(n, path, "has %d frames, and the service takes at most %d", frames, most)
		}
	}
	if vars == nil {
		return s.checkNoVars(path, n)
	}
	return s.checkExampleVars(path+".vars", vars, defaults.MaxVars)
}

// checkNoVars holds that an example may do without vars.
func (s *Service) checkNoVars(path string, n *yaml.Node) error {
	if faults := s.CheckVars(ijson.Empty); len(faults) > 0 {
		return yamlnode.Wrong(n, path, "has no vars, and without does not match vars_schema: %s: %s", faults[0].Pointer, faults[0].Detail)
	}
	return nil
}

func (s *Service) checkExampleVars(path string, vars *yaml.Node, most int) error {
	if s.Vars == flowgraph.None {
		return yamlnode.Wrong(vars, path, "is given, but vars is none")
	}
	text, err := toJSON(path, vars)
	if err != nil {
		return err
	}
	object, err := ijson.ParseObject(text)
	if err != nil {
		return yamlnode.Wrong(vars, path, "can't be sent: %v", err)
	}
	frame, err := s.Vars.Append(nil, object)
	if err != nil {
		return yamlnode.Wrong(vars, path, "can't be sent: %v", err)
	}
	if len(frame) > most && most != 0 {
		return yamlnode.Wrong(vars, path, "has %d bytes as a frame, want at most --max-vars, which is %d", len(frame), most)
	}
	if faults := s.CheckVars(object); len(faults) > 0 {
		return yamlnode.Wrong(vars, path, "does not match vars_schema: %s: %s", faults[0].Pointer, faults[0].Detail)
	}
	return nil
}

// why says what is wrong with a request and, if that is known, where.
func why(err error) string {
	e := gateway.AsError(err)
	if len(e.Faults) > 0 {
		return e.Faults[0].Pointer + ": " + e.Faults[0].Detail
	}
	return e.Error()
}
