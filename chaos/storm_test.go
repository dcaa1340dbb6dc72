package chaos

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

// handshake is what a ROUTER sends to a DEALER before any message: 64 bytes of
// greeting (ZMTP 3.1) and the READY command with its socket's type and identity.
const handshake = 64 + 43

// A turnstile is a link to a broker that counts the connections whose handshake
// is not done, and makes each take a while.
type turnstile struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu           sync.Mutex
	going        map[*net.TCPConn]struct{} // guarded by mu; those whose handshake is not done
	opened, most int                       // guarded by mu
}

func newTurnstile(t *testing.T, endpoint string) *turnstile {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &turnstile{listener: listener, target: strings.TrimPrefix(endpoint, "tcp://"), going: map[*net.TCPConn]struct{}{}}
	s.running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			s.enter(near.(*net.TCPConn))
			s.running.Go(func() { s.link(near.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.running.Wait()
	})
	return s
}

func (s *turnstile) endpoint() string { return "tcp://" + s.listener.Addr().String() }

// enter counts a connection. Those that the gateway has closed, which this process
// may not have noticed yet, are none.
func (s *turnstile) enter(near *net.TCPConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.going[near] = struct{}{}
	s.opened++
	n := 0
	for c := range s.going {
		if established(c) {
			n++
		}
	}
	s.most = max(s.most, n)
}

func (s *turnstile) leave(near *net.TCPConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.going, near)
}

// counts returns how many connections there were, and at most at a time.
func (s *turnstile) counts() (opened, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, s.most
}

// established reports whether neither side has closed a connection.
func established(c *net.TCPConn) (yes bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		yes = err == nil && info.State == unix.BPF_TCP_ESTABLISHED
	})
	return yes && err == nil
}

func (s *turnstile) link(near *net.TCPConn) {
	defer near.Close()
	defer s.leave(near)
	far, err := net.Dial("tcp", s.target)
	if err != nil {
		return
	}
	defer far.Close()
	s.running.Go(func() {
		_, _ = io.Copy(far, near)
		_ = far.Close()
	})
	// All but the last byte; who has it may open the next connection.
	if _, err := io.CopyN(near, far, handshake-1); err != nil {
		return
	}
	<-time.After(2 * time.Millisecond)
	s.leave(near)
	_, _ = io.Copy(near, far)
}

// Thousands of calls run out of time or are left by their callers. The orphans are
// counted, and nothing is left behind.
func TestAStormOfTimeOutsAndLeaversLeavesNothingBehind(t *testing.T) {
	var orphaned atomic.Int64
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		switch string(m[2]) {
		case mdp.MMIService:
			return [][][]byte{{nil, m[1], m[2], []byte(mdp.StatusFound)}}
		case "hang":
			orphaned.Add(1)
			return nil
		}
		return [][][]byte{m}
	})
	link := newTurnstile(t, broker.Endpoint())
	g := startGateway(t, "--broker", link.endpoint(), "--vars", "none", "--queue-timeout", "60s", "--connect-timeout", "60s", "--slow-log", "1m")
	g.works("echo")
	calls, over := 400, 8*time.Second
	if *timed {
		calls, over = 10_000, time.Minute
	}
	storm(t, g, calls/2, over/2) // what a storm takes once and keeps
	before := g.atRest()
	was := orphaned.Load()
	start := time.Now()
	timedOut, left := storm(t, g, calls, over)
	after := g.atRest() // the last callers who left are noticed a moment later
	orphans := int64(g.metric(`mdp_gateway_orphaned_requests{service="hang"}`))
	opened, most := link.counts()
	t.Logf("%d timed out and %d were left within %v; %d requests reached the broker, %d are counted as orphans; %d connections were opened, at most %d at a time",
		timedOut, left, time.Since(start).Round(time.Second), orphaned.Load()-was, orphans, opened, most)
	t.Logf("before: %v; after: %v", before, after)
	after.within(t, before)
	if timedOut == 0 || left == 0 {
		t.Error("want some of each")
	}
	// A call may run out of time before it is sent, and its request before it leaves.
	if sent := orphaned.Load(); orphans < sent || orphans > int64(calls+calls/2) {
		t.Errorf("%d orphans are counted, want the %d that the broker has", orphans, sent)
	}
	broker.Close()
	mdptest.NewRouterAt(t, broker.Endpoint(), nil)
	eventually(t, "orphans end with their broker", func() bool { return g.metric("mdp_gateway_orphaned_requests") == 0 })
}

// Two hundred calls come at once to a gateway that has one connection for calls, over a
// link on which handshakes take their time. None is opened twice for the same call.
func TestABurstOfCallsOpensNoMoreConnectionsThanItHasCalls(t *testing.T) {
	const burst = 200
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		if string(m[2]) == mdp.MMIService {
			return [][][]byte{{nil, m[1], m[2], []byte(mdp.StatusFound)}}
		}
		return [][][]byte{m}
	})
	link := newTurnstile(t, broker.Endpoint())
	g := startGateway(t, "--broker", link.endpoint(), "--vars", "none", "--timeout", "60s", "--connect-timeout", "60s", "--queue-timeout", "60s", "--pool-reserve", "0")
	g.works("echo")
	codes := atOnce(burst, func() string {
		a, err := g.post(context.Background(), "echo", "hello")
		if err != nil {
			return err.Error()
		}
		return strconv.Itoa(a.status) + " " + a.data
	})
	opened, most := link.counts()
	t.Logf("%v; %d connections were opened, at most %d at a time", codes, opened, most)
	if codes["200 hello"] != burst {
		t.Errorf("got %v, want all answered", codes)
	}
	if beside := 3; opened > burst+beside { // the endpoint's own, that for look-ups, and the first call's
		t.Errorf("%d connections were opened, want at most %d for %d calls", opened, burst+beside, burst)
	}
}

// storm makes that many calls that nobody answers, half of which are left by
// their callers, evenly over a time.
func storm(t *testing.T, g *gateway, calls int, over time.Duration) (timedOut, left int64) {
	var running sync.WaitGroup
	var timeouts, leavers atomic.Int64
	start := time.Now()
	for i := range calls {
		<-time.After(time.Until(start.Add(over * time.Duration(i) / time.Duration(calls))))
		running.Go(func() {
			after := 500*time.Millisecond + rand.N(time.Second)
			ctx, path := context.Background(), "hang?timeout="+after.String()
			if i%2 == 0 {
				timed, cancel := context.WithTimeout(ctx, after)
				defer cancel()
				ctx, path = timed, "hang"
			}
			a, err := g.post(ctx, path, "hi")
			switch {
			case err != nil && i%2 == 0:
				leavers.Add(1)
			case err == nil && (a.code == "timeout" || a.code == "busy" && a.reason == "deadline"):
				timeouts.Add(1)
			default:
				t.Errorf("got %v, %v, want a timeout", a, err)
			}
		})
	}
	running.Wait()
	return timeouts.Load(), leavers.Load()
}

// The only place is held by a call that nobody answers. When its caller leaves,
// the next one has it.
func TestACancelledCallFreesItsPlace(t *testing.T) {
	t.Parallel()
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		switch string(m[2]) {
		case mdp.MMIService:
			return [][][]byte{{nil, m[1], m[2], []byte(mdp.StatusFound)}}
		case "hang":
			return nil
		}
		return [][][]byte{m}
	})
	g := startGateway(t, "--broker", broker.Endpoint(), "--vars", "none", "--pool-max", "1", "--pool-reserve", "0", "--timeout", "5m", "--queue-timeout", "5m")
	g.works("echo")
	for range 20 {
		ctx, leave := context.WithCancel(context.Background())
		gone := make(chan error, 1)
		go func() {
			_, err := g.post(ctx, "hang", "hi")
			gone <- err
		}()
		eventually(t, "the place is taken", func() bool { return g.metric(`mdp_gateway_pool_connections{state="busy"}`) == 1 })
		next := make(chan answer, 1)
		go func() { next <- g.must("echo", "next") }()
		eventually(t, "the next one waits", func() bool { return g.metric("mdp_gateway_queue_depth") == 1 })
		leave()
		if err := <-gone; err == nil {
			t.Error("the caller that left was answered")
		}
		if a := <-next; a.status != http.StatusOK || a.data != "next" {
			t.Errorf("the next call: got %v", a)
		}
	}
}
