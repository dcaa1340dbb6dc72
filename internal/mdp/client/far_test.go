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

// far returns a pool whose broker is that far: a round trip takes that long.
func far(t *testing.T, rtt time.Duration, cfg client.Config) *client.Pool {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m} })
	link := mdptest.NewProxy(t, broker.Endpoint())
	link.Delay(rtt / 2)
	p := newPool(t, cfg, at(link.Endpoint()))
	eventually(t, "the broker is up", func() bool { return p.Stats().Endpoints[0].State == gateway.Up })
	return p
}

// outcomes counts how calls ended.
func outcomes(ended []error) map[string]int {
	counts := map[string]int{}
	for _, err := range ended {
		if err == nil {
			counts["answered"]++
			continue
		}
		e := gateway.AsError(err)
		counts[fmt.Sprint(e.Kind, " ", e.Reason)]++
	}
	return counts
}

// slower are the factors of all times in the attempts at a count that depends on time. On a
// busy machine what takes CPU is late, and matters less where all else takes longer. A pool
// that is wrong reaches what is wanted at none of them.
var slower = []time.Duration{1, 1, 2, 4, 8}

// patient configures a pool whose bounds on time are that many times the defaults.
func patient(factor time.Duration) client.Config {
	return client.Config{QueueTimeout: factor * client.DefaultQueueTimeout, ConnectTimeout: factor * client.DefaultConnectTimeout}
}

// A hundred callers come at once to a pool without connections. A call takes whichever
// connection comes first, so those that were answered early help the others.
func TestABurstAtAPoolWithoutConnectionsIsAnsweredAlsoOverAFarLink(t *testing.T) {
	const calls = 100
	for _, c := range []struct {
		rtt, timeout time.Duration
		want         int
	}{
		{0, time.Second, calls},
		{40 * time.Millisecond, time.Second, 90},
		{100 * time.Millisecond, time.Second, 90},
		{200 * time.Millisecond, 3 * time.Second, calls},
	} {
		t.Run(fmt.Sprintf("rtt=%v/timeout=%v", c.rtt, c.timeout), func(t *testing.T) {
			var counts map[string]int
			for _, factor := range slower {
				p := far(t, factor*c.rtt, patient(factor))
				start := time.Now()
				counts = outcomes(atOnce(p, calls, factor*c.timeout))
				s := p.Stats()
				t.Logf("%d times slower: %v after %v, over %d connections",
					factor, counts, time.Since(start).Round(time.Millisecond), s.Idle+s.Connecting)
				if counts["answered"] >= c.want {
					return
				}
			}
			t.Errorf("%v, want at least %d answered", counts, c.want)
		})
	}
}

func atOnce(p *client.Pool, calls int, timeout time.Duration) []error {
	ended := make([]error, calls)
	var running sync.WaitGroup
	for i := range calls {
		running.Go(func() {
			_, ended[i] = p.Call(context.Background(), within(timeout, echo("hello")))
		})
	}
	running.Wait()
	return ended
}

// The calls' time is shorter than a handshake takes. Connections go on being opened when
// their calls have ended, so later calls find some.
func TestCallsShorterThanAHandshakeAreAnsweredOnceConnectionsAreThere(t *testing.T) {
	const calls, warm = 12, 3
	for _, factor := range slower {
		p := far(t, factor*200*time.Millisecond, patient(factor))
		ended := make([]error, calls)
		for i := range calls {
			_, ended[i] = p.Call(context.Background(), within(factor*350*time.Millisecond, echo("hello")))
		}
		t.Logf("first %d: %v, then: %v", warm, outcomes(ended[:warm]), outcomes(ended[warm:]))
		if outcomes(ended[warm:])["answered"] == calls-warm {
			return
		}
	}
	t.Errorf("not all of the %d calls from the fourth on were answered", calls-warm)
}

// At a round trip of a second, look-ups and calls work once handshakes have the time, from the start on.
func TestABrokerASecondAwayIsReachedAndAsked(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		if string(m[2]) == mdp.MMIService {
			return [][][]byte{frames("", "MDPC01", mdp.MMIService, mdp.StatusFound)}
		}
		return [][][]byte{m}
	})
	link := mdptest.NewProxy(t, broker.Endpoint())
	link.Delay(500 * time.Millisecond)
	p := newPool(t, client.Config{ConnectTimeout: patience, QueueTimeout: patience}, at(link.Endpoint()))
	early := inBackground(t.Context(), p, echo("early"))
	if status, err := p.Lookup(context.Background(), 0, "echo"); err != nil || status != mdp.StatusFound {
		t.Errorf("look-up: got %q, %v, want %s", status, err, mdp.StatusFound)
	}
	if err := await(t, early); err != nil {
		t.Errorf("a call at the start: %v", err)
	}
	mustCall(t, p, "hello")
}
