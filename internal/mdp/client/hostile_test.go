package client_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// A broker sends more than the one reply. What comes after it waits in the
// connection, which is not used again.
func TestWhatComesAfterTheReplyReachesNobody(t *testing.T) {
	partial, final := frames("MDPC02", "\x02", "echo", "late"), frames("MDPC02", "\x03", "echo", "late")
	for _, c := range []struct {
		name  string
		after [][][]byte
	}{
		{"another FINAL", [][][]byte{final}},
		{"a PARTIAL", [][][]byte{partial}},
		{"a PARTIAL and a FINAL", [][][]byte{partial, final}},
		{"what is no reply at all", [][][]byte{frames("x")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ids := make(chan string, 10)
			broker := mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
				ids <- string(id)
				return append([][][]byte{frames("MDPC02", "\x03", "echo", string(m[3]))}, c.after...)
			})
			p := newPool(t, client.Config{Max: 1}, client.Endpoint{Address: broker.Endpoint(), Dialect: mdp.V02})
			mustCall(t, p, "first")
			first := await(t, ids)
			<-time.After(20 * time.Millisecond) // what comes late is late: give it the time to
			mustCall(t, p, "second")
			if await(t, ids) == first {
				t.Error("the connection was used again")
			}
			if s := p.Stats(); s.Closed["stray"] != 1 || s.Stray["late"] != 1 {
				t.Errorf("closed %v, stray %v, want one of each counted", s.Closed, s.Stray)
			}
		})
	}
}

// A broker sends replies to connections that rest, which asked for nothing.
func TestAReplyToACallThatWasNeverMadeReachesNobody(t *testing.T) {
	var mu sync.Mutex
	var id []byte
	broker := mdptest.NewRouter(t, func(from []byte, m [][]byte) [][][]byte {
		mu.Lock()
		defer mu.Unlock()
		id = from
		return [][][]byte{m}
	})
	p := newPool(t, client.Config{Max: 1}, at(broker.Endpoint()))
	for i := range 20 {
		mustCall(t, p, fmt.Sprint(i))
		mu.Lock()
		broker.Send(id, frames("", "MDPC01", "echo", "unasked"))
		mu.Unlock()
		<-time.After(10 * time.Millisecond)
	}
	mustCall(t, p, "last")
	if s := p.Stats(); s.Stray["late"] == 0 || s.Stray["late"] != s.Closed["stray"] {
		t.Errorf("closed %v, stray %v, want the unasked ones counted", s.Closed, s.Stray)
	}
}

// Without reuse no duplicate, however late, meets another call.
func TestLateDuplicatesNeverCrossWhereConnectionsAreNotShared(t *testing.T) {
	var broker *mdptest.Router
	broker = mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		time.AfterFunc(time.Duration(len(m[3])%7)*time.Millisecond, func() { broker.Send(id, m) })
		return [][][]byte{m}
	})
	p := newPool(t, client.Config{}, at(broker.Endpoint()))
	for i := range 1000 {
		req := echo(fmt.Sprintf("%0*d", i%20+4, i))
		req.Reuse = gateway.ReuseNever
		reply, err := p.Call(context.Background(), req)
		if err != nil || text(reply) != string(req.Frames[0]) {
			t.Fatalf("call %d: got %q, %v", i, reply.Frames, err)
		}
	}
}

// A broker that answers no look-ups makes nobody wait longer than the first.
func TestAMuteBrokerDoesNotMakeLookupsWaitOneByOne(t *testing.T) {
	mute := mdptest.NewRouter(t, nil)
	p := newPool(t, client.Config{}, at(mute.Endpoint()))
	start := time.Now()
	var running sync.WaitGroup
	for i := range 40 {
		running.Go(func() {
			_, err := p.Lookup(context.Background(), 0, fmt.Sprint("svc-", i))
			if kind := gateway.AsError(err).Kind; kind != gateway.Timeout && kind != gateway.Busy {
				t.Errorf("got %v, want a timeout or busy", err)
			}
		})
	}
	running.Wait()
	t.Logf("40 look-ups ended after %v", time.Since(start).Round(time.Millisecond))
	if took := time.Since(start); took > 10*time.Second { // one by one it would take 20 s
		t.Errorf("took %v, want about as long as one", took)
	}
}
