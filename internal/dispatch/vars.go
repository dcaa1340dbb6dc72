package dispatch

import (
	"errors"
	"fmt"
	"slices"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
	"mdpgateway/internal/mdp"
)

// varsSlack is how many times larger than their frame vars may come: with white
// space, or escapes that Python writes shorter. It bounds the work on those that
// are too large.
const varsSlack = 8

// complete checks the body and the vars of a call against what the service takes
// and appends the vars frame.
func (d *Dispatcher) complete(call *gateway.Call, spec *catalogue.Service) error {
	if mdp.IsMMI(call.Service) {
		return gateway.ReservedName(call.Service)
	}
	needed := d.needsVars(spec)
	encoding := d.cfg.Vars
	if spec != nil {
		encoding = spec.Vars
	}
	if most := spec.MostFrames(needed); len(call.Frames) > most {
		return invalidVars(fmt.Sprintf("the body has %d frames, this service takes at most %d", len(call.Frames), most))
	}
	vars := call.Vars
	if vars.IsZero() && encoding != flowgraph.None && (spec != nil || needed) {
		// Such a worker takes the last frame for its vars, whatever it is.
		vars = ijson.Empty
	}
	if vars.IsZero() {
		return nil
	}
	frame, err := d.encodeVars(vars, encoding, spec)
	if err != nil {
		return err
	}
	if len(call.Frames) == 0 {
		call.Frames = [][]byte{nil} // the data frame goes first, even if there is no data
	}
	call.Frames = append(slices.Clip(call.Frames), frame)
	return nil
}

// encodeVars writes the vars frame of a service and checks vars against its schema.
func (d *Dispatcher) encodeVars(vars ijson.Object, encoding flowgraph.Encoding, spec *catalogue.Service) ([]byte, error) {
	if encoding == flowgraph.None {
		return nil, invalidVars("this service takes no vars")
	}
	if most := varsSlack * d.cfg.MaxVars; len(vars.Text()) > most {
		return nil, invalidVars(fmt.Sprintf("the vars have %d bytes, want at most %d", len(vars.Text()), most))
	}
	frame, err := encoding.Append(nil, vars)
	if err != nil {
		return nil, varsError(err)
	}
	if len(frame) > d.cfg.MaxVars {
		return nil, invalidVars(fmt.Sprintf("the vars take %d bytes, want at most %d", len(frame), d.cfg.MaxVars))
	}
	if spec != nil { // after the size, which bounds its work and how much it finds
		if faults := spec.CheckVars(vars); len(faults) > 0 {
			return nil, &gateway.Error{Kind: gateway.InvalidVars, Detail: "the vars do not match the service's schema", Faults: faults}
		}
	}
	return frame, nil
}

// needsVars reports whether a request may go to a broker whose workers need a vars frame and
// die of a second data frame.
func (d *Dispatcher) needsVars(spec *catalogue.Service) bool {
	return slices.ContainsFunc(d.cfg.Brokers, func(b Broker) bool {
		return b.Dialect.NeedsVars && spec.MayAsk(b.Name)
	})
}

func invalidVars(detail string) error {
	return &gateway.Error{Kind: gateway.InvalidVars, Detail: detail}
}

// varsError points into the caller's document, where the vars are a member.
func varsError(err error) error {
	e := &gateway.Error{Kind: gateway.InvalidVars, Detail: "the vars can't be written for the service", Err: err}
	if at, ok := errors.AsType[*ijson.Error](err); ok {
		e.Faults = []gateway.Fault{{Pointer: ijson.Fragment("/vars" + at.Pointer), Detail: at.Detail}}
	}
	return e
}
