package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/access"
	"mdpgateway/internal/audit"
	"mdpgateway/internal/budget"
	"mdpgateway/internal/edge"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
)

// A Caller knows the services. It is used by many goroutines at once.
type Caller interface {
	// Service returns the service of that name for one request, whether or not there
	// is one.
	Service(name string) gateway.Service

	// Services lists the services that are known, by name.
	Services() []gateway.ServiceInfo
}

// Health says how the brokers are.
type Health interface {
	// Brokers reports whether one was ever reached, be it lost since, and whether
	// one can be reached now. Lost names those that can't, silent those that can and
	// have answered nothing that they were sent.
	Brokers() (reached, connected bool, lost, silent, mute []string)

	// SilentServices returns how many services have answered none of their calls, although no broker denies them.
	SilentServices() int
}

// What GET /readyz wants of the brokers.
const (
	ReadyStart  = "start"  // one has been reached, be it lost since
	ReadyAlways = "always" // one can be reached now
	ReadyNever  = "never"  // nothing
)

// An Observer is told of every request, twice. The route is a pattern of routes
// or "unmatched", the method a standard one or "other", so that both make bounded
// labels. Its methods must not block.
type Observer interface {
	Started(route, method string)
	Done(route, method string, code int, took time.Duration)

	// Rejected tells of a request that was refused because there are MaxRequests.
	Rejected(reason string)

	// Authenticated tells of a request that had to prove who calls: the id of the principal, or
	// access.Nobody or access.Unknown, and what came of it, a constant.
	Authenticated(principal, result string)
}

// An Auditor keeps a record of every call, if only by refusing calls when it can't. It is used
// by many goroutines at once, and must not block.
type Auditor interface {
	Ready() bool // whether a call may be made
	Record(audit.Line)
}

// Version is what GET /version tells.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"goversion"`
	ZMQ      string `json:"zmqversion"`
}

// The defaults of a Config's fields.
const (
	DefaultMaxBuffered     = 512 << 20
	DefaultMaxBody         = 64 << 20
	DefaultMaxHeader       = 64 << 10
	DefaultHeaderTimeout   = 10 * time.Second
	DefaultBodyIdleTimeout = 30 * time.Second
	DefaultIdleTimeout     = 650 * time.Second // above the 60 to 600 s of the usual balancers
	DefaultMaxJobWait      = 50 * time.Second  // below the 60 s of the usual proxies
	DefaultSlowLog         = 5 * time.Second
)

// Config is what an API is made of. The zero value of a field means its default.
type Config struct {
	Caller   Caller         // required
	Health   Health         // required
	Observer Observer       // default: nobody is told
	Tracer   Tracer         // default: nobody is told
	Audit    Auditor        // default: calls are not recorded
	Insight  Insight        // GET /overview of the gateway itself; default: nothing of it
	Metrics  http.Handler   // GET /metrics; default: there is no such route
	Jobs     *jobs.Runner   // of asynchronous calls; default: there are none, and no routes for them
	Access   *access.Store  // who may call; default: everybody
	Log      *zap.Logger    // default: no log
	Budget   *budget.Budget // bytes of bodies and replies held at once; default: one of DefaultMaxBuffered
	Version  Version

	Proxies edge.Proxies // whose word is taken for where a request comes from; default: none

	MaxRequests     int           // in flight at once, probes excepted; default: any number
	MaxBody         int64         // bytes of one body
	MaxHeader       int           // bytes of one request's line and headers
	HeaderTimeout   time.Duration // for all headers of a request to arrive
	BodyIdleTimeout time.Duration // for the next bytes of a body to arrive, or of an answer to be taken
	MinBodyRate     int64         // bytes a second of a body, on average, after 10 s; default: a body is only bounded by BodyIdleTimeout
	IdleTimeout     time.Duration // for the next request on a connection
	// MaxConnectionAge, with a jitter of a tenth, is the age from which a connection is closed
	// after an answer. Default: never.
	MaxConnectionAge time.Duration

	MaxJobWait  time.Duration // for a job to change, in one request
	LateReplies bool          // a job waits on for the reply of a call whose time has passed; needs Jobs
	ListJobs    bool          // callers without identity may list the jobs of everybody

	NoConsole bool   // there is no page at /console
	Login     *Login // where that page sends people to log in; default: it asks for a key alone

	SlowLog time.Duration // requests that took longer are logged at Warn

	ReadyBroker string // what GET /readyz wants of the brokers; default ReadyStart

	AllowedHosts []string // names that Host may have, without port; none, or "*", is any
	Origins      []string // foreign origins whose pages may call, until Trust names others: "https://lab.example", or "*" for any; default: none
}

func (c Config) withDefaults() Config {
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Access == nil {
		c.Access = new(access.Store)
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Budget == nil {
		c.Budget = budget.New(DefaultMaxBuffered)
	}
	c.ReadyBroker = cmp.Or(c.ReadyBroker, ReadyStart)
	c.MaxBody = cmp.Or(c.MaxBody, DefaultMaxBody)
	c.MaxHeader = cmp.Or(c.MaxHeader, DefaultMaxHeader)
	c.HeaderTimeout = cmp.Or(c.HeaderTimeout, DefaultHeaderTimeout)
	c.BodyIdleTimeout = cmp.Or(c.BodyIdleTimeout, DefaultBodyIdleTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, DefaultIdleTimeout)
	c.MaxJobWait = cmp.Or(c.MaxJobWait, DefaultMaxJobWait)
	c.SlowLog = cmp.Or(c.SlowLog, DefaultSlowLog)
	c.AllowedHosts = slices.Clone(c.AllowedHosts)
	for i, host := range c.AllowedHosts {
		c.AllowedHosts[i] = hostname(host)
	}
	return c
}

func (c Config) validate() error {
	if c.Caller == nil {
		return errors.New("caller is nil, want one")
	}
	if c.Health == nil {
		return errors.New("health is nil, want one")
	}
	if all := []string{ReadyStart, ReadyAlways, ReadyNever}; !slices.Contains(all, c.ReadyBroker) {
		return fmt.Errorf("ready broker is %q, want one of %s", c.ReadyBroker, strings.Join(all, ", "))
	}
	if c.MaxRequests < 0 {
		return fmt.Errorf("max requests is %d, want at least 0", c.MaxRequests)
	}
	if c.MinBodyRate < 0 {
		return fmt.Errorf("min body rate is %d, want at least 0", c.MinBodyRate)
	}
	if c.MaxConnectionAge < 0 {
		return fmt.Errorf("max connection age is %v, want at least 0", c.MaxConnectionAge)
	}
	if c.Login != nil {
		if err := c.Login.Check(); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"max body", c.MaxBody}, {"max header", int64(c.MaxHeader)}, {"header timeout", int64(c.HeaderTimeout)},
		{"body idle timeout", int64(c.BodyIdleTimeout)}, {"idle timeout", int64(c.IdleTimeout)}, {"slow log", int64(c.SlowLog)},
	} {
		if f.value < 1 {
			return fmt.Errorf("%s is %d, want at least 1", f.name, f.value)
		}
	}
	return nil
}

// nobody is an Observer that does nothing.
type nobody struct{}

func (nobody) Started(string, string)                  {}
func (nobody) Done(string, string, int, time.Duration) {}
func (nobody) Rejected(string)                         {}
func (nobody) Authenticated(string, string)            {}
