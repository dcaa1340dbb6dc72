package catalogue

import (
	"bytes"
	"slices"
	"time"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
)

// A Service is one service as configured. It is shared by all calls: do not
// write to it.
type Service struct {
	Name        string
	Description string
	Brokers     []string           // which may be asked, by name; none means all
	Timeout     time.Duration      // of a call that asks for none; 0 means the gateway's
	MaxTimeout  time.Duration      // the most a call may ask for; 0 means the gateway's
	Vars        flowgraph.Encoding // of the vars frame
	VarsSchema  *Schema            // what the vars must match; nil means anything
	Example     []byte             // a request body in JSON that the service takes, or nil
	MaxFrames   int                // of a request's body; 0 means the default for its dialect and Vars
	Reply       gateway.Encoding   // of the frames of a reply within JSON
	MaxReply    int64              // bytes of a reply; 0 means the gateway's
	ContentType string             // of raw replies; empty means application/octet-stream
	MaxInFlight int                // calls at once; 0 means that nothing but the pool bounds them
	Reuse       gateway.Reuse      // whether its calls share connections
	Jobs        gateway.JobRules   // of its asynchronous calls
	Errors      []Rule             // replies that mean failure, the first that matches counts
}

// MayAsk reports whether the service may be asked at the broker of that name. A nil
// service may be asked at any.
func (s *Service) MayAsk(broker string) bool {
	return s == nil || len(s.Brokers) == 0 || slices.Contains(s.Brokers, broker)
}

// CheckVars says where vars, a JSON object, do not match the service's schema.
// The pointers are those of a request body: #/vars/sf. Any input is safe.
func (s *Service) CheckVars(vars ijson.Object) []gateway.Fault {
	if s.VarsSchema == nil {
		return nil
	}
	return s.VarsSchema.check(vars)
}

// defaultMaxFrames bounds the body of services that say nothing else, and that
// do not take a vars frame behind exactly one data frame.
const defaultMaxFrames = 100

// MostFrames returns how many frames a body may have. Loudify says that it may go
// to a broker of that dialect, whose workers die of a second one. A nil service is
// any that is not in the catalogue.
func (s *Service) MostFrames(loudify bool) int {
	switch {
	case s != nil && s.MaxFrames > 0:
		return s.MaxFrames
	case loudify, s != nil && s.Vars == flowgraph.Python:
		return 1
	}
	return defaultMaxFrames
}

// Match returns the rule that a reply of these frames fulfils, or nil if it is
// not known to mean failure.
func (s *Service) Match(frames [][]byte) *Rule {
	for i := range s.Errors {
		if r := &s.Errors[i]; r.Frame < len(frames) && bytes.Equal(frames[r.Frame], r.Equals) {
			return r
		}
	}
	return nil
}

// A Rule tells a reply that means failure: its frame of that index equals these
// bytes.
type Rule struct {
	Frame  int
	Equals []byte
	Reason string // a constant, fit for a label
	Status int    // of the HTTP response, none that says that nothing was sent; 0 means the default
	Detail string // for the caller
}
