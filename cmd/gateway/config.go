package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/access"
	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/tracing"
	"mdpgateway/internal/yamlnode"
)

// settings is all that the gateway can be told. The tags are the one list of
// names, defaults and help: the variables, the keys of the file, --check and the
// documentation follow them.
type settings struct {
	Config string `placeholder:"FILE" help:"YAML file with settings, brokers and services."`

	Listen      string `type:"listen" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where the API is (${default})."`
	AdminListen string `type:"listen" off:"" placeholder:"HOST:PORT" help:"If set, /metrics and /debug/pprof are there and only there."`

	Broker       []string    `type:"broker" placeholder:"ENDPOINT" help:"Brokers: tcp://host:5555 or ipc://path; repeatable."`
	Dialect      mdp.Dialect `default:"mdp/0.1" placeholder:"DIALECT" help:"What the brokers speak: mdp/0.1, mdp/0.2, loudify or majortomo (${default})."`
	Embedded     *bool       `negatable:"" help:"Run a broker and the demo worker inside; default: if --listen is loopback and no broker is given."`
	EmbeddedBind string      `type:"bind" default:"tcp://127.0.0.1:5555" placeholder:"ENDPOINT" help:"Where workers and clients reach the embedded broker (${default})."`

	Timeout        time.Duration `default:"25s" placeholder:"DURATION" help:"How long a call may take (${default})."`
	MaxTimeout     time.Duration `default:"5m" placeholder:"DURATION" help:"The most that a caller may ask for (${default})."`
	PoolMax        int           `default:"256" min:"1" placeholder:"N" help:"Connections to brokers, so calls in flight (${default})."`
	PoolIdle       time.Duration `default:"60s" placeholder:"DURATION" help:"How long a connection is kept that is not needed (${default})."`
	PoolReserve    float64       `default:"0.1" placeholder:"SHARE" help:"Share of the pool kept for services that hold less than it (${default})."`
	QueueMax       int           `default:"1024" min:"1" placeholder:"N" help:"Calls that may wait for a connection (${default})."`
	QueueTimeout   time.Duration `default:"1s" placeholder:"DURATION" help:"How long they may wait (${default})."`
	ConnectTimeout time.Duration `default:"1s" placeholder:"DURATION" help:"A fresh connection's handshake (${default})."`

	MaxBody     int64 `type:"bytes" default:"64MiB" placeholder:"BYTES" help:"Size of one request's body (${default})."`
	MaxReply    int64 `type:"bytes" default:"64MiB" placeholder:"BYTES" help:"Size of one reply (${default})."`
	MaxVars     int   `type:"bytes" default:"64KiB" placeholder:"BYTES" help:"Size of one vars frame (${default})."`
	MaxBuffered int64 `type:"bytes" default:"512MiB" placeholder:"BYTES" help:"Size of all bodies and replies held at once (${default})."`

	MMI           dispatch.MMI       `name:"mmi" default:"on" placeholder:"MODE" help:"Whether brokers are asked if a service has workers: on, hint or off (${default})."`
	NoWorkersWait time.Duration      `default:"2s" min:"0" placeholder:"DURATION" help:"How long a known service may be without workers (${default})."`
	Catalogue     dispatch.Exclusive `default:"auto" placeholder:"MODE" help:"Which services may be called: only those of the file, open for any, or auto: any while the broker says which it has (${default})."`
	Vars          flowgraph.Encoding `default:"python" placeholder:"ENCODING" help:"Vars frame of services not in the file: python, json or none (${default})."`

	KeysFile         string        `placeholder:"FILE" help:"YAML file with the keys of callers; without it, who reaches the port may call."`
	CORSOrigin       []string      `name:"cors-origin" type:"origin" placeholder:"ORIGIN" help:"Foreign origins whose pages may call, * for any; repeatable."`
	AllowedHosts     []string      `type:"host" placeholder:"NAME" help:"Host names that are answered, * for any; default: loopback's if --listen is loopback, else any."`
	HeaderTimeout    time.Duration `default:"10s" placeholder:"DURATION" help:"For a request's headers to arrive (${default})."`
	BodyIdleTimeout  time.Duration `default:"30s" placeholder:"DURATION" help:"For the next bytes of a body to come, or of an answer to be taken (${default})."`
	IdleTimeout      time.Duration `default:"650s" placeholder:"DURATION" help:"For the next request on a connection (${default})."`
	MaxConnectionAge time.Duration `default:"0s" min:"0" placeholder:"DURATION" help:"Older connections are closed after an answer, so that new replicas get their share; give or take a tenth, 0 for never (${default})."`
	MaxHeader        int           `type:"bytes" default:"64KiB" placeholder:"BYTES" help:"Size of a request's headers (${default})."`

	ReadyBroker string        `default:"start" one:"start|always|never" placeholder:"MODE" help:"When /readyz says 200: once a broker was reached (start), while one can be reached (always), or whatever the brokers do (never) (${default})."`
	DrainDelay  time.Duration `default:"0s" min:"0" placeholder:"DURATION" help:"After SIGTERM: how long calls are still taken (${default})."`
	Drain       time.Duration `default:"30s" min:"0" placeholder:"DURATION" help:"And then, how long open ones may take (${default})."`

	LogLevel           string        `default:"info" one:"debug|info|warn|error" placeholder:"LEVEL" help:"debug, info, warn or error (${default})."`
	LogFormat          string        `default:"json" one:"json|console" placeholder:"FORMAT" help:"json or console (${default})."`
	SlowLog            time.Duration `default:"5s" placeholder:"DURATION" help:"Slower requests are logged as warnings (${default})."`
	MetricsMaxServices int           `default:"200" min:"1" placeholder:"N" help:"Services with metrics of their own (${default})."`
	OTLPEndpoint       string        `name:"otlp-endpoint" type:"collector" placeholder:"URL" help:"OpenTelemetry collector that gets a trace of every request, over OTLP/HTTP: http://host:4318."`

	OTLPHeaders http.Header `kong:"-"` // of OTEL_EXPORTER_OTLP_HEADERS

	Brokers  []client.Endpoint `kong:"-"` // of --broker, or of the file
	Services *yaml.Node        `kong:"-"` // of the file; nil if it has none
	file     string            // its name, for errors

	Catalogued *catalogue.Catalogue `kong:"-"` // what Services says
	Keys       *access.Keys         `kong:"-"` // of KeysFile; nil if there is none
}

// finish sets what follows from other settings, and checks what only holds
// between them.
func (s *settings) finish(r *resolver) (err error) {
	if err := s.finishBrokers(r); err != nil {
		return err
	}
	s.Services = r.file.services
	loopback := isLoopback(s.Listen)
	if s.Embedded == nil {
		embedded := loopback && len(s.Brokers) == 0
		s.Embedded = &embedded
	}
	if s.AllowedHosts == nil {
		s.AllowedHosts = []string{"*"}
		if loopback {
			s.AllowedHosts = loopbackHosts
		}
	}
	if err := s.check(r); err != nil {
		return err
	}
	if err := s.finishCollector(r); err != nil {
		return err
	}
	if s.Keys, err = readKeys(s.KeysFile, r.origin("keys-file")); err != nil {
		return err
	}
	s.file = r.file.name
	s.Catalogued, err = s.parseServices(s, s.brokerNames())
	return err
}

// parseServices reads the services of next, which may refer to brokers of these names and are
// called under the settings s.
func (s *settings) parseServices(next *settings, brokers []string) (*catalogue.Catalogue, error) {
	var loudify []string
	for _, b := range s.Brokers {
		if b.Dialect == mdp.Loudify {
			loudify = append(loudify, b.Name)
		}
	}
	c, err := catalogue.Parse(next.Services, catalogue.Defaults{
		MaxReply: s.MaxReply,
		Brokers:  brokers, Vars: s.Vars, MaxTimeout: s.MaxTimeout,
		Loudify: loudify, MaxBody: s.MaxBody, MaxVars: s.MaxVars, CheckBody: codec.CheckEnvelope,
	})
	return c, yamlnode.In(next.file, err)
}

// finishCollector reads the headers that the collector wants, from OpenTelemetry's
// own variables, of which the one for traces alone wins. They are no setting,
// since credentials would be seen in a command line, a ConfigMap and --check.
func (s *settings) finishCollector(r *resolver) (err error) {
	if s.OTLPEndpoint == "" {
		return nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"} {
		if text := r.env[name]; text != "" {
			if s.OTLPHeaders, err = tracing.ParseHeaders(text); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			return err
		}
	}
	return nil
}

// brokerNames returns the names that services may refer to.
func (s *settings) brokerNames() (names []string) {
	for _, b := range s.Brokers {
		names = append(names, b.Name)
	}
	if *s.Embedded {
		names = append(names, embeddedName)
	}
	return names
}

// finishBrokers makes one list of the brokers: those of flag or variable, else
// those of the file.
func (s *settings) finishBrokers(r *resolver) error {
	fromFile, err := r.file.endpoints(s.Dialect)
	if err != nil {
		return err
	}
	if _, both := r.file.settings["broker"]; both && fromFile != nil {
		return fmt.Errorf("%s has broker and brokers, want one of them", r.file.name)
	}
	s.Brokers = fromFile
	if len(s.Broker) > 0 {
		s.Brokers = nil
	}
	for _, address := range s.Broker {
		s.Brokers = append(s.Brokers, client.Endpoint{Address: address, Dialect: s.Dialect})
	}
	names := make(map[string]bool)
	for i := range s.Brokers {
		b := &s.Brokers[i]
		if b.Name == "" {
			b.Name = b.Address
		}
		if names[b.Name] {
			return fmt.Errorf("two brokers are named %q, want another name for each", b.Name)
		}
		names[b.Name] = true
	}
	return nil
}

func (s *settings) check(r *resolver) error {
	switch {
	case len(s.Brokers) == 0 && !*s.Embedded:
		return &valueError{r.origin("broker"), "", "a broker's endpoint such as tcp://host:5555, or --embedded"}
	case s.MaxTimeout < s.Timeout:
		return &valueError{r.origin("max-timeout"), formatDuration(s.MaxTimeout),
			"at least " + formatDuration(s.Timeout) + ", the value of " + r.origin("timeout")}
	case s.MaxBuffered < 2*s.MaxBody: // libzmq holds a copy of each
		return &valueError{r.origin("max-buffered"), formatBytes(s.MaxBuffered),
			"at least " + formatBytes(2*s.MaxBody) + ", twice the value of " + r.origin("max-body")}
	case s.MaxBuffered < 2*s.MaxReply:
		return &valueError{r.origin("max-buffered"), formatBytes(s.MaxBuffered),
			"at least " + formatBytes(2*s.MaxReply) + ", twice the value of " + r.origin("max-reply")}
	case s.AdminListen != "" && s.AdminListen == s.Listen && port(s.Listen) != "0":
		return &valueError{r.origin("admin-listen"), s.AdminListen, "another address than that of " + r.origin("listen")}
	}
	return nil
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}

// hosts returns the names of AllowedHosts, none if any will do.
func (s *settings) hosts() []string {
	if slices.Contains(s.AllowedHosts, "*") {
		return nil
	}
	return s.AllowedHosts
}

// loopbackHosts are the names that a listener on loopback is reached by. Nobody may
// write to it.
var loopbackHosts = []string{"localhost", "127.0.0.1", "::1"}

// isLoopback reports whether an address to listen on can be reached from this
// machine alone.
func isLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
