package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// A flood is a Caller that gives one part after the other until one is refused,
// and then ends as the pool would.
type flood struct {
	part  [][]byte
	most  int           // parts; 0 is without end
	hold  time.Duration // between the last part and the reply
	taken int
	held  int64 // of the budget after the last part
	took  time.Duration
	err   error
}

func (f *flood) caller(b *budget.Budget) caller {
	return func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		start := time.Now()
		for f.most == 0 || f.taken < f.most {
			if f.err = call.Partial(f.part); f.err != nil {
				break
			}
			f.taken++
		}
		f.took, f.held = time.Since(start), b.Bytes()
		if f.err != nil {
			return gateway.Reply{}, f.err
		}
		select {
		case <-time.After(f.hold):
			return gateway.Reply{Frames: [][]byte{[]byte("end")}}, nil
		case <-ctx.Done():
			return gateway.Reply{}, gateway.Ended(ctx, true)
		}
	}
}

func frames(n, size int) [][]byte {
	var part [][]byte
	for range n {
		part = append(part, []byte(strings.Repeat("x", size)))
	}
	return part
}

const streamed = head + "Accept: application/x-ndjson\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"

func TestAReaderTooFarBehindForASecondEndsTheCallAndIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		part   [][]byte
		budget int64
		taken  int
		reason string
	}{
		"256 frames":                      {frames(1, 5000), 1 << 30, 256, gateway.ReasonReader},
		"256 frames, 100 in a part":       {frames(100, 50), 1 << 30, 2, gateway.ReasonReader},
		"8 MiB":                           {frames(1, 1<<20), 1 << 30, 8, gateway.ReasonReader},
		"8 MiB, one part larger than all": {frames(1, 9<<20), 1 << 30, 1, gateway.ReasonReader},
		"the budget":                      {frames(1, 10_000), 35_000, 3, gateway.ReasonMemory},
	} {
		t.Run(name, func(t *testing.T) {
			f, b := &flood{part: c.part}, budget.New(c.budget)
			onVirtualTime(t, Config{Caller: f.caller(b), Budget: b}, func(t *testing.T, g *testServer, raw *rawConn) {
				raw.send(streamed)
				time.Sleep(2 * patience) // virtual; nobody reads
				synctest.Wait()
				wait := patience
				if c.reason == gateway.ReasonMemory {
					wait = 0
				}
				e := gateway.AsError(f.err)
				if e.Kind != gateway.ReplyTooLarge || e.Reason != c.reason || f.taken != c.taken || f.took != wait {
					t.Errorf("after %d parts in %v the call ended with %v, want reply_too_large (%s) after %d in %v", f.taken, f.took, f.err, c.reason, c.taken, wait)
				}
				if want := 1 + int64(c.taken)*mdp.Size(c.part); f.held != want { // one is the body's
					t.Errorf("%d bytes were held, want %d", f.held, want)
				}
				a := raw.answer()
				lines := strings.Split(strings.TrimSpace(string(a.body)), "\n")
				if last := lines[len(lines)-1]; len(lines) != c.taken+1 || !strings.Contains(last, `"event":"problem"`) || !strings.Contains(last, `"reason":"`+c.reason+`"`) {
					t.Errorf("%d events came, the last %.200q, want %d parts and a problem", len(lines), last, c.taken)
				}
				g.stop()
				if b.Bytes() != 0 {
					t.Errorf("%d bytes are held after the end", b.Bytes())
				}
			})
		})
	}
}

func TestASlowReaderWithinTheBoundsHoldsNobodyUpAndGetsAll(t *testing.T) {
	f, b := &flood{part: frames(1, 5000), most: 256}, budget.New(1<<30)
	onVirtualTime(t, Config{Caller: f.caller(b), Budget: b}, func(t *testing.T, _ *testServer, raw *rawConn) {
		raw.send(streamed)
		synctest.Wait()
		if f.taken != 256 || f.took != 0 {
			t.Errorf("%d parts were taken in %v, want 256 at once", f.taken, f.took)
		}
		time.Sleep(20 * time.Second) // virtual, within the time for a write
		a := raw.answer()
		if n := strings.Count(string(a.body), `"event":"partial"`); n != 256 || !strings.HasSuffix(string(a.body), `"seq":256,"frames":[{"data":"end","encoding":"text"}]}`+"\n") {
			t.Errorf("%d parts came, and at the end %q", n, a.body[max(0, len(a.body)-100):])
		}
	})
}

// TestTheBodyOfAStreamIsHeldUntilItsCallHasReturned holds that the budget tells
// of the body for as long as it is in memory: beside the parts, and no longer than
// the call.
func TestTheBodyOfAStreamIsHeldUntilItsCallHasReturned(t *testing.T) {
	const size, part, reply = 2 << 20, 10_000, 5000
	var body weak.Pointer[byte]
	b := budget.New(size + 2*part)
	open := caller(func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		body = weak.Make(&call.Frames[0][0])
		for range 2 {
			if err := call.Partial(frames(1, part)); err != nil {
				return gateway.Reply{}, err
			}
		}
		if err := call.Partial(frames(1, part)); gateway.AsError(err).Reason != gateway.ReasonMemory {
			t.Errorf("a part beyond the budget: got %v, want no room in memory", err)
		}
		<-time.After(time.Minute)
		runtime.KeepAlive(call)
		return gateway.Reply{Frames: frames(1, reply)}, nil
	})
	onVirtualTime(t, Config{Caller: open, Budget: b, BodyIdleTimeout: time.Hour}, func(t *testing.T, _ *testServer, raw *rawConn) {
		wantHeld := func(when string, want int64) {
			t.Helper()
			synctest.Wait()
			if b.Bytes() != want {
				t.Errorf("%d bytes are held %s, want %d", b.Bytes(), when, want)
			}
		}
		raw.send(head + "Accept: application/x-ndjson\r\nConnection: close\r\nContent-Length: 2097152\r\n\r\n" + strings.Repeat("x", size))
		wantHeld("before anything was read", size+2*part)
		resp, err := http.ReadResponse(raw.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(resp.Body)
		readPart := func() {
			t.Helper()
			if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, `"event":"partial"`) {
				t.Fatalf("got %.100q (%v), want a part", line, err)
			}
			if _, err := raw.r.Peek(2); err != nil { // the end of its chunk
				t.Fatal(err)
			}
		}
		readPart()
		wantHeld("after one part was read", size+part)
		time.Sleep(2 * time.Minute) // virtual; nobody reads
		wantHeld("after the call", part+reply)
		if runtime.GC(); body.Value() != nil {
			t.Error("the body is kept though the call has returned")
		}
		readPart()
		wantHeld("after both were read", reply)
		if rest, err := io.ReadAll(lines); err != nil || !strings.Contains(string(rest), `"event":"final"`) {
			t.Errorf("at the end came %.100q (%v)", rest, err)
		}
	})
}

func TestWhatHasBeenReadIsHeldNoMore(t *testing.T) {
	f, b := &flood{part: frames(1, 1000), most: 3, hold: time.Minute}, budget.New(1<<30)
	onVirtualTime(t, Config{Caller: f.caller(b), Budget: b}, func(t *testing.T, g *testServer, _ *rawConn) {
		answered := make(chan answer)
		go func() { answered <- g.post("/services/echo", "x", "Accept: application/x-ndjson") }()
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		if f.taken != 3 || b.Bytes() != 1 { // the body's
			t.Errorf("%d parts were taken, and %d bytes are held after all were read, want the body's", f.taken, b.Bytes())
		}
		<-answered
	})
}

func TestAReaderWhoNeverReadsEndsTheCallAfterTheTimeForAWrite(t *testing.T) {
	f, b := &flood{part: frames(1, 5000), most: 2, hold: time.Hour}, budget.New(1<<30)
	onVirtualTime(t, Config{Caller: f.caller(b), Budget: b, BodyIdleTimeout: 7 * time.Second}, func(t *testing.T, g *testServer, raw *rawConn) {
		start := time.Now()
		raw.send(streamed)
		<-g.seen.done
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("the call took %v, want 7s", took)
		}
		g.stop()
		if f := g.logs.FilterMessage("request").All()[0].ContextMap(); f["code"] != "canceled" || b.Bytes() != 0 {
			t.Errorf("the log line is %v, want code canceled, and %d bytes are held, want 0", f, b.Bytes())
		}
	})
}

func TestAStreamWhoseReaderStandsStillIsInterruptedToo(t *testing.T) {
	f, b := &flood{part: frames(1, 5000)}, budget.New(1<<30)
	onVirtualTime(t, Config{Caller: f.caller(b), Budget: b}, func(t *testing.T, g *testServer, raw *rawConn) {
		raw.send(streamed)
		time.Sleep(patience / 2) // virtual; the call waits for room
		g.Interrupt()
		synctest.Wait()
		if e := gateway.AsError(f.err); e.Kind != gateway.Interrupted || f.taken != mostBehind {
			t.Errorf("after %d parts the call ended with %v, want interrupted after %d", f.taken, f.err, mostBehind)
		}
		a := raw.answer()
		if !strings.Contains(string(a.body[max(0, len(a.body)-500):]), `"code":"interrupted"`) {
			t.Errorf("at the end came %q, want that it was interrupted", a.body[max(0, len(a.body)-500):])
		}
	})
}

func TestACallerWhoLeavesAStreamEndsItsCallAtOnce(t *testing.T) {
	f, b := &flood{part: frames(1, 1000), most: 1, hold: time.Hour}, budget.New(1<<30)
	onVirtualTime(t, Config{Caller: f.caller(b), Budget: b}, func(t *testing.T, g *testServer, _ *rawConn) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "POST", g.url("/services/echo"), strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/event-stream")
		resp, err := g.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		cancel()
		<-g.seen.done
		if took := time.Since(start); took != 0 {
			t.Errorf("the call went on for %v", took)
		}
		_ = resp.Body.Close()
	})
}

func TestACallThatPanicsLeavesNobodyWriting(t *testing.T) {
	g := serve(t, Config{Caller: caller(func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		err := call.Partial([][]byte{[]byte("one")})
		panic(errors.Join(errors.New("a bug"), err))
	})})
	if a, err := g.try(g.http, "POST", "/services/echo", strings.NewReader("x"), "Accept: application/x-ndjson"); err == nil {
		t.Errorf("the answer is %d %q, in good order", a.StatusCode, a.body)
	}
	g.stop() // and goleak finds a goroutine that goes on
}

// A brokenWriter is a server's that does not end the request's context when a
// write fails.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestAWriteThatFailsEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, b := &flood{part: frames(1, 1), most: 1, hold: time.Hour}, budget.New(1<<30)
		a, err := New(Config{Caller: f.caller(b), Health: health{reached: true, connected: true}})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/services/echo", strings.NewReader("x"))
		r.Header.Set("Accept", "text/event-stream")
		start := time.Now()
		func() {
			defer func() {
				if recover() != http.ErrAbortHandler {
					t.Error("the answer ended in good order")
				}
			}()
			a.ServeHTTP(brokenWriter{httptest.NewRecorder()}, r)
		}()
		if took := time.Since(start); took != 0 {
			t.Errorf("the call went on for %v", took)
		}
	})
}

// A crashing is a ResponseWriter that panics at its second write.
type crashing struct {
	*httptest.ResponseRecorder
	writes int
}

func (w *crashing) Write(p []byte) (int, error) {
	if w.writes++; w.writes == 2 {
		panic("a bug of writing")
	}
	return w.ResponseRecorder.Write(p)
}

func TestAPanicOfWritingEndsItsCallAndNoMore(t *testing.T) {
	for name, most := range map[string]int{"while the call goes on": 2, "while it waits for room": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, b := &flood{part: frames(1, 1), most: most, hold: time.Hour}, budget.New(1<<30)
				core, logs := observer.New(zap.InfoLevel)
				a, err := New(Config{Caller: f.caller(b), Health: health{}, Budget: b, Log: zap.New(core)})
				if err != nil {
					t.Fatal(err)
				}
				r := httptest.NewRequest("POST", "/services/echo", strings.NewReader("x"))
				r.Header.Set("Accept", "application/x-ndjson")
				w, start := &crashing{ResponseRecorder: httptest.NewRecorder()}, time.Now()
				func() {
					defer func() {
						if recover() != http.ErrAbortHandler {
							t.Error("the answer ended in good order")
						}
					}()
					a.ServeHTTP(w, r)
				}()
				if took := time.Since(start); took != 0 || w.writes != 2 || b.Bytes() != 0 {
					t.Errorf("the call took %v with %d writes, and %d bytes are held, want no time, 2 and 0", took, w.writes, b.Bytes())
				}
				line := logs.FilterLevelExact(zap.ErrorLevel).All()
				if len(line) != 1 || line[0].ContextMap()["error"] != "internal: panic: a bug of writing" || !strings.Contains(fmt.Sprint(line[0].ContextMap()["stack"]), "crashing") {
					t.Errorf("the log has %v, want the panic and its stack", logs.All())
				}
			})
		})
	}
}

func TestAReaderIsGivenASecondForEachBurst(t *testing.T) {
	const burst, pause = 600, 900 * time.Millisecond
	var took []time.Duration
	bursts := caller(func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		for range 2 {
			start := time.Now()
			for range burst {
				if err := call.Partial(frames(1, 100)); err != nil {
					return gateway.Reply{}, err
				}
			}
			took = append(took, time.Since(start))
			<-time.After(10*time.Second - time.Since(start))
		}
		return gateway.Reply{Frames: [][]byte{[]byte("end")}}, nil
	})
	onVirtualTime(t, Config{Caller: bursts}, func(t *testing.T, _ *testServer, raw *rawConn) {
		defer raw.Close()
		raw.send(streamed)
		var lines *bufio.Reader
		for range 2 {
			time.Sleep(pause) // virtual
			if lines == nil {
				resp, err := http.ReadResponse(raw.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				lines = bufio.NewReader(resp.Body)
			}
			for parts := 0; parts < burst; {
				line, err := lines.ReadString('\n')
				if err != nil || strings.Contains(line, "problem") {
					t.Fatalf("after %d parts came %q (%v), want %d of them", parts, line, err, burst)
				}
				parts += strings.Count(line, `"event":"partial"`)
			}
			time.Sleep(10*time.Second - pause)
		}
		rest, err := io.ReadAll(lines)
		if err != nil || !strings.Contains(string(rest), `"event":"final"`) {
			t.Errorf("at the end came %q (%v)", rest, err)
		}
	})
	if len(took) != 2 || took[0] != pause || took[1] != pause {
		t.Errorf("the bursts took %v, want %v each", took, pause)
	}
}
