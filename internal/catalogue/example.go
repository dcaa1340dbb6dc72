package catalogue

import (
	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/yamlnode"
)

// setExample reads an example and proves that, as a request, it would be sent, as far
// as the service itself decides: the gateway's bounds on sizes, and the one frame that
// a loudify broker's workers take, are not looked at.
func (s *Service) setExample(path string, n *yaml.Node, checkBody func([]byte) (int, error)) (err error) {
	var vars, other *yaml.Node
	err = object(path, n, []yamlnode.Field{
		{Key: "body", Read: keep(&other)}, {Key: "frames", Read: keep(&other)}, {Key: "encoding", Read: keep(&other)}, {Key: "vars", Read: keep(&vars)},
	})
	if err != nil {
		return err
	}
	if s.Example, err = toJSON(path, n); err != nil {
		return err
	}
	if checkBody != nil {
		frames, err := checkBody(s.Example)
		if err != nil {
			return yamlnode.Wrong(n, path, "is refused as a request: %s", why(err))
		}
		if most := s.MostFrames(false); frames > most {
			return yamlnode.Wrong(n, path, "has %d frames, and the service takes at most %d", frames, most)
		}
	}
	if vars == nil {
		return s.checkNoVars(path, n)
	}
	return s.checkExampleVars(path+".vars", vars)
}

// checkNoVars holds that an example may do without vars.
func (s *Service) checkNoVars(path string, n *yaml.Node) error {
	if faults := s.CheckVars([]byte("{}")); len(faults) > 0 {
		return yamlnode.Wrong(n, path, "has no vars, and without does not match vars_schema: %s: %s", faults[0].Pointer, faults[0].Detail)
	}
	return nil
}

func (s *Service) checkExampleVars(path string, vars *yaml.Node) error {
	if s.Vars == flowgraph.None {
		return yamlnode.Wrong(vars, path, "is given, but vars is none")
	}
	text, err := toJSON(path, vars)
	if err != nil {
		return err
	}
	if _, err := s.Vars.Append(nil, text); err != nil {
		return yamlnode.Wrong(vars, path, "can't be sent: %v", err)
	}
	if faults := s.CheckVars(text); len(faults) > 0 {
		return yamlnode.Wrong(vars, path, "does not match vars_schema: %s: %s", faults[0].Pointer, faults[0].Detail)
	}
	return nil
}

// why says what is wrong with a request and, if that is known, where.
func why(err error) string {
	e := mdp.AsError(err)
	if len(e.Faults) > 0 {
		return e.Faults[0].Pointer + ": " + e.Faults[0].Detail
	}
	return e.Error()
}
