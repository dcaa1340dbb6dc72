package broker

import (
	"cmp"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Config configures a Broker. The zero Config is a working one.
type Config struct {
	// Bind are the endpoints to listen on; port * means any. Default:
	// tcp://127.0.0.1:5555.
	Bind []string

	// Heartbeat is how often workers are sent a heartbeat, and how often they
	// are expected to send one. Default 2.5s.
	Heartbeat time.Duration

	// Liveness is how many heartbeats a worker may miss. Default 4: loudify's
	// workers send one in 4.5 to 7 seconds.
	Liveness int

	// BusySilence is how long a worker may be silent while it has a request, if
	// it was never seen to send heartbeats meanwhile. Single-threaded workers,
	// loudify's among them, send none; one whose connection breaks is noticed
	// by the next heartbeat to it all the same. Default 60s.
	BusySilence time.Duration

	// QueueMax and ServiceQueueMax bound the requests that wait for a worker, in
	// all and for one service; QueueBytes bounds their bytes. Half of QueueMax
	// and of QueueBytes is kept for services that have workers, so that requests
	// for names nobody serves cannot take all. A peer that sends a single frame
	// over QueueBytes loses its connection. Defaults 10,000, 1,000, 512 MiB.
	QueueMax, ServiceQueueMax int
	QueueBytes                int64

	// OutboxBytes bounds what waits because its client does not read, beside what
	// ZeroMQ holds, 256 messages of a connection: a quarter of it for one client,
	// which loses what comes beyond, and all of it for all, of whom the one that
	// read nothing for the longest time loses what waits for it. Default 256 MiB.
	OutboxBytes int64

	// MaxConnections bounds the connections of clients and workers over TCP: those that
	// come beyond are ended. A connection without a ZMTP handshake ends after 5 s.
	// Default: half of what RLIMIT_NOFILE allows.
	MaxConnections int

	// Expiry is how long after its arrival a request may be given to a worker, be it
	// the first that gets it or another. Default 5m.
	Expiry time.Duration

	// Redispatch is how often a request whose worker was lost is given to
	// another one. Default 0: a request may not be safe to run twice.
	Redispatch int

	// Padded puts an empty frame before the body of a reply to clients of mdp/0.1, as those of
	// jheise/majordomogo and of loudify's older package expect, which no header tells apart.
	// Clients of loudify always get it.
	Padded bool

	// Curve, if set, makes the broker encrypt and know who its peers are. Without it anyone who reaches it may call,
	// and serve any service.
	Curve *Curve

	farewell time.Duration // how long a closing broker reads on while there are gateways; default linger

	// Log gets the comings and goings of services (Info) and workers (Debug). It
	// must not block: nothing moves meanwhile. Nil means none.
	Log *zap.Logger
}

// The defaults of QueueMax and ServiceQueueMax.
const (
	DefaultQueueMax        = 10_000
	DefaultServiceQueueMax = 1_000
)

func (c Config) withDefaults() Config {
	if len(c.Bind) == 0 {
		c.Bind = []string{"tcp://127.0.0.1:5555"}
	}
	c.Heartbeat = cmp.Or(c.Heartbeat, 2500*time.Millisecond)
	c.Liveness = cmp.Or(c.Liveness, 4)
	c.BusySilence = cmp.Or(c.BusySilence, time.Minute)
	c.QueueMax = cmp.Or(c.QueueMax, DefaultQueueMax)
	c.ServiceQueueMax = cmp.Or(c.ServiceQueueMax, DefaultServiceQueueMax)
	c.QueueBytes = cmp.Or(c.QueueBytes, 512<<20)
	c.OutboxBytes = cmp.Or(c.OutboxBytes, 256<<20)
	c.farewell = cmp.Or(c.farewell, linger)
	c.Expiry = cmp.Or(c.Expiry, 5*time.Minute)
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}

func (c Config) validate() error {
	for _, bound := range []struct {
		name      string
		got, want int64
	}{
		{"liveness", int64(c.Liveness), 1},
		{"queue-max", int64(c.QueueMax), 1},
		{"service-queue-max", int64(c.ServiceQueueMax), 1},
		{"queue-bytes", c.QueueBytes, 1},
		{"outbox-bytes", c.OutboxBytes, 1},
		{"max-connections", int64(c.MaxConnections), 0},
		{"redispatch", int64(c.Redispatch), 0},
	} {
		if bound.got < bound.want {
			return fmt.Errorf("%s is %d, want at least %d", bound.name, bound.got, bound.want)
		}
	}
	for _, bound := range []struct {
		name string
		got  time.Duration
	}{
		{"heartbeat", c.Heartbeat}, {"busy-silence", c.BusySilence}, {"expiry", c.Expiry},
	} {
		if bound.got < time.Millisecond {
			return fmt.Errorf("%s is %s, want at least 1ms", bound.name, bound.got)
		}
	}
	return nil
}
