package client_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// A flapper is a link to a broker that lives on in its first connections, and
// later cuts each new one after a while.
type flapper struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup
	accepted atomic.Int64

	mu    sync.Mutex
	first net.Conn       // guarded by mu; the sentinel's
	all   []net.Conn     // guarded by mu
	lives *time.Duration // guarded by mu; of new connections; nil means for ever
}

func newFlapper(t *testing.T, endpoint string) *flapper {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &flapper{listener: listener, target: strings.TrimPrefix(endpoint, "tcp://")}
	f.running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			f.accepted.Add(1)
			f.running.Go(func() { f.link(near) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		f.mu.Lock()
		for _, c := range f.all {
			_ = c.Close()
		}
		f.mu.Unlock()
		f.running.Wait()
	})
	return f
}

func (f *flapper) endpoint() string { return "tcp://" + f.listener.Addr().String() }

func (f *flapper) link(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", f.target)
	if err != nil {
		return
	}
	defer far.Close()
	f.mu.Lock()
	if f.first == nil {
		f.first = near
	}
	f.all = append(f.all, near, far)
	lives := f.lives
	f.mu.Unlock()
	if lives != nil {
		timer := time.AfterFunc(*lives, func() { _ = near.Close() })
		defer timer.Stop()
	}
	f.running.Go(func() {
		_, _ = io.Copy(far, near)
		_ = far.Close()
	})
	_, _ = io.Copy(near, far)
}

// flap cuts the first connection, and each that is made from now on after that
// time.
func (f *flapper) flap(lives time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lives = &lives
	_ = f.first.Close()
}

// The sentinel comes back and is lost again, faster than the time that a lost one
// has to come back. A call whose own connection says nothing must not wait for it
// to settle.
func TestABrokerThatFlapsKeepsNoCallHanging(t *testing.T) {
	script, arrived := hold()
	broker := mdptest.NewRouter(t, script)
	link := newFlapper(t, broker.Endpoint())
	p := newPool(t, client.Config{}, at(link.endpoint()))
	open := inBackground(context.Background(), p, echo("hello"))
	await(t, arrived)
	link.flap(300 * time.Millisecond)
	start := time.Now()
	failure(t, await(t, open), gateway.BrokerLost, "")
	s := p.Stats().Endpoints[0]
	t.Logf("ended after %v and %d reconnects", time.Since(start).Round(time.Millisecond), s.Reconnects)
}

// The sentinel's connection stands, but no other comes about: the call ends with
// the first that breaks. It is no more than one try.
func TestAConnectionThatDoesNotComeAboutIsNotTriedAgain(t *testing.T) {
	broker := mdptest.NewRouter(t, nil)
	link := newFlapper(t, broker.Endpoint())
	p := newPool(t, client.Config{ConnectTimeout: 300 * time.Millisecond}, at(link.endpoint()))
	eventually(t, "the broker is up", func() bool { return p.Stats().Endpoints[0].State == gateway.Up })
	link.mu.Lock()
	link.lives = new(time.Duration) // none
	link.mu.Unlock()
	before := link.accepted.Load()
	_, err := p.Call(context.Background(), echo("hello"))
	failure(t, err, gateway.BrokerUnavailable, "")
	if n := link.accepted.Load() - before; n != 1 {
		t.Errorf("%d connections were tried, want 1", n)
	}
}

// The log shows the header of what is no reply, each frame cut, and nothing of a
// body.
func TestABadReplyIsLoggedWithoutItsBody(t *testing.T) {
	long := strings.Repeat("ab", 100)
	broker := mdptest.NewRouter(t, func([]byte, [][]byte) [][][]byte {
		return [][][]byte{frames("", "MDPC09", long, "the body is a secret")}
	})
	core, logs := observer.New(zap.WarnLevel)
	p := newPool(t, client.Config{Log: zap.New(core)}, at(broker.Endpoint()))
	_, err := p.Call(context.Background(), echo("hello"))
	failure(t, err, gateway.BadReply, "")
	entries := logs.FilterMessage("bad reply").All()
	if len(entries) != 1 {
		t.Fatalf("%d lines, want one", len(entries))
	}
	fields := entries[0].ContextMap()
	if fields["service"] != "echo" || fields["expected"] != "MDPC01" || fields["frames"] != int64(4) {
		t.Errorf("got %v, want the service, the header that was expected, and 4 frames", fields)
	}
	received, _ := fields["received"].([]any)
	if len(received) != 3 || received[0] != "" || received[1] != "4d4450433039" || received[2] != strings.Repeat("6162", 16) {
		t.Errorf("received: %v, want the frames of the header in hexadecimal, none over 32 bytes", received)
	}
}

// A call that ran out of time after some parts of its reply was heard of: its
// broker is not one that never answers.
func TestABrokerThatSentPartsIsHeardOf(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		if string(m[3]) == "part" {
			return [][][]byte{{[]byte("MDPC02"), {2}, m[2], []byte("one")}}
		}
		return nil
	})
	p := newPool(t, client.Config{}, client.Endpoint{Address: broker.Endpoint(), Dialect: mdp.V02})
	for _, c := range []struct {
		body  string
		heard bool
	}{{"nothing", false}, {"part", true}} {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		_, err := p.Call(ctx, echo(c.body))
		failure(t, err, gateway.Timeout, "")
		if heard := !p.Stats().Endpoints[0].LastReply.IsZero(); heard != c.heard {
			t.Errorf("%s: heard of is %v, want %v", c.body, heard, c.heard)
		}
	}
}
