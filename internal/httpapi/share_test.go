package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
)

func TestABodyThatComesTooSlowlyTimesOut(t *testing.T) {
	for _, c := range []struct {
		first string
		every string // a second
		after time.Duration
	}{
		{"x", "x", 10 * time.Second},
		{strings.Repeat("x", 8192*5), "x", 15 * time.Second},
	} {
		onVirtualTime(t, Config{MinBodyRate: 8192, Caller: never(t)}, func(t *testing.T, g *testServer, raw *rawConn) {
			start := time.Now()
			raw.send(head + "Content-Length: 1000000\r\n\r\n" + c.first)
			stop := make(chan struct{})
			go func() {
				for {
					select {
					case <-time.After(999 * time.Millisecond):
						_, _ = raw.Write([]byte(c.every))
					case <-stop:
						return
					}
				}
			}()
			raw.answer().wantProblem(t, gateway.BodyTimeout)
			if took := time.Since(start).Round(time.Second); took != c.after {
				t.Errorf("after %d bytes the body was given up after %v, want %v", len(c.first), took, c.after)
			}
			close(stop)
		})
	}
}

func TestABodyAtTheLeastRateIsRead(t *testing.T) {
	onVirtualTime(t, Config{MinBodyRate: 100}, func(t *testing.T, g *testServer, raw *rawConn) {
		raw.send(head + "Content-Length: 6000\r\n\r\n")
		for range 60 {
			<-time.After(time.Second)
			raw.send(strings.Repeat("x", 100))
		}
		raw.answer().wantBody(t, 200, strings.Repeat("x", 6000))
	})
}

// Eight callers who declare the largest bodies, and send next to nothing of them, once
// took all of the budget.
func TestBodiesThatAreDeclaredAndNotSentHoldLittle(t *testing.T) {
	b := budget.New(512 << 20)
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		g := serveOn(t, ln, ln.dial, Config{Budget: b})
		for range 8 {
			conn, err := ln.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			raw := &rawConn{t: t, Conn: conn, r: bufio.NewReader(conn)}
			raw.send(head + fmt.Sprintf("Content-Length: %d\r\n\r\nx", 64<<20))
		}
		synctest.Wait()
		if held := b.Bytes(); held != 8*firstBuffer {
			t.Errorf("8 bodies of which a byte is there hold %d bytes, want %d", held, 8*firstBuffer)
		}
		g.post("/services/echo", strings.Repeat("x", 1<<20)).wantBody(t, 200, strings.Repeat("x", 1<<20))
	})
	if b.Bytes() != 0 {
		t.Errorf("%d bytes are held after the end", b.Bytes())
	}
}

func TestOneCallersBodiesHoldAQuarterOfTheBudget(t *testing.T) {
	const size = 1 << 20
	began, finish := make(chan struct{}), make(chan struct{})
	waits := caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		if len(call.Frames[0]) == size && call.Service == "lora_x" {
			began <- struct{}{}
			<-finish
		}
		return gateway.Reply{Frames: [][]byte{[]byte("ok")}}, nil
	})
	b := budget.New(16 * size)
	g := serve(t, Config{Caller: waits, Access: keys(t), Budget: b, MaxBody: 2 * size})
	body := strings.Repeat("x", size)
	answers := make(chan answer)
	for range 4 {
		go func() { answers <- g.post("/services/lora_x", body, "Authorization: Bearer key-all") }()
		<-began
	}
	p := g.post("/services/lora_x", body, "Authorization: Bearer key-all").wantProblem(t, gateway.Busy)
	if p["reason"] != gateway.ReasonMemory || p["executed"] != "no" {
		t.Errorf("the fifth body is refused as %v, want busy (memory), not executed", p)
	}
	g.post("/services/other", body, "Authorization: Bearer key-other").wantBody(t, 200, "ok")
	close(finish)
	for range 4 {
		(<-answers).wantBody(t, 200, "ok")
	}
	g.post("/services/other", body, "Authorization: Bearer key-all").wantBody(t, 200, "ok")
	if g.stop(); b.Bytes() != 0 || len(g.shares.held) != 0 {
		t.Errorf("%d bytes and the shares %v are held after the end", b.Bytes(), g.shares.held)
	}
}

func TestSmallBodiesHaveAReserve(t *testing.T) {
	b := budget.New(16 << 20)
	g := serve(t, Config{Budget: b, MaxBody: 1 << 20})
	other := b.Lease()
	other.Resize(15<<20 - 1000) // all but the reserve
	g.post("/services/echo", strings.Repeat("x", 128<<10)).wantProblem(t, gateway.Busy)
	g.post("/services/echo", strings.Repeat("x", 1000)).wantBody(t, 200, strings.Repeat("x", 1000))
}

// What is decoded beside a body counts in the budget until the call has ended, and is refused where it
// does not fit. A raw body and plain text are sent from where they are.
func TestWhatIsDecodedBesideABodyCounts(t *testing.T) {
	const size = 400_000
	text := strings.Repeat("QUJD", size/4)
	for _, c := range []struct {
		name, contentType, body string
		least                   int64 // bytes held beside the body
	}{
		{"raw", "application/octet-stream", text, 0},
		{"text", "application/json", `{"body":"` + text + `"}`, 0},
		{"base64", "application/json", `{"encoding":"base64","body":"` + text + `"}`, size * 3 / 4},
		{"escaped text", "application/json", `{"frames":["` + text + `\n"]}`, size},
		{"JSON", "application/json", `{"body":["` + text + `"]}`, size},
		{"vars", "application/json", `{"vars":{"a":"` + text + `"}}`, size},
		{"vars of a form", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=vars\r\n\r\n{\"a\":\"" + text + "\"}\r\n--b--", size},
		{"many frames", "application/json", `{"frames":[` + strings.Repeat(`"",`, 60_000) + `""]}`, 24 * 60_000},
		{"names", "application/json", `{"body":{` + numbered(`"%x":0,`, size) + `"":0}}`, size},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := budget.New(100 << 20)
			during := int64(-1)
			g := serve(t, Config{Budget: all, MaxBody: 1 << 20, Caller: caller(func(context.Context, gateway.Call) (gateway.Reply, error) {
				during = all.Bytes()
				return gateway.Reply{Frames: [][]byte{nil}}, nil
			})})
			if a := g.post("/services/echo", c.body, "Content-Type: "+c.contentType); a.StatusCode != 200 {
				t.Fatalf("got %d %s, want 200", a.StatusCode, a.body)
			}
			beside := during - int64(len(c.body))
			if beside < c.least || c.least == 0 && beside > 1<<10 {
				t.Errorf("%d bytes were held beside a body of %d, want at least %d", beside, len(c.body), c.least)
			}
			g.until("nothing is held after the call", func() bool { return all.Bytes() == 0 })
			if c.least == 0 {
				return
			}
			scarce := budget.New(int64(len(c.body)) + c.least - 1)
			g = serve(t, Config{Budget: scarce, MaxBody: 1 << 20, Caller: never(t)})
			p := g.post("/services/echo", c.body, "Content-Type: "+c.contentType).wantProblem(t, gateway.Busy)
			if p["reason"] != gateway.ReasonMemory || p["executed"] != "no" {
				t.Errorf("got %v, want the reason memory, not executed", p)
			}
			g.until("nothing is held after the refusal", func() bool { return scarce.Bytes() == 0 })
		})
	}
}

// A caller's only request may take more than its share, a second may not.
func TestACallersOnlyRequestMayBeDecoded(t *testing.T) {
	s := newShares(budget.New(1000), 100)
	one, other, stranger := s.share("a"), s.share("a"), s.share("b")
	if err := one.take(700); err != nil {
		t.Fatal(err)
	}
	if other.take(1) == nil {
		t.Error("a second request was let in beyond the share")
	}
	if err := stranger.take(250); err != nil {
		t.Errorf("another caller was refused: %v", err)
	}
	one.release()
	if err := other.take(250); err != nil {
		t.Errorf("after the first request the second was refused: %v", err)
	}
	other.release()
	stranger.release()
	if s.budget.Bytes() != 0 || len(s.held) != 0 {
		t.Errorf("%d bytes of %d callers are held after all, want none", s.budget.Bytes(), len(s.held))
	}
}
