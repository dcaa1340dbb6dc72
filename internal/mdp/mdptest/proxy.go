package mdptest

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A Proxy is a TCP link between clients and a broker that can be made bad: delayed,
// stalled, throttled or cut. If it is bad of its own accord, as without descriptors, its test fails. Its methods are
// safe for concurrent use.
type Proxy struct {
	// Set once.
	t        testing.TB
	target   string
	listener net.Listener
	running  sync.WaitGroup

	rate  atomic.Int64 // bytes a second, each way of each connection; 0 means no limit
	delay atomic.Int64 // nanoseconds that each byte is on its way

	mu      sync.Mutex
	stalled [2]chan struct{} // guarded by mu; by Way, closed when the link moves
	conns   map[net.Conn]int // guarded by mu; both ends of each connection, and how many were taken before it
	refuse  bool             // guarded by mu
	closed  chan struct{}
	close   func()
}

// A Way is a direction of a Proxy.
type Way int

// The ways.
const (
	ToBroker Way = iota
	FromBroker
)

// NewProxy starts a proxy on a free port for connections to a tcp:// endpoint.
func NewProxy(t testing.TB, endpoint string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		t: t, target: strings.TrimPrefix(endpoint, "tcp://"), listener: listener,
		conns: map[net.Conn]int{}, closed: make(chan struct{}),
	}
	for way := range p.stalled {
		p.stalled[way] = make(chan struct{})
		close(p.stalled[way])
	}
	p.close = sync.OnceFunc(p.shutDown)
	t.Cleanup(p.Close)
	p.running.Go(p.accept)
	return p
}

// Endpoint returns where the proxy listens.
func (p *Proxy) Endpoint() string { return "tcp://" + p.listener.Addr().String() }

// Stall lets nothing through any more, and says so to nobody: connections stay
// open, new ones are taken and lead nowhere.
func (p *Proxy) Stall() {
	p.StallWay(ToBroker)
	p.StallWay(FromBroker)
}

// StallWay stalls one direction alone.
func (p *Proxy) StallWay(way Way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stalled[way]:
		p.stalled[way] = make(chan struct{})
	default:
	}
}

// Resume ends a stall; what had been held back arrives now.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stalled := range p.stalled {
		select {
		case <-stalled:
		default:
			close(stalled)
		}
	}
}

// Throttle limits every connection to that many bytes a second, each way; 0
// lifts the limit.
func (p *Proxy) Throttle(bytesPerSecond int64) { p.rate.Store(bytesPerSecond) }

// Delay makes every byte take that long, each way, so that a round trip takes twice
// that. A TCP connection to the proxy itself comes about without delay.
func (p *Proxy) Delay(oneWay time.Duration) { p.delay.Store(int64(oneWay)) }

// Cut closes every connection. New ones are taken.
func (p *Proxy) Cut() { p.CutAfter(0) }

// CutAfter closes every connection but the first n that the proxy ever took.
func (p *Proxy) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, before := range p.conns {
		if before >= n {
			_ = c.Close()
		}
	}
}

// Refuse makes the proxy close new connections at once, or take them again.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Close ends the proxy. The test's end does it too.
func (p *Proxy) Close() { p.close() }

func (p *Proxy) shutDown() {
	close(p.closed)
	_ = p.listener.Close()
	p.Resume()
	p.Cut()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for n := 0; ; n++ {
		near, err := p.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				p.t.Errorf("the link takes no more connections: %v", err)
			}
			return
		}
		p.running.Go(func() { p.link(near, n) })
	}
}

// link carries one connection until either end closes.
func (p *Proxy) link(near net.Conn, before int) {
	defer near.Close()
	if !p.enter(near, before) {
		return
	}
	defer p.leave(near)
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) { // the broker is there no more
			p.t.Errorf("the link does not reach the broker: %v", err)
		}
		return
	}
	defer far.Close()
	if !p.enter(far, before) {
		return
	}
	defer p.leave(far)
	var ways sync.WaitGroup
	ways.Go(func() { p.carry(far, near, ToBroker) })
	ways.Go(func() { p.carry(near, far, FromBroker) })
	ways.Wait()
}

func (p *Proxy) enter(c net.Conn, before int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return false
	default:
	}
	if p.refuse {
		return false
	}
	p.conns[c] = before
	return true
}

func (p *Proxy) leave(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// A chunk is what was read of a connection.
type chunk struct {
	bytes   []byte
	due     time.Time     // when it arrives at the other end
	arrived chan struct{} // closed then
}

// inTransit is how many chunks may be on their way at a time.
const inTransit = 1024

// carry copies one way. When it ends, so does the other way. With a delay, more is read
// while the last is on its way, so that the delay takes nothing from the throughput.
func (p *Proxy) carry(to, from net.Conn, way Way) {
	chunks := make(chan chunk, inTransit)
	var arriving sync.WaitGroup
	defer arriving.Wait()
	defer close(chunks)
	arriving.Go(func() { p.arrive(to, from, chunks, way) })
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		delay := time.Duration(p.delay.Load())
		c := chunk{bytes.Clone(buffer[:n]), time.Now().Add(delay), make(chan struct{})}
		chunks <- c
		if delay == 0 {
			<-c.arrived
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) arrive(to, from net.Conn, chunks <-chan chunk, way Way) {
	defer to.Close()
	defer from.Close()
	broken := false
	for c := range chunks {
		if !broken {
			p.travel(c.due)
			p.wait(len(c.bytes), way)
			_, err := to.Write(c.bytes)
			if broken = err != nil; broken {
				_ = from.Close() // nothing more is read
			}
		}
		close(c.arrived)
	}
}

// travel waits until what is on its way arrives.
func (p *Proxy) travel(due time.Time) {
	wait := time.Until(due)
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.closed:
	}
}

// wait holds n bytes back for as long as the link's state wants.
func (p *Proxy) wait(n int, way Way) {
	if rate := p.rate.Load(); rate > 0 {
		select {
		case <-time.After(time.Duration(int64(n) * int64(time.Second) / rate)):
		case <-p.closed:
		}
	}
	p.mu.Lock()
	stalled := p.stalled[way]
	p.mu.Unlock()
	<-stalled
}
