package mdpx

import (
	"encoding/binary"
	"math"
	"time"
)

// Header is the first frame of every message, both ways.
const Header = "MDPX01"

var header = []byte(Header)

// A Command is the second frame of a message: what it is. The gateway sends those below
// 0x10, the broker the others.
type Command byte

// The commands.
const (
	Request   Command = 0x01
	Cancel    Command = 0x02 // nobody waits for the reply to a request any more
	Watch     Command = 0x03 // tell the services, now and whenever they change
	Heartbeat Command = 0x04 // the broker answers with HeartbeatReply

	Partial        Command = 0x11 // a part of a reply, others follow
	Final          Command = 0x12 // the last part of a reply, or all of it
	Refused        Command = 0x13 // no worker had the request, and none will
	Gone           Command = 0x14 // a worker had the request, and no reply will come
	Services       Command = 0x15
	HeartbeatReply Command = 0x16
)

// commands has the byte n at offset n, so that a frame of one needs no memory.
var commands = func() (all [HeartbeatReply + 1]byte) {
	for i := range all {
		all[i] = byte(i)
	}
	return all
}()

func (c Command) frame() []byte { return commands[c : c+1] }

// An ID names a request on its connection, where it is never used again.
type ID [8]byte

// NumberID returns the id that is n as a big-endian number.
func NumberID(n uint64) (id ID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// A TTL is the time after which the reply to a request is of no use, counted from the
// request's arrival at the broker: milliseconds, as a big-endian number.
type TTL [4]byte

// NewTTL returns the TTL that is d, rounded up to whole milliseconds: at least 0, at
// most 49 days.
func NewTTL(d time.Duration) (ttl TTL) {
	ms := max(d, 0) / time.Millisecond
	if d > ms*time.Millisecond {
		ms++
	}
	binary.BigEndian.PutUint32(ttl[:], uint32(min(ms, math.MaxUint32)))
	return ttl
}

// Duration returns the time that ttl stands for.
func (ttl TTL) Duration() time.Duration {
	return time.Duration(binary.BigEndian.Uint32(ttl[:])) * time.Millisecond
}

// A Code says why a request is Refused or Gone. It is fit for a label.
type Code string

// The codes of Refused, and of Gone: WorkerLost and Canceled.
const (
	NoService  Code = "no_service" // no service can have that name
	NoWorkers  Code = "no_workers" // the service has no workers, and what may wait for such is full
	QueueFull  Code = "queue_full"
	Expired    Code = "expired"   // it was not given to a worker within its TTL, or the broker's own limit
	Canceled   Code = "canceled"  // by Cancel
	Forbidden  Code = "forbidden" // its sender may not call the service
	TooLarge   Code = "too_large" // it is larger than all that may wait
	Stopping   Code = "stopping"  // the broker ends
	WorkerLost Code = "worker_lost"

	// UnknownCode is what a code is read as that is none of the above: of a later broker.
	// The command has its meaning all the same.
	UnknownCode Code = "unknown"
)

// codes are those that are read as themselves.
var codes = map[string]Code{
	"no_service": NoService, "no_workers": NoWorkers, "queue_full": QueueFull, "expired": Expired, "canceled": Canceled,
	"forbidden": Forbidden, "too_large": TooLarge, "stopping": Stopping, "worker_lost": WorkerLost,
}

// A Service is what a broker tells of a service. One that has gone has neither workers nor
// queued requests.
type Service struct {
	Name    string
	Workers uint32 // registered
	Busy    uint32 // of them with a request
	Queued  uint32 // requests that wait for a worker
}
