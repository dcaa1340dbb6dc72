package client

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/internal/zsock"
)

// An Endpoint is one broker.
type Endpoint struct {
	Name    string        // for logs and metrics; default: Address
	Address string        // tcp://host:5555 or ipc:///path
	Dialect *mdp.Dialect  // default mdp/0.1
	Curve   *curve.Client // the keys for it; nil means that it does not speak CURVE
}

// The defaults of a Config's fields.
const (
	DefaultMax            = 256
	DefaultQueueMax       = 1024
	DefaultQueueTimeout   = time.Second
	DefaultConnectTimeout = time.Second
	DefaultIdle           = time.Minute
	DefaultMaxReply       = 64 << 20
)

// Config configures a Pool. The zero value of a field means its default.
type Config struct {
	Endpoints      []Endpoint    // at least one
	Max            int           // connections, so calls in flight
	Reserve        float64       // share of Max given only to services that hold less than it; default 0: none
	QueueMax       int           // calls that may wait for a connection
	QueueTimeout   time.Duration // how long they may
	ConnectTimeout time.Duration // of a fresh connection's handshake
	Idle           time.Duration // how long a connection is kept that is not needed
	MaxReply       int64         // bytes of one reply
	Late           int           // connections on which a reply may be awaited after its call's time; default 0: none
	Resolver       *net.Resolver // of the brokers' names; nil means the system's
	Log            *zap.Logger   // nil means none

	// Trace, if set, is shown every message of a call, out or in, as it is sent
	// or received. It must not keep or change the frames.
	Trace func(out bool, frames [][]byte)
}

// WithDefaults returns c with the defaults of what is not set.
func (c Config) WithDefaults() Config {
	c.Max = cmp.Or(c.Max, DefaultMax)
	c.QueueMax = cmp.Or(c.QueueMax, DefaultQueueMax)
	c.QueueTimeout = cmp.Or(c.QueueTimeout, DefaultQueueTimeout)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, DefaultConnectTimeout)
	c.Idle = cmp.Or(c.Idle, DefaultIdle)
	c.MaxReply = cmp.Or(c.MaxReply, DefaultMaxReply)
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	c.Endpoints = slices.Clone(c.Endpoints)
	for i, e := range c.Endpoints {
		if e.Name == "" {
			c.Endpoints[i].Name = e.Address
		}
		c.Endpoints[i].Dialect = cmp.Or(e.Dialect, mdp.V01)
	}
	return c
}

func (c Config) validate() error {
	if err := c.Check(); err != nil {
		return err
	}
	if c.Max > maxPool() {
		return fmt.Errorf("pool-max is %d, want at most %d where a process may open %d files (RLIMIT_NOFILE)", c.Max, maxPool(), zsock.DescriptorLimit())
	}
	return nil
}

// FirstVerdict is how long a call waits for the outcome of the very first attempt to reach any
// broker: as long as its handshake may take, and at least a second.
func (c Config) FirstVerdict() time.Duration { return max(time.Second, c.ConnectTimeout) }

// Check says what no client of brokers can be configured with.
func (c Config) Check() error {
	if len(c.Endpoints) == 0 {
		return fmt.Errorf("no broker is given, want at least one")
	}
	for _, e := range c.Endpoints {
		if err := CheckAddress(e.Address); err != nil {
			return err
		}
	}
	switch {
	case c.Max < 1:
		return fmt.Errorf("pool size is %d, want at least 1", c.Max)
	case c.Reserve < 0 || c.Reserve >= 1 || math.IsNaN(c.Reserve):
		return fmt.Errorf("reserve is %v, want a share from 0 to less than 1", c.Reserve)
	case c.QueueMax < 0:
		return fmt.Errorf("queue size is %d, want at least 0", c.QueueMax)
	case c.MaxReply < 1:
		return fmt.Errorf("largest reply is %d bytes, want at least 1", c.MaxReply)
	}
	return nil
}

// maxPool is how many connections the limit of open files allows: each takes
// three, and its caller's connection is the fourth. The rest are for listeners,
// files, sentinels and connections that are being closed.
func maxPool() int { return (zsock.DescriptorLimit() - 256) / 4 }

// ZMQVersion returns the version of libzmq in use, such as 4.3.4.
func ZMQVersion() string { return zsock.Version() }

// CheckAddress says why an address is not a broker's: it must be
// tcp://host:port or ipc://path.
func CheckAddress(address string) error {
	if path, ok := strings.CutPrefix(address, "ipc://"); ok && path != "" {
		return nil
	}
	if _, _, err := splitTCP(address); err != nil {
		return fmt.Errorf("broker is %q, want tcp://host:port or ipc://path", address)
	}
	return nil
}
