package client

import (
	"context"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/mdptest"
)

// patient bounds a test that fails; it slows none that passes.
const patient = 20 * time.Second

// A seam is a pool of one connection at a broker that sends every request back.
// A test may act at the moment after a reply was received and before its call
// is over, when what ends calls races with them.
type seam struct {
	*Pool
	t        *testing.T
	received func() // called once, by the next call
	ids      []string
}

func newSeam(t *testing.T) *seam {
	t.Helper()
	s := &seam{t: t}
	ids := make(chan string, 100)
	broker := mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		ids <- string(id)
		return [][][]byte{m}
	})
	p, err := New(Config{Max: 1, Endpoints: []Endpoint{{Address: broker.Endpoint()}}, Trace: func(out bool, _ [][]byte) {
		if out {
			return
		}
		s.ids = append(s.ids, <-ids)
		if act := s.received; act != nil {
			s.received = nil
			act()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.Pool = p
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func hello() gateway.Request {
	return gateway.Request{Service: "echo", Frames: [][]byte{[]byte("hello")}, Deadline: time.Now().Add(patient)}
}

// answered makes a call that must get its reply.
func (s *seam) answered(ctx context.Context) {
	s.t.Helper()
	reply, err := s.Call(ctx, hello())
	if err != nil || len(reply.Frames) != 1 || string(reply.Frames[0]) != "hello" {
		s.t.Fatalf("got %q, %v, want hello", reply.Frames, err)
	}
}

// closedFor checks that the connection of the last call was closed for that
// reason, and that the next call is answered on another.
func (s *seam) closedFor(reason string) {
	s.t.Helper()
	if got := s.Stats(); got.Closed[reason] != 1 || got.Busy != 0 {
		s.t.Errorf("%d busy, closed %v, want none busy and one closed: %s", got.Busy, got.Closed, reason)
	}
	last := s.ids[len(s.ids)-1]
	s.answered(context.Background())
	if s.ids[len(s.ids)-1] == last {
		s.t.Error("the next call was on the same connection, want one of its own")
	}
}

// Setting a call's deadline takes back an interrupt that came before.
func TestAConnectionAbandonedBeforeItsCallBeganEndsTheCall(t *testing.T) {
	s := newSeam(t)
	s.answered(context.Background()) // opens the connection
	req := hello()
	x := newCall(context.Background(), &req)
	defer s.end(x)
	c, err := s.acquire(x)
	if err != nil {
		t.Fatal(err)
	}
	c.abandon(gateway.BrokerLost)
	err = s.carry(c, x)
	if e, ok := err.(*gateway.Error); !ok || e.Kind != gateway.BrokerLost {
		t.Errorf("got %q, %v, want %s", x.reply.Frames, err, gateway.BrokerLost)
	}
	if got := s.Stats(); got.Closed[closedLost] != 1 || got.Idle+got.Busy != 0 {
		t.Errorf("%d idle, %d busy, closed %v, want the connection closed", got.Idle, got.Busy, got.Closed)
	}
}

// The interrupt may come at any time after that.
func TestACallerWhoLeavesAtTheReplyGetsItAndTheConnectionIsClosed(t *testing.T) {
	s := newSeam(t)
	ctx, leave := context.WithCancel(context.Background())
	s.received = leave
	s.answered(ctx)
	s.closedFor(string(gateway.Canceled))
}

// Once its call is over, nobody may interrupt a connection for the caller's sake.
func TestACallerWhoLeavesAfterTheReplyDoesNotEndTheNextCall(t *testing.T) {
	s := newSeam(t)
	ctx, leave := context.WithCancel(context.Background())
	s.answered(ctx)
	s.received = leave
	s.answered(context.Background())
	if got := s.Stats(); got.Idle != 1 {
		t.Errorf("%d idle, closed %v, want the connection to rest", got.Idle, got.Closed)
	}
}

// The broker was lost and came back between a reply and the end of its call.
func TestAConnectionAbandonedAtTheReplyIsNotUsedAgain(t *testing.T) {
	s := newSeam(t)
	s.received = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.endpoints[0].abandonAll(gateway.BrokerLost)
	}
	s.answered(context.Background())
	s.closedFor(closedLost)
}

// A caller's Partial may panic, or Trace, and net/http goes on after it.
func TestAPanicInACallClosesItsConnection(t *testing.T) {
	s := newSeam(t)
	s.received = func() { panic("a bug") }
	func() {
		defer func() {
			if v := recover(); v != "a bug" {
				t.Errorf("recovered %v, want the panic of the call", v)
			}
		}()
		_, err := s.Call(context.Background(), hello())
		t.Errorf("the call returned %v, want a panic", err)
	}()
	s.closedFor(string(gateway.Internal))
}
