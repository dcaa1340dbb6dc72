package catalogue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/yamlnode"
)

// What a number in the file may be.
const (
	mostFrames   = 10_000
	mostInFlight = 1_000_000
	mostRules    = 100
	mostBrokers  = 1_000
	longestJob   = 24 * time.Hour
)

// An Error is what is wrong with the services.
type Error = yamlnode.Error

// Defaults is what the rest of the configuration means for services.
type Defaults struct {
	Brokers []string           // the names that a service may list
	Vars    flowgraph.Encoding // of services that say nothing else

	MaxTimeout time.Duration // the most that a service's own timeout may be; 0 is any
	MaxReply   int64         // the most that a service's own largest reply may be; 0 is any

	// What an example may be, as any request.
	Loudify []string // of Brokers, those whose workers take one frame
	MaxBody int64    // bytes of it; 0 is any number
	MaxVars int      // bytes of its vars frame; 0 is any number

	// CheckBody says of a request body in JSON how many frames it has, or, with an
	// *gateway.Error, why it is refused: examples are held against it. It is a function
	// since bodies are read where HTTP is. Nil takes any body.
	CheckBody func(body []byte) (frames int, err error)
}

// Parse reads the value of the file's key services, a mapping from names to
// services; nil means that there are none. The error is an *Error, the first of
// the file's.
func Parse(services *yaml.Node, defaults Defaults) (*Catalogue, error) {
	all := make(map[string]*Service)
	if services != nil {
		err := yamlnode.Members("services", services, func(path string, key, value *yaml.Node) error {
			if err := checkName(key.Value); err != nil {
				return yamlnode.Wrong(key, path, "%v", err)
			}
			s, err := parseService(path, key.Value, value, defaults)
			all[key.Value] = s
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return newCatalogue(all), nil
}

func checkName(name string) error {
	if err := mdp.CheckService(name); err != nil {
		return fmt.Errorf("is no name of a service: %w", err)
	}
	if mdp.IsMMI(name) {
		return fmt.Errorf("is no name of a service: mmi.* belongs to the broker")
	}
	return nil
}

// parseService reads one service; path is its place in the file.
func parseService(path, name string, n *yaml.Node, defaults Defaults) (*Service, error) {
	s := &Service{Name: name, Vars: defaults.Vars, Reply: gateway.Auto}
	var example, schema *yaml.Node
	takes := jobsYes
	err := yamlnode.Object(path, n, []yamlnode.Field{
		{Key: "description", Read: yamlnode.Text(&s.Description)},
		{Key: "brokers", Read: yamlnode.List(&s.Brokers, mostBrokers, "names", oneOf(defaults.Brokers))},
		{Key: "timeout", Read: yamlnode.Duration(&s.Timeout)},
		{Key: "max_timeout", Read: yamlnode.Duration(&s.MaxTimeout)},
		{Key: "vars", Read: yamlnode.Scalar(&s.Vars, flowgraph.ParseEncoding)},
		{Key: "vars_schema", Read: yamlnode.Keep(&schema)},
		{Key: "example", Read: yamlnode.Keep(&example)},
		{Key: "max_frames", Read: yamlnode.Integer(&s.MaxFrames, 1, mostFrames)},
		{Key: "reply", Read: yamlnode.Scalar(&s.Reply, gateway.ParseEncoding)},
		{Key: "max_reply", Read: yamlnode.Scalar(&s.MaxReply, gateway.ParseBytes)},
		{Key: "content_type", Read: yamlnode.Scalar(&s.ContentType, parseContentType)},
		{Key: "max_in_flight", Read: yamlnode.Integer(&s.MaxInFlight, 1, mostInFlight)},
		{Key: "reuse", Read: yamlnode.Scalar(&s.Reuse, gateway.ParseReuse)},
		{Key: "jobs", Read: yamlnode.Scalar(&takes, parseJobs)},
		{Key: "jobs_in_flight", Read: yamlnode.Integer(&s.Jobs.InFlight, 1, mostInFlight)},
		{Key: "jobs_timeout", Read: yamlnode.Duration(&s.Jobs.Timeout)},
		{Key: "errors", Read: yamlnode.List(&s.Errors, mostRules, "{frame, equals, reason, status, detail}", rule)},
	})
	if err != nil {
		return nil, err
	}
	s.Jobs.None, s.Jobs.Only = takes == jobsNo, takes == jobsOnly
	if s.Jobs.Timeout > longestJob {
		return nil, yamlnode.Wrong(n, path+".jobs_timeout", "is %v, want at most %v", s.Jobs.Timeout, longestJob)
	}
	if s.Timeout > s.MaxTimeout && s.MaxTimeout != 0 {
		return nil, yamlnode.Wrong(n, path+".timeout", "is %v, want at most max_timeout, which is %v", s.Timeout, s.MaxTimeout)
	}
	if s.Timeout > defaults.MaxTimeout && defaults.MaxTimeout != 0 {
		return nil, yamlnode.Wrong(n, path+".timeout", "is %v, want at most --max-timeout, which is %v", s.Timeout, defaults.MaxTimeout)
	}
	if s.MaxReply > defaults.MaxReply && defaults.MaxReply != 0 {
		return nil, yamlnode.Wrong(n, path+".max_reply", "is %s, want at most --max-reply, which is %s",
			gateway.FormatBytes(s.MaxReply), gateway.FormatBytes(defaults.MaxReply))
	}
	if schema != nil {
		if err := s.setSchema(path+".vars_schema", schema); err != nil {
			return nil, err
		}
	}
	if example != nil {
		return s, s.setExample(path+".example", example, &defaults)
	}
	return s, nil
}

// The values of the key jobs: whether a service takes asynchronous calls.
const (
	jobsYes  = "yes"
	jobsNo   = "no"
	jobsOnly = "only"
)

func parseJobs(text string) (string, error) {
	switch text {
	case jobsYes, jobsNo, jobsOnly:
		return text, nil
	}
	return "", errors.New("one of yes, no, only")
}

// oneOf reads one of the known names.
func oneOf(known []string) func(dst *string) yamlnode.Reader {
	return func(dst *string) yamlnode.Reader {
		return yamlnode.Scalar(dst, func(name string) (string, error) {
			if !slices.Contains(known, name) {
				return "", errors.New("one of " + strings.Join(known, ", "))
			}
			return name, nil
		})
	}
}

func (s *Service) setSchema(path string, n *yaml.Node) (err error) {
	if s.Vars == flowgraph.None {
		return yamlnode.Wrong(n, path, "is given, but vars is none")
	}
	text, err := toJSON(path, n)
	if err != nil {
		return err
	}
	if s.VarsSchema, err = compile(text); err != nil {
		return yamlnode.Wrong(n, path, "is no schema: %v", err)
	}
	return nil
}
