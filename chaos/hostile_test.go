package chaos

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

// An attack is what a broker sends when the text of a call is the attack's name.
type attack struct {
	name   string
	sends  [][][]byte
	status int
	code   string
	closed string // why the connection is closed
	stray  string // how the message is counted, if it is
}

func frames(s ...string) (f [][]byte) {
	for _, x := range s {
		f = append(f, []byte(x))
	}
	return f
}

// final is the right reply to a call with that text, and part a PARTIAL.
func final(text string) [][]byte { return frames("MDPC02", "\x03", "echo", text) }
func part(text ...string) [][]byte {
	return append(frames("MDPC02", "\x02", "echo"), frames(text...)...)
}

const maxReply = 100_000

func attacks() []attack {
	large := strings.Repeat("x", maxReply*6/10)
	one := func(name, code, closed, stray string, messages ...[][]byte) attack {
		return attack{name, messages, http.StatusBadGateway, code, closed, stray}
	}
	bad := func(name, stray string, messages ...[][]byte) attack {
		return one(name, "bad_reply", "bad_reply", stray, messages...)
	}
	after := func(name string, more ...[][]byte) attack {
		return attack{name, append([][][]byte{final(name)}, more...), http.StatusOK, "", "stray", "late"}
	}
	// A late reply of another service is passed over, and the call gets its own.
	before := func(name string, stray [][]byte) attack {
		return attack{name, [][][]byte{stray, final(name)}, http.StatusOK, "", "stray", "wrong_service"}
	}
	return []attack{
		bad("header of another dialect", "wrong_header", frames("", "MDPC01", "echo", "x")),
		bad("header unknown", "wrong_header", frames("MDPC99", "\x03", "echo", "x")),
		bad("frame too many before it", "wrong_header", frames("", "MDPC02", "\x03", "echo", "x")),
		bad("one empty frame", "wrong_header", frames("")),
		bad("10,000 frames", "wrong_header", make([][]byte, 10_000)),
		bad("header alone", "malformed", frames("MDPC02")),
		bad("no service", "malformed", frames("MDPC02", "\x03")),
		bad("command unknown", "malformed", frames("MDPC02", "\x07", "echo", "x")),
		bad("command of two bytes", "malformed", frames("MDPC02", "\x03\x03", "echo", "x")),
		before("another service", frames("MDPC02", "\x03", "other", "x")),
		before("a service that begins so", frames("MDPC02", "\x03", "echo\x00", "x")),
		bad("another service after a part", "wrong_service", part("1"), frames("MDPC02", "\x02", "other", "x")),
		one("100,000 frames", "reply_too_large", "too_large", "", append(final("x"), make([][]byte, 100_000)...)),
		one("frame over the limit", "reply_too_large", "too_large", "", final(strings.Repeat("x", maxReply+1))),
		one("sum over the limit", "reply_too_large", "too_large", "", append(final(large), []byte(large))),
		one("parts over the limit", "reply_too_large", "too_large", "", part(large), part(large), final("x")),
		one("parts of nothing", "reply_too_large", "too_large", "",
			append([][][]byte{part(large)}, slices.Repeat([][][]byte{part()}, 800)...)...), // a ROUTER keeps no more than 1,000
		one("frame far over the limit", "broker_lost", "lost", "", final(strings.Repeat("x", 2<<20))),
		after("the FINAL twice", final("the FINAL twice")),
		after("another FINAL", final("x")),
		after("PARTIAL after the FINAL", part("x")),
		after("rubbish after the FINAL", frames("x")),
		after("100 frames after the FINAL", make([][]byte, 100)),
	}
}

// A hostile is a broker that answers the name of an attack with the attack, "never" not
// at all, and everything else with the right reply.
type hostile struct {
	*mdptest.Router
	last       atomic.Pointer[[]byte] // who asked last
	unanswered chan []byte            // who asked "never"
}

func newHostile(t *testing.T) *hostile {
	h := &hostile{unanswered: make(chan []byte, 1)}
	all := attacks()
	h.Router = mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		switch {
		case len(m) != 4:
			return nil
		case string(m[2]) == mdp.MMIService:
			return [][][]byte{frames("MDPC02", "\x03", mdp.MMIService, mdp.StatusFound)}
		case string(m[3]) == "never":
			h.unanswered <- id
			return nil
		}
		h.last.Store(&id)
		if i := slices.IndexFunc(all, func(a attack) bool { return a.name == string(m[3]) }); i >= 0 {
			return all[i].sends
		}
		return [][][]byte{final(string(m[3]))}
	})
	return h
}

// counted reads two counters: connections closed for one reason, and stray replies of
// another. The function that it returns makes calls, whose replies must be right, until
// both have risen by one.
func (g *gateway) counted(closed, stray string) (wait func(t *testing.T)) {
	read := func() (float64, float64) {
		return g.metric(fmt.Sprintf("mdp_gateway_pool_connections_closed_total{reason=%q}", closed)),
			g.metric(fmt.Sprintf("mdp_gateway_stray_replies_total{reason=%q}", stray))
	}
	closedBefore, strayBefore := read()
	if stray != "" {
		strayBefore++
	}
	return func(t *testing.T) {
		t.Helper()
		<-time.After(100 * time.Millisecond) // for what comes after the reply
		n := 0
		eventually(t, "it is counted", func() bool {
			n++
			text := fmt.Sprint(t.Name(), n)
			if a := g.must("echo", text); a.status != http.StatusOK || a.data != text {
				t.Fatalf("the next call: got %v, want %q", a, text)
			}
			closedNow, strayNow := read()
			return closedNow == closedBefore+1 && strayNow == strayBefore
		})
	}
}

// A message that is no reply to the call never becomes an answer. It is counted, the
// connection is closed, and the next call gets its own reply.
func TestWhatAHostileBrokerSendsIsNeverAnAnswer(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	config := filepath.Join(t.TempDir(), "gateway.yaml") // with reuse: auto the first repeated reply would end the sharing
	if err := os.WriteFile(config, []byte("services: {echo: {reuse: true, vars: none}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, "--config", config, "--catalogue", "open", "--broker", h.Endpoint(), "--dialect", "mdp/0.2", "--max-reply", fmt.Sprint(maxReply))
	g.works("echo")
	for _, c := range attacks() {
		t.Run(c.name, func(t *testing.T) {
			counted := g.counted(c.closed, c.stray)
			a := g.must("echo", c.name)
			if a.status != c.status || a.code != c.code || c.status == http.StatusOK && a.data != c.name {
				t.Errorf("got %v, want %d %s", a, c.status, c.code)
			}
			if c.code != "" && a.executed != "maybe" {
				t.Errorf("executed is %q, want maybe", a.executed)
			}
			counted(t)
		})
	}
	t.Run("after a timeout", func(t *testing.T) {
		counted := g.counted("timeout", "")
		if a := g.must("echo?timeout=1s", "never"); a.code != "timeout" {
			t.Errorf("got %v, want a timeout", a)
		}
		h.Send(<-h.unanswered, final("late"))
		counted(t)
	})
	t.Run("after a cancellation", func(t *testing.T) {
		counted := g.counted("canceled", "")
		ctx, cancel := context.WithCancel(context.Background())
		id := make(chan []byte, 1)
		go func() {
			id <- <-h.unanswered
			cancel()
		}()
		if a, err := g.post(ctx, "echo", "never"); err == nil {
			t.Errorf("got %v, want none", a)
		}
		counted(t) // the gateway notices it a moment later
		h.Send(<-id, final("late"))
		counted(t)
	})
	t.Run("to a call that was never made", func(t *testing.T) {
		g.works("echo")
		counted := g.counted("stray", "late")
		h.Send(*h.last.Load(), final("unasked"))
		counted(t)
	})
}
