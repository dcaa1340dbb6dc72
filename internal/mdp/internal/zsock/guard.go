package zsock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	zmq "github.com/pebbe/zmq4"
	"golang.org/x/sys/unix"
)

// A Guard bounds the connections of a ROUTER. libzmq accepts whoever connects until the
// process has no descriptor left; the Guard ends the connections beyond its bound.
type Guard struct {
	// Set once.
	router  *Socket
	monitor *Socket
	max     int
	done    chan struct{} // closed when run has ended, and err is set
	err     error         // why it ended before Close

	closing atomic.Bool
	refused atomic.Uint64
	count   atomic.Int64 // of open

	open map[int]bool // owned by run: the descriptors of connections that were accepted
}

// guarded are the events that run understands.
const guarded = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED

// Guard starts to guard a ROUTER, which must not be bound yet. Close must be called before
// the ROUTER's, by the goroutine that owns the ROUTER. If the Guard fails, the ROUTER's Receive
// returns an error, and Close says why.
func (c *Context) Guard(router *Socket, limit int) (*Guard, error) {
	monitor, err := c.socket(zmq.PAIR, noLinger)
	if err != nil {
		return nil, err
	}
	g := &Guard{router: router, monitor: monitor, max: limit, done: make(chan struct{}), open: make(map[int]bool)}
	name := fmt.Sprintf("inproc://monitor-%d", c.monitors.Add(1))
	if err := router.soc.Monitor(name, guarded); err != nil {
		return nil, errors.Join(translate(err), monitor.Close())
	}
	if err := monitor.Connect(name); err != nil {
		return nil, errors.Join(err, router.soc.Monitor("", 0), monitor.Close())
	}
	go g.run()
	return g, nil
}

// Refused returns how many connections were ended.
func (g *Guard) Refused() uint64 { return g.refused.Load() }

// Open returns how many connections there are.
func (g *Guard) Open() int { return int(g.count.Load()) }

// Max returns the bound.
func (g *Guard) Max() int { return g.max }

// Close ends the Guard and waits for it.
func (g *Guard) Close() error {
	g.closing.Store(true)
	err := translate(g.router.soc.Monitor("", 0))
	if err != nil {
		g.monitor.Interrupt() // there will be no last event
	}
	<-g.done
	return errors.Join(g.err, err, g.monitor.Close())
}

// run follows what becomes of the ROUTER's connections. It takes every event, since
// libzmq's thread waits for room once a thousand wait to be taken.
func (g *Guard) run() {
	defer close(g.done)
	err := g.follow()
	if err == nil || g.closing.Load() {
		return
	}
	// Nobody takes the events from here on. libzmq locks what this changes, so that it may be done beside the owner.
	g.err = fmt.Errorf("what becomes of connections is not known any more: %w", errors.Join(err, translate(g.router.soc.Monitor("", 0))))
	_ = g.router.wake.Close() // ends the ROUTER's waits
}

// follow follows until the monitor ends, or until an error.
func (g *Guard) follow() error {
	for {
		frames, err := g.monitor.Receive()
		if err != nil {
			return err
		}
		if len(frames) < 2 || len(frames[0]) < 6 {
			return fmt.Errorf("a monitor event of %d frames", len(frames))
		}
		descriptor := int(int32(binary.NativeEndian.Uint32(frames[0][2:])))
		switch zmq.Event(binary.NativeEndian.Uint16(frames[0])) {
		case zmq.EVENT_ACCEPTED:
			if len(g.open) >= g.max && hangUp(descriptor, string(frames[1])) {
				g.refused.Add(1)
			}
			g.open[descriptor] = true
		case zmq.EVENT_DISCONNECTED:
			delete(g.open, descriptor)
		case zmq.EVENT_MONITOR_STOPPED:
			return nil
		}
		g.count.Store(int64(len(g.open)))
	}
}

// hangUp shuts down the connection that a listener accepted, so that libzmq closes it. If
// its peer left, the descriptor may be another's by now: only a connection to the
// listener's own port is shut down. A duplicate stays what it is, whatever becomes of the
// descriptor meanwhile. Those over ipc are let in, since they need the right to open the
// listener's file.
func hangUp(descriptor int, listener string) bool {
	duplicate, err := unix.FcntlInt(uintptr(descriptor), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(duplicate) }()
	address, err := unix.Getsockname(duplicate)
	if err != nil {
		return false
	}
	port := 0
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		port = a.Port
	case *unix.SockaddrInet6:
		port = a.Port
	}
	return port != 0 && strings.HasSuffix(listener, ":"+strconv.Itoa(port)) && unix.Shutdown(duplicate, unix.SHUT_RDWR) == nil
}
