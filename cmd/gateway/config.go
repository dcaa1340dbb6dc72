package main

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/access"
	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/certs"
	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/httpapi"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mux"
	"mdpgateway/internal/metrics"
	"mdpgateway/internal/tracing"
	"mdpgateway/internal/yamlnode"
)

// settings is all that the gateway can be told. The tags are the one list of
// names, defaults and help: the variables, the keys of the file, --check and the
// documentation follow them.
type settings struct {
	Config string `placeholder:"FILE" help:"YAML file with settings, brokers and services."`

	Listen           []string      `group:"Listen" type:"socket" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address of the API, https if there is a certificate, or with http:// or https:// before it; repeatable (${default})."`
	AdminListen      string        `group:"Listen" type:"listen" off:"" placeholder:"HOST:PORT" help:"Address of /metrics and /debug/pprof; without it, /metrics is at --listen."`
	AllowedHosts     []string      `group:"Listen" type:"host" placeholder:"NAME" help:"Host names that requests may have, ip for any IP address, * for any; default: loopback's if --listen is loopback; ip, localhost and this machine's name without keys; else any."`
	TrustedProxies   []string      `group:"Listen" hidden:"" type:"network" placeholder:"CIDR" help:"Proxies whose Forwarded or X-Forwarded-For says where a request comes from; repeatable."`
	ProxyProtocol    bool          `group:"Listen" hidden:"" help:"Connections of --trusted-proxies begin with a PROXY header (version 1 or 2), which says where they come from."`
	HeaderTimeout    time.Duration `group:"Listen" hidden:"" default:"${header_timeout}" placeholder:"DURATION" help:"Timeout for a request's headers (${default})."`
	BodyIdleTimeout  time.Duration `group:"Listen" default:"${body_idle_timeout}" placeholder:"DURATION" help:"Idle timeout while a request's body is read or a response is written (${default})."`
	MinBodyRate      int64         `group:"Listen" hidden:"" type:"bytes" default:"8KiB" placeholder:"BYTES" help:"Average bytes a second of a request's body after its first 10 s (${default})."`
	IdleTimeout      time.Duration `group:"Listen" hidden:"" default:"${idle_timeout}" placeholder:"DURATION" help:"Idle timeout of a connection between two requests, and before the first (${default})."`
	MaxConnectionAge time.Duration `group:"Listen" default:"0s" min:"0" placeholder:"DURATION" help:"Age, with a jitter of a tenth, from which a connection is closed after a response, so that new replicas get their share; 0 for never (${default})."`

	TLSCert       string `group:"TLS" name:"tls-cert" placeholder:"FILE" help:"Certificate of --listen and those up to its authority, in PEM; read again when it changes."`
	TLSKey        string `group:"TLS" name:"tls-key" placeholder:"FILE" help:"Key of --tls-cert, in PEM."`
	TLSClientCA   string `group:"TLS" name:"tls-client-ca" placeholder:"FILE" help:"Authorities of callers' certificates, in PEM."`
	TLSClientAuth string `group:"TLS" name:"tls-client-auth" one:"none|request|require" placeholder:"MODE" help:"Whether callers may (request) or must (require) show a certificate of --tls-client-ca; default: require with --tls-client-ca, else none."`
	TLSClientCRL  string `group:"TLS" name:"tls-client-crl" placeholder:"FILE" help:"Lists of certificates that these authorities have revoked, in PEM or DER."`

	Broker       []string     `group:"Brokers" type:"broker" placeholder:"ENDPOINT" help:"Brokers: tcp://host:5555 or ipc://path; repeatable."`
	Dialect      *mdp.Dialect `group:"Brokers" placeholder:"DIALECT" help:"Dialect of the brokers, such as mdp/0.2 or loudify; another name lists all; default: mdpx/1 for the embedded broker, mdp/0.1 for others."`
	Embedded     *bool        `group:"Brokers" negatable:"" help:"Run a broker and the demo worker inside; default: if --listen is loopback and no broker is given."`
	CurveKeyFile string       `group:"Brokers" placeholder:"FILE" help:"Pair of CURVE keys of the embedded broker, such as ID.key_secret of curve new; then it encrypts and lets in only the keys of --curve-allowed."`
	CurveAllowed string       `group:"Brokers" placeholder:"FILE" help:"YAML file with the keys that may connect to the embedded broker: {id, key, role, services}."`
	EmbeddedBind string       `group:"Brokers" type:"bind" default:"tcp://127.0.0.1:5555" placeholder:"ENDPOINT" help:"Address of the embedded broker for workers and clients (${default})."`

	Timeout               time.Duration `group:"Limits" default:"${timeout}" placeholder:"DURATION" help:"Timeout of a call whose caller asks for none (${default})."`
	MaxTimeout            time.Duration `group:"Limits" default:"${max_timeout}" placeholder:"DURATION" help:"Longest timeout that a caller may ask for (${default})."`
	MaxConnections        int           `group:"Limits" min:"1" placeholder:"N" help:"Connections of callers; default: what RLIMIT_NOFILE leaves, at most 8192."`
	MaxConnectionsPerPeer int           `group:"Limits" hidden:"" min:"1" placeholder:"N" help:"Connections from one IPv4 address or IPv6 /64; default: a quarter of --max-connections."`
	MaxRequests           int           `group:"Limits" hidden:"" min:"1" placeholder:"N" help:"Requests in flight over all routes but probes; default: 4 times --pool-max and --queue-max together."`
	PoolMax               int           `group:"Limits" default:"${pool_max}" min:"1" placeholder:"N" help:"Calls in flight, each of which needs a connection to a broker but with mdpx/1 (${default})."`
	MuxConnections        int           `group:"Limits" hidden:"" default:"${mux_connections}" min:"1" placeholder:"N" help:"Connections to a broker of mdpx/1, which its calls share, and as many for bodies and replies over 256 KiB (${default})."`
	PoolIdle              time.Duration `group:"Limits" hidden:"" default:"${pool_idle}" placeholder:"DURATION" help:"Time after which a surplus connection to a broker is closed (${default})."`
	PoolReserve           float64       `group:"Limits" hidden:"" default:"0.1" placeholder:"SHARE" help:"Share of --pool-max kept for services that hold less than it (${default})."`
	QueueMax              int           `group:"Limits" hidden:"" default:"${queue_max}" min:"1" placeholder:"N" help:"Calls that may wait for a connection to a broker (${default})."`
	QueueTimeout          time.Duration `group:"Limits" default:"${queue_timeout}" placeholder:"DURATION" help:"Time that a call may wait for a connection to a broker (${default})."`
	ConnectTimeout        time.Duration `group:"Limits" hidden:"" default:"${connect_timeout}" placeholder:"DURATION" help:"Timeout of the handshake with a broker (${default})."`
	MaxHeader             int           `group:"Limits" hidden:"" type:"bytes" default:"${max_header}" placeholder:"BYTES" help:"Size of a request's headers (${default})."`
	MaxBody               int64         `group:"Limits" type:"bytes" default:"${max_body}" placeholder:"BYTES" help:"Size of one request's body (${default})."`
	MaxReply              int64         `group:"Limits" type:"bytes" default:"${max_reply}" placeholder:"BYTES" help:"Size of one reply (${default})."`
	MaxVars               int           `group:"Limits" hidden:"" type:"bytes" default:"${max_vars}" placeholder:"BYTES" help:"Size of one vars frame (${default})."`
	MaxBuffered           int64         `group:"Limits" type:"bytes" default:"${max_buffered}" placeholder:"BYTES" help:"Size of all bodies and replies held at once (${default})."`

	MMI           mdp.MMI                `group:"Discovery" name:"mmi" default:"on" placeholder:"MODE" help:"Whether brokers are asked if a service has workers: on, hint or off (${default})."`
	NoWorkersWait time.Duration          `group:"Discovery" hidden:"" default:"2s" min:"0" placeholder:"DURATION" help:"Time that a call waits for the workers of a service that had some (${default})."`
	Catalogue     dispatch.CatalogueMode `group:"Discovery" default:"auto" placeholder:"MODE" help:"Services that may be called: only those of the file, open for any, or auto: any while the broker says which it has (${default})."`
	Vars          flowgraph.Encoding     `group:"Discovery" default:"python" placeholder:"ENCODING" help:"Encoding of the vars frame for services that are not in the file: python, json or none (${default})."`

	Access     string   `group:"Access" one:"open" placeholder:"MODE" help:"open: anyone who reaches --listen may call; required if --listen is not loopback and there are no principals. In the file, access is open or the list of principals."`
	AccessFile string   `group:"Access" placeholder:"FILE" help:"YAML file with the list of principals alone: who may call what."`
	KeysFile   string   `group:"Access" placeholder:"FILE" help:"The same as --access-file, of which it is the older name."`
	CORSOrigin []string `group:"Access" name:"cors-origin" type:"origin" placeholder:"ORIGIN" help:"Foreign origins whose pages may call, * for any; repeatable."`

	AuditLog     string `group:"Access" placeholder:"FILE" help:"File with a JSON line for each call: when, which key, which service, what came of it; or the word stderr."`
	AuditLogMode string `group:"Access" default:"closed" one:"closed|best-effort" placeholder:"MODE" help:"Whether calls are refused while the audit log can't be written (closed), or its lines are dropped (best-effort) (${default})."`

	Jobs          string        `group:"Jobs" type:"jobs" placeholder:"STORE" help:"Asynchronous calls: off, kept in memory, in this directory, or in NATS JetStream: nats://host:4222 or tls://host:4222, more with commas; default: memory with the embedded broker on loopback, else off."`
	JobsNATSCreds string        `group:"Jobs" name:"jobs-nats-creds" hidden:"" placeholder:"FILE" help:"Credentials of the NATS user, as nsc writes them."`
	JobsNATSCA    string        `group:"Jobs" name:"jobs-nats-ca" hidden:"" placeholder:"FILE" help:"Authorities of the NATS servers' certificates, in PEM; default: those of the system."`
	JobsPrefix    string        `group:"Jobs" hidden:"" default:"mdp" placeholder:"NAME" help:"First word of the NATS subjects of jobs and, in capitals, of their stream (${default})."`
	JobsReplicas  int           `group:"Jobs" default:"3" min:"1" placeholder:"N" help:"NATS servers that keep each job (${default})."`
	JobsInFlight  int           `group:"Jobs" min:"1" placeholder:"N" help:"Jobs that run at once; default: 64, at most a quarter of --pool-max."`
	JobsMax       int           `group:"Jobs" default:"10000" min:"1" placeholder:"N" help:"Jobs that may wait to be sent (${default})."`
	JobsMaxBytes  int64         `group:"Jobs" type:"bytes" placeholder:"BYTES" help:"Size of the store of jobs; default: 4GiB, in memory a quarter of --max-buffered."`
	JobsExpires   time.Duration `group:"Jobs" default:"1h" placeholder:"DURATION" help:"Time that a job may wait to be sent unless its caller asks for another, at most 24h (${default})."`
	JobsTimeout   time.Duration `group:"Jobs" default:"30m" placeholder:"DURATION" help:"Timeout of a job, from its send to its reply, unless its caller asks for another, at most 24h (${default})."`
	JobsKeep      time.Duration `group:"Jobs" default:"24h" placeholder:"DURATION" help:"Time that a job is kept after its end (${default})."`
	JobsMaxWait   time.Duration `group:"Jobs" hidden:"" default:"50s" placeholder:"DURATION" help:"Longest time that one request may wait for a job to change; keep it below the timeout of proxies (${default})."`
	LateReplies   int           `group:"Jobs" default:"0" min:"0" placeholder:"N" help:"Calls whose time has passed and whose reply is awaited by a job all the same, unless --jobs is off; at most half of --pool-max; 504 has its Location (${default})."`

	ReadyBroker string        `group:"Shutdown and readiness" default:"start" one:"start|always|never" placeholder:"MODE" help:"When /readyz says 200: once a broker was reached (start), while one can be reached (always), or whatever the brokers do (never) (${default})."`
	DrainDelay  time.Duration `group:"Shutdown and readiness" default:"0s" min:"0" placeholder:"DURATION" help:"Time after SIGTERM in which calls are still accepted (${default})."`
	Drain       time.Duration `group:"Shutdown and readiness" default:"30s" min:"0" placeholder:"DURATION" help:"Time that open calls get to finish after --drain-delay (${default})."`

	LogLevel           string        `group:"Logs and telemetry" default:"info" one:"debug|info|warn|error" placeholder:"LEVEL" help:"Least level that is logged: debug, info, warn or error (${default})."`
	LogFormat          string        `group:"Logs and telemetry" default:"json" one:"json|console" placeholder:"FORMAT" help:"Format of the log: json or console (${default})."`
	Console            bool          `group:"Logs and telemetry" default:"true" negatable:"" help:"Serve a page at /console that shows services and calls, and makes calls (${default}). In the file also {oidc: {issuer, client_id}}, with which it logs in."`
	SlowLog            time.Duration `group:"Logs and telemetry" hidden:"" default:"${slow_log}" placeholder:"DURATION" help:"Time from which a request is logged as a warning (${default})."`
	MetricsMaxServices int           `group:"Logs and telemetry" hidden:"" default:"${metrics_max_services}" min:"1" placeholder:"N" help:"Services with metrics of their own (${default})."`
	OTLPEndpoint       string        `group:"Logs and telemetry" name:"otlp-endpoint" type:"collector" placeholder:"URL" help:"OpenTelemetry collector that gets a trace of every request, over OTLP/HTTP: http://host:4318."`

	adminHosts []string // names that the admin listener is reached by

	OTLPHeaders http.Header `kong:"-"` // of OTEL_EXPORTER_OTLP_HEADERS

	Brokers  []client.Endpoint `kong:"-"` // of --broker, or of the file
	Services *yaml.Node        `kong:"-"` // of the file; nil if it has none
	file     string            // its name, for errors

	Catalogued *catalogue.Catalogue `kong:"-"` // what Services says
	Principals *access.List         `kong:"-"` // who may call; nil: anyone who reaches the port
	Curve      *broker.Curve        `kong:"-"` // of the embedded broker; nil without CURVE
	accessList *yaml.Node           // of the file; nil if it has none
	issuers    *yaml.Node           // of the file; nil if it has none
	console    *yaml.Node           // of the file; nil if it has none
	Login      *httpapi.Login       `kong:"-"` // where people log in to the console; nil: nowhere
	Certs      *certs.Set           `kong:"-"` // of the files of TLS; nil without TLS

	jobsThrough func(jobs.Store) jobs.Store // what tests put before the store of jobs; nil: nothing
}

// defaults are those that packages have, too: each stands in its package, and a flag's tag names it as ${name}.
func defaults() map[string]string {
	return map[string]string{
		"header_timeout":       formatDuration(httpapi.DefaultHeaderTimeout),
		"body_idle_timeout":    formatDuration(httpapi.DefaultBodyIdleTimeout),
		"idle_timeout":         formatDuration(httpapi.DefaultIdleTimeout),
		"slow_log":             formatDuration(httpapi.DefaultSlowLog),
		"max_header":           formatBytes(httpapi.DefaultMaxHeader),
		"max_body":             formatBytes(httpapi.DefaultMaxBody),
		"max_buffered":         formatBytes(httpapi.DefaultMaxBuffered),
		"timeout":              formatDuration(dispatch.DefaultTimeout),
		"max_timeout":          formatDuration(dispatch.DefaultMaxTimeout),
		"max_vars":             formatBytes(dispatch.DefaultMaxVars),
		"pool_max":             strconv.Itoa(client.DefaultMax),
		"mux_connections":      strconv.Itoa(mux.DefaultConnections),
		"pool_idle":            formatDuration(client.DefaultIdle),
		"queue_max":            strconv.Itoa(client.DefaultQueueMax),
		"queue_timeout":        formatDuration(client.DefaultQueueTimeout),
		"connect_timeout":      formatDuration(client.DefaultConnectTimeout),
		"max_reply":            formatBytes(client.DefaultMaxReply),
		"metrics_max_services": strconv.Itoa(metrics.DefaultMaxServices),
	}
}

// setDefaults puts them into the flags. As variables of kong, which matches a regular expression against each of them
// for each flag, they took two thirds of the start.
func setDefaults(k *kong.Kong) error {
	named := defaults()
	return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			if name, ok := strings.CutPrefix(flag.Default, "${"); ok {
				if flag.Default = named[strings.TrimSuffix(name, "}")]; flag.Default == "" {
					return fmt.Errorf("undefined default %s for %s", name, flag.Summary())
				}
			}
		}
		return next(nil)
	})
}

// finish sets what follows from other settings, and checks what only holds
// between them.
func (s *settings) finish(r *resolver) (err error) {
	if err := s.finishBrokers(r); err != nil {
		return err
	}
	s.Services, s.accessList, s.issuers, s.console = r.file.services, r.file.access, r.file.issuers, r.file.console
	if s.Embedded == nil {
		embedded := s.onLoopback() && len(s.Brokers) == 0
		s.Embedded = &embedded
	}
	if s.Dialect == nil {
		s.Dialect = mdp.V01
		if *s.Embedded {
			s.Dialect = mdp.X1
		}
	}
	s.finishJobs()
	s.finishHosts()
	s.finishConnections()
	if err := s.check(r); err != nil {
		return err
	}
	if s.Curve, err = readCurve(r, s.CurveKeyFile, s.CurveAllowed); err != nil {
		return err
	}
	if err := s.checkJobs(r); err != nil {
		return err
	}
	if err := s.checkAccess(r); err != nil {
		return err
	}
	if err := s.finishTLS(r); err != nil {
		return err
	}
	if err := s.finishCollector(r); err != nil {
		return err
	}
	if s.Principals, err = s.readPrincipals(r); err != nil {
		return err
	}
	if err := s.checkCertificates(r); err != nil {
		return err
	}
	if s.Login, err = s.readLogin(r); err != nil {
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
		if b.Dialect.NeedsVars {
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
	dialect := cmp.Or(s.Dialect, mdp.V01)
	fromFile, err := r.file.endpoints(dialect, s.MMI)
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
		s.Brokers = append(s.Brokers, client.Endpoint{Address: address, Dialect: dialect.WithMMI(max(s.MMI, dialect.MMI))})
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
	case s.ProxyProtocol && len(s.TrustedProxies) == 0:
		return &valueError{r.origin("trusted-proxies"), "", "the addresses of the proxies, for " + r.origin("proxy-protocol")}
	case s.MaxTimeout < s.Timeout:
		return &valueError{r.origin("max-timeout"), formatDuration(s.MaxTimeout),
			"at least " + formatDuration(s.Timeout) + ", the value of " + r.origin("timeout")}
	case s.MaxBuffered < 2*s.MaxBody: // libzmq holds a copy of each
		return &valueError{r.origin("max-buffered"), formatBytes(s.MaxBuffered),
			"at least " + formatBytes(2*s.MaxBody) + ", twice the value of " + r.origin("max-body")}
	case s.MaxBuffered < 2*s.MaxReply:
		return &valueError{r.origin("max-buffered"), formatBytes(s.MaxBuffered),
			"at least " + formatBytes(2*s.MaxReply) + ", twice the value of " + r.origin("max-reply")}
	case slices.ContainsFunc(s.sockets(), func(a socket) bool { return a.address == s.AdminListen && port(a.address) != "0" }):
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
