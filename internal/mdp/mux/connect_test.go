package mux_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mux"
)

// What listens at the first of a name's addresses takes connections, and does not speak MDPX/1.
func TestTheNextAddressIsTriedIfTheFirstDoesNotSpeak(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]mdptest.Script{
		"it says nothing":        nil,
		"it has another dialect": func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{fr("", "MDPC01", "echo", "what?")} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mdptest.NewMuxedAt(t, "tcp://127.0.0.1:*", "echo")
			_, port, err := net.SplitHostPort(b.Endpoint()[len("tcp://"):])
			if err != nil {
				t.Fatal(err)
			}
			mdptest.NewRouterAt(t, "tcp://127.0.0.2:"+port, script)
			core, logs := observer.New(zap.WarnLevel)
			c := start(t, mux.Config{Config: client.Config{
				Resolver: mdptest.NameServer(t, "127.0.0.2", "127.0.0.1"), Log: zap.New(core),
			}}, "tcp://broker.test:"+port)
			up(t, c, 1)
			done := call(t.Context(), c, gateway.Request{Service: "echo", Frames: fr("hi")})
			a := next(t, b)
			b.Reply(a, a.Request.Body, true)
			if r := <-done; r.err != nil {
				t.Error(r.err)
			}
			if n := logs.FilterMessage(gateway.Unspoken).Len(); n != 1 || c.Stats().Endpoints[0].Silent {
				t.Errorf("that the first does not speak is logged %d times, silent is %v; want once, and that the broker is not", n, c.Stats().Endpoints[0].Silent)
			}
		})
	}
}

// No address speaks: that is what the broker's state says, also while another address is tried.
func TestAMuteAddressBesideADeadOneIsTold(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	mute := mdptest.NewRouterAt(t, "tcp://127.0.0.2:*", func([]byte, [][]byte) [][][]byte { asked.Add(1); return nil })
	_, port, err := net.SplitHostPort(mute.Endpoint()[len("tcp://"):])
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.WarnLevel)
	c := start(t, mux.Config{Config: client.Config{
		Resolver: mdptest.NameServer(t, "127.0.0.3", "127.0.0.2"), Log: zap.New(core),
	}}, "tcp://broker.test:"+port)
	eventually(t, "the mute one is tried again", func() bool { return asked.Load() >= 2 })
	if n := logs.FilterMessage(gateway.Unspoken).Len(); n != 1 || !c.Stats().Endpoints[0].Silent {
		t.Errorf("that it does not speak is logged %d times, silent is %v; want once: %v", n, c.Stats().Endpoints[0].Silent, logs.All())
	}
}

// The broker takes the connections that say how it is, and no others: it counts as down, and the log says why.
func TestABrokerThatTakesNoConnectionForCallsIsDown(t *testing.T) {
	t.Parallel()
	const control, worker, other = 2, 1, 1
	b := mdptest.BrokerWith(t, broker.Config{MaxConnections: control + worker + other})
	mdptest.Worker(t, mdptest.Endpoint(b), "echo", func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
		return body, nil
	})
	placeholder := mdptest.NewDealer(t, mdptest.Endpoint(b))
	core, logs := observer.New(zap.InfoLevel)
	c := start(t, mux.Config{Config: client.Config{Log: zap.New(core)}}, mdptest.Endpoint(b))
	const fault, end = "no connection for calls could be opened", "connections to the broker can be opened again"
	eventually(t, "the broker is down", func() bool { return logs.FilterMessage(fault).Len() > 0 })
	state, _ := c.State(0)
	_, err := c.Call(t.Context(), gateway.Request{Service: "echo", Frames: fr("hi")})
	wantError(t, err, gateway.BrokerUnavailable, gateway.No, "")
	if state != gateway.Down {
		t.Errorf("its state is %v, want down", state)
	}
	placeholder.Close()
	eventually(t, "a call is answered", func() bool { // the broker may take a connection too many, and end it
		_, err := c.Call(t.Context(), gateway.Request{Service: "echo", Frames: fr("hi")})
		return err == nil
	})
	if _, epoch := c.State(0); epoch != 0 || logs.FilterMessage(end).Len() == 0 {
		t.Errorf("epoch %d, %v; want that the broker was there all the time, and that it can be called again", epoch, logs.All())
	}
}

// A broker is there, and the handshakes of new connections for calls take more than the default of a second.
func TestACallWaitsForAConnectionAsLongAsItMayWaitInTheQueue(t *testing.T) {
	t.Parallel()
	b := mdptest.NewMuxed(t, "echo")
	link := mdptest.NewProxy(t, b.Endpoint())
	c := start(t, mux.Config{Connections: 1}, link.Endpoint())
	up(t, c, 1)
	answer := func(expect int64) error {
		done := call(t.Context(), c, gateway.Request{Service: "echo", Frames: fr("hi"), Expect: expect})
		select {
		case a := <-b.Requests():
			b.Reply(a, a.Request.Body, true)
		case r := <-done:
			return r.err
		}
		return (<-done).err
	}
	for _, expect := range []int64{0, 1 << 20} { // over both connections: none is being opened when they are cut
		if err := answer(expect); err != nil {
			t.Fatal(err)
		}
	}
	link.Delay(600 * time.Millisecond)
	const control = 2
	link.CutAfter(control)
	eventually(t, "the connections for calls are lost", func() bool { return c.Stats().Closed["lost"] > 0 })
	eventually(t, "a call finds none of the old ones", func() bool {
		err := answer(0)
		if err != nil && gateway.AsError(err).Kind != gateway.BrokerLost {
			t.Fatal(err)
		}
		return err == nil
	})
}

func TestALostBrokerIsLoggedAndTheEndOfTheClientIsNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		ends func(*mdptest.Muxed, *mux.Client)
		want []any // of each line: how often the broker could not be reached by then
	}{
		{"broker", func(b *mdptest.Muxed, _ *mux.Client) { b.Close() }, []any{int64(1)}},
		{"client", func(_ *mdptest.Muxed, c *mux.Client) { _ = c.Close(context.Background()) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := mdptest.NewMuxed(t, "echo")
			core, logs := observer.New(zap.WarnLevel)
			x := start(t, mux.Config{Config: client.Config{Log: zap.New(core)}}, b.Endpoint())
			up(t, x, 1)
			c.ends(b, x)
			eventually(t, "it is down", func() bool { state, _ := x.State(0); return state == gateway.Down })
			var got []any
			eventually(t, "it is logged", func() bool {
				lines := logs.FilterMessage("broker unavailable").All()
				got = nil
				for _, line := range lines {
					got = append(got, line.ContextMap()["attempts"])
				}
				return len(got) >= len(c.want)
			})
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want lines after %v attempts", logs.All(), c.want)
			}
		})
	}
}

// How large replies may be has no part in how many services a broker has.
func TestABrokerMayHaveMoreServicesThanFitIntoAReply(t *testing.T) {
	overBoth(t, func(t *testing.T, at string) {
		t.Parallel()
		var names []string
		for i := range 2000 {
			names = append(names, fmt.Sprintf("service-%d", i))
		}
		b := mdptest.NewMuxedAt(t, at, names...)
		c := start(t, mux.Config{Config: client.Config{MaxReply: 1000}}, b.Endpoint())
		up(t, c, 1)
		if n := len(c.Table(0).Services()); n != len(names) {
			t.Errorf("%d services are known, want %d", n, len(names))
		}
	})
}
