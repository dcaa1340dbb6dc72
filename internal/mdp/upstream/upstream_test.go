package upstream_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mux"
	"mdpgateway/internal/mdp/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 2 * time.Minute

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !is(); <-tick.C {
		if time.Since(start) > patience {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// Three brokers, the second of mdpx/1: their numbers are those of the configuration, calls
// go to those that may be asked, and to the other kind where one kind is away.
func TestBrokersOfBothKindsAreOne(t *testing.T) {
	plain := mdptest.NewRouter(t, func(_ []byte, frames [][]byte) [][][]byte {
		return [][][]byte{{nil, []byte("MDPC01"), frames[2], []byte("plain")}}
	})
	own := mdptest.NewMuxed(t, "echo")
	answering := make(chan struct{})
	go func() {
		defer close(answering)
		for a := range own.Requests() {
			if string(a.Request.Body[0]) == "end" {
				return
			}
			own.Reply(a, [][]byte{[]byte("own")}, true)
		}
	}()
	b, err := upstream.New(mux.Config{Config: client.Config{Endpoints: []client.Endpoint{
		{Name: "away", Address: "tcp://127.0.0.1:1"}, {Name: "own", Address: own.Endpoint(), Dialect: mdp.X1}, {Name: "plain", Address: plain.Endpoint()},
	}, MaxReply: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_, _ = b.Call(t.Context(), gateway.Request{Service: "echo", Frames: [][]byte{[]byte("end")}, Brokers: []int{1}, Deadline: time.Now().Add(time.Second)})
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
		<-answering
	}()
	eventually(t, "two brokers are up", func() bool {
		first, _ := b.State(1)
		second, _ := b.State(2)
		return first == gateway.Up && second == gateway.Up
	})
	if b.Table(0) != nil || b.Table(2) != nil || b.Table(1).Service("echo").Workers != 1 {
		t.Error("the broker of mdpx/1 alone tells of its services")
	}
	for i, name := range []string{"away", "own", "plain"} {
		if got := b.Stats().Endpoints[i].Name; got != name {
			t.Errorf("broker %d is %s, want %s", i, got, name)
		}
	}
	asked := 0
	for _, c := range []struct {
		brokers []int
		want    string
		broker  int
	}{{[]int{1}, "own", 1}, {[]int{2}, "plain", 2}, {[]int{0, 1}, "own", 1}, {[]int{0, 2}, "plain", 2}} {
		asked = 0
		reply, err := b.Call(t.Context(), gateway.Request{
			Service: "echo", Frames: [][]byte{[]byte("x")}, Brokers: c.brokers, Sending: func() error { asked++; return nil },
		})
		if err != nil || string(reply.Frames[0]) != c.want || reply.Broker != c.broker || asked != 1 {
			t.Errorf("of %v: got %q of broker %d, %v, asked %d times, want %s of %d, asked once", c.brokers, reply.Frames, reply.Broker, err, asked, c.want, c.broker)
		}
	}
	if _, err := b.Call(t.Context(), gateway.Request{Service: "echo", Brokers: []int{0}}); gateway.AsError(err).Kind != gateway.BrokerUnavailable {
		t.Errorf("got %v, want that the broker is unavailable", err)
	}

	// Where both kinds are idle, they take turns.
	var of [3]int
	for range 6 {
		reply, err := b.Call(t.Context(), gateway.Request{Service: "echo", Frames: [][]byte{[]byte("x")}})
		if err != nil {
			t.Fatal(err)
		}
		of[reply.Broker]++
	}
	if of != [3]int{0, 3, 3} {
		t.Errorf("of six calls the brokers got %v, want [0 3 3]", of)
	}

	// Once the one is lost, the other kind takes all calls.
	plain.Close()
	eventually(t, "the plain broker is lost", func() bool { state, _ := b.State(2); return state == gateway.Down })
	reply, err := b.Call(t.Context(), gateway.Request{Service: "echo", Frames: [][]byte{[]byte("x")}})
	if err != nil || reply.Broker != 1 {
		t.Errorf("got broker %d, %v, want 1", reply.Broker, err)
	}
}
