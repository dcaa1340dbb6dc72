package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"weak"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

const head = "POST /services/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"

// never is a Caller that must not be asked.
func never(t *testing.T) caller {
	return func(context.Context, gateway.Call) (gateway.Reply, error) {
		t.Error("a call was sent")
		return gateway.Reply{}, nil
	}
}

func TestBodiesOfAllSizesComeThroughWholeAndAreGivenBack(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	bytesOf := budget.New(64 << 20)
	g := serve(t, Config{Budget: bytesOf})
	for _, size := range []int{0, 1, firstGuess - 1, firstGuess, firstGuess + 1, firstBuffer - 1, firstBuffer, firstBuffer + 1, 3<<20 + 7} {
		body := make([]byte, size)
		random.Read(body)
		for _, c := range []*http.Client{g.http, g.h2c} {
			for _, from := range []io.Reader{bytes.NewReader(body), io.MultiReader(bytes.NewReader(body))} { // of a known and of an unknown length
				if a := g.do(c, "POST", "/services/echo", from); a.StatusCode != 200 || !bytes.Equal(a.body, body) {
					t.Errorf("%d bytes came back as %d bytes with status %d", size, len(a.body), a.StatusCode)
				}
			}
		}
	}
	g.stop()
	if held := bytesOf.Bytes(); held != 0 {
		t.Errorf("%d bytes are held after all calls, want 0", held)
	}
}

func TestABodyOverTheLimitIsRefused(t *testing.T) {
	g := serve(t, Config{MaxBody: 1000, Caller: never(t)})
	for _, c := range []*http.Client{g.http, g.h2c} {
		for name, from := range map[string]io.Reader{
			"known": strings.NewReader(strings.Repeat("x", 1001)), "unknown": io.MultiReader(strings.NewReader(strings.Repeat("x", 1001))),
		} {
			p := g.do(c, "POST", "/services/echo", from).wantProblem(t, gateway.BodyTooLarge)
			if !strings.Contains(p["detail"].(string), "want at most 1000") {
				t.Errorf("a body of %s length: detail is %q", name, p["detail"])
			}
		}
	}
}

func TestABodyOfTheLimitIsTaken(t *testing.T) {
	g := serve(t, Config{MaxBody: 1000})
	body := strings.Repeat("x", 1000)
	g.do(g.http, "POST", "/services/echo", strings.NewReader(body)).wantBody(t, 200, body)
	g.do(g.http, "POST", "/services/echo", io.MultiReader(strings.NewReader(body))).wantBody(t, 200, body)
}

// A caller who asks for leave to send, or has sent nothing, gets the answer at
// once: net.Pipe would block for ever on a byte that is not read.
func TestADeclaredLengthIsRefusedBeforeAnythingIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want gateway.Kind
	}{
		"too large": {Config{}, gateway.BodyTooLarge},
		"no memory": {Config{MaxBody: 1 << 40, Budget: budget.New(1000)}, gateway.Busy},
	} {
		for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
			t.Run(name+" "+expect, func(t *testing.T) {
				c.cfg.Caller = never(t)
				onVirtualTime(t, c.cfg, func(t *testing.T, g *testServer, raw *rawConn) {
					start := time.Now()
					raw.send(head + "Content-Length: 1073741824\r\n" + expect + "\r\n")
					a := raw.answer() // not 100
					a.wantProblem(t, c.want)
					raw.wantClosed()
					if took := time.Since(start); took > time.Second {
						t.Errorf("the refusal took %v, want it at once", took)
					}
				})
			})
		}
	}
}

// A refusing Caller has services that refuse every call, and counts the refusals.
type refusing struct {
	caller
	err     *gateway.Error
	refused *int
}

func (c refusing) Service(name string) gateway.Service { return refuser{service{c.caller, name}, c} }

type refuser struct {
	service
	by refusing
}

func (r refuser) Admit() error           { return r.by.err }
func (r refuser) Refused(*gateway.Error) { *r.by.refused++ }

func TestWhatNeedsNoBodyIsRefusedBeforeOneIsRead(t *testing.T) {
	for kind, expect := range map[gateway.Kind]string{
		gateway.ServiceNotFound: "Expect: 100-continue\r\n", gateway.BrokerUnavailable: "Expect: 100-continue\r\n", gateway.Busy: "",
	} {
		refused := 0
		onVirtualTime(t, Config{Caller: refusing{never(t), &gateway.Error{Kind: kind}, &refused}}, func(t *testing.T, g *testServer, raw *rawConn) {
			raw.send(head + "Content-Length: 60000000\r\n" + expect + "\r\n")
			p := raw.answer().wantProblem(t, kind) // not 100
			if p["executed"] != "no" || refused != 1 {
				t.Errorf("executed is %v and %d refusals were counted, want no and 1", p["executed"], refused)
			}
			raw.wantClosed()
		})
		g := serve(t, Config{Caller: refusing{never(t), &gateway.Error{Kind: kind}, &refused}})
		if a := g.post("/services/svc/dry-run", "x"); a.StatusCode != 200 || refused != 1 {
			t.Errorf("a dry run is answered %d, %d refusals were counted, want 200 and 1", a.StatusCode, refused)
		}
	}
}

// What is refused unread does not hold the connection for as long as the caller
// likes to go on sending it, or not to.
func TestTheRestOfARefusedBodyIsNotWaitedFor(t *testing.T) {
	for _, length := range []string{"Content-Length: 100\r\n", "Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"} {
		onVirtualTime(t, Config{Caller: never(t)}, func(t *testing.T, g *testServer, raw *rawConn) {
			start := time.Now()
			raw.send("POST /services/mmi.x HTTP/1.1\r\nHost: x\r\n" + length + "\r\n")
			raw.answer().wantProblem(t, gateway.Forbidden)
			raw.wantClosed() // synctest calls it a deadlock if that never comes
			if took := time.Since(start); took > linger {
				t.Errorf("the connection was closed after %v, want at most %v", took, linger)
			}
		})
	}
}

func TestABodyThatARouteIgnoresIsNotWaitedFor(t *testing.T) {
	onVirtualTime(t, Config{}, func(t *testing.T, g *testServer, raw *rawConn) {
		raw.send("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
		raw.answer().wantBody(t, 200, "{\"live\":true}\n")
		raw.wantClosed()
	})
}

func TestAnIdleConnectionIsClosedInTime(t *testing.T) {
	onVirtualTime(t, Config{IdleTimeout: 650 * time.Second}, func(t *testing.T, g *testServer, raw *rawConn) {
		raw.send(head + "Content-Length: 1\r\n\r\nx")
		raw.answer().wantBody(t, 200, "x")
		start := time.Now()
		raw.wantClosed()
		if took := time.Since(start); took != 650*time.Second {
			t.Errorf("the connection was closed after %v, want 650s", took)
		}
	})
}

func TestAnAnswerWithoutBodyIsGivenUpToo(t *testing.T) {
	onVirtualTime(t, Config{}, func(t *testing.T, g *testServer, raw *rawConn) {
		raw.send("HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		<-g.seen.done
		g.stop() // synctest calls it a deadlock if the answer waits for its reader
	})
}

func TestWhoAsksForLeaveToSendGetsItAlsoAfterALongPause(t *testing.T) {
	onVirtualTime(t, Config{BodyIdleTimeout: time.Second}, func(t *testing.T, g *testServer, raw *rawConn) {
		for range 2 {
			raw.send(head + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
			if a := raw.answer(); a.StatusCode != 100 {
				t.Fatalf("the first answer is %d, want 100", a.StatusCode)
			}
			raw.send("ok")
			raw.answer().wantBody(t, 200, "ok")
			<-time.After(5 * time.Second) // the write deadline of this answer passes
		}
	})
}

func TestOnlyAnIdleBodyTimesOut(t *testing.T) {
	onVirtualTime(t, Config{BodyIdleTimeout: 30 * time.Second}, func(t *testing.T, g *testServer, raw *rawConn) {
		raw.send(head + "Content-Length: 4\r\n\r\n")
		for range 4 { // slow in all, never idle for long
			<-time.After(29 * time.Second)
			raw.send("x")
		}
		raw.answer().wantBody(t, 200, "xxxx")

		start := time.Now()
		raw.send(head + "Content-Length: 4\r\n\r\nxxx")
		p := raw.answer().wantProblem(t, gateway.BodyTimeout)
		if took := time.Since(start); took != 30*time.Second || p["executed"] != "no" {
			t.Errorf("the idle body was refused after %v with executed %v, want 30s and no", took, p["executed"])
		}
		raw.wantClosed()
	})
}

func TestACallMayTakeLongerThanItsBody(t *testing.T) {
	slow := caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		select {
		case <-time.After(4 * time.Minute):
			return echo(ctx, call)
		case <-ctx.Done():
			return gateway.Reply{}, &gateway.Error{Kind: gateway.Canceled, Err: context.Cause(ctx)}
		}
	})
	onVirtualTime(t, Config{Caller: slow}, func(t *testing.T, g *testServer, raw *rawConn) {
		for range 2 {
			raw.send(head + "Content-Length: 2\r\n\r\nok")
			raw.answer().wantBody(t, 200, "ok")
			g.do(g.h2c, "POST", "/services/echo", strings.NewReader("h2")).wantBody(t, 200, "h2")
		}
	})
}

func TestAReaderWhoStandsStillIsGivenUp(t *testing.T) {
	bytesOf := budget.New(100 << 20)
	var body weak.Pointer[byte]
	large := caller(func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		body = weak.Make(&call.Frames[0][0])
		return gateway.Reply{Frames: [][]byte{make([]byte, 8<<20)}}, nil
	})
	onVirtualTime(t, Config{Caller: large, Budget: bytesOf, BodyIdleTimeout: 30 * time.Second}, func(t *testing.T, g *testServer, raw *rawConn) {
		raw.send(head + "Content-Length: 2097152\r\n\r\n" + strings.Repeat("x", 2<<20))
		for range 10 { // slow in all, and never still for as long as a part of the answer may take
			<-time.After(29 * time.Second)
			if _, err := io.CopyN(io.Discard, raw.r, 2*writeChunk); err != nil {
				t.Fatal(err)
			}
		}
		if held := bytesOf.Bytes(); held != 8<<20 {
			t.Errorf("%d bytes are held while the reply is written, want its %d", held, 8<<20)
		}
		if runtime.GC(); body.Value() != nil {
			t.Error("the body is kept while the reply is written, and not held")
		}
		start := time.Now()
		if got := <-g.seen.done; !strings.HasPrefix(got, "/services/{name} POST") {
			t.Errorf("the observer was told %q", got)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("the reader was given up after %v, want 30s", took)
		}
		g.stop()
		f := g.logs.FilterMessage("request").All()[0].ContextMap()
		if f["code"] != "canceled" || bytesOf.Bytes() != 0 {
			t.Errorf("the log line is %v with %d bytes held, want canceled and none", f, bytesOf.Bytes())
		}
	})
}

func TestABodyThatBreaksOffOrIsMalformedSendsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"breaks off":           {"Content-Length: 10\r\n\r\nxxx", "canceled"},
		"breaks off in chunks": {"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "canceled"},
		"bad chunk":            {"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			onVirtualTime(t, Config{Caller: never(t)}, func(t *testing.T, g *testServer, raw *rawConn) {
				raw.send(head + c.text)
				if c.want == "canceled" {
					raw.Close()
				} else {
					raw.answer().wantProblem(t, gateway.BadRequest)
				}
				<-g.seen.done
				g.stop()
				if f := g.logs.FilterMessage("request").All()[0].ContextMap(); f["code"] != c.want {
					t.Errorf("the log line is %v, want code %s", f, c.want)
				}
			})
		})
	}
}

func TestBodiesThatDoNotFitInMemoryAreRefusedAtOnceAndOnlyThey(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	bytesOf := budget.New(10_000)
	onVirtualTime(t, Config{Budget: bytesOf, Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		if len(call.Frames[0]) == 6000 {
			began <- struct{}{}
			<-finish
		}
		return echo(ctx, call)
	})}, func(t *testing.T, g *testServer, raw *rawConn) {
		began, finish = make(chan struct{}), make(chan struct{})
		raw.send(head + "Content-Length: 6000\r\n\r\n" + strings.Repeat("x", 6000))
		<-began
		for _, from := range []io.Reader{strings.NewReader(strings.Repeat("x", 5000)), io.MultiReader(strings.NewReader(strings.Repeat("x", 5000)))} {
			p := g.do(g.http, "POST", "/services/echo", from).wantProblem(t, gateway.Busy)
			if p["reason"] != "memory" || p["retryable"] != true || p["executed"] != "no" {
				t.Errorf("the problem is %v, want reason memory, not executed, retryable", p)
			}
		}
		g.do(g.http, "POST", "/services/echo", strings.NewReader(strings.Repeat("x", 4000))).wantBody(t, 200, strings.Repeat("x", 4000))
		close(finish)
		raw.answer().wantBody(t, 200, strings.Repeat("x", 6000))
		synctest.Wait()
		if held := bytesOf.Bytes(); held != 0 {
			t.Errorf("%d bytes are held after all calls, want 0", held)
		}
	})
}

func TestAReplyThatDoesNotFitInMemoryIsNotCalledUnsent(t *testing.T) {
	g := serve(t, Config{Budget: budget.New(100 + 2*mdp.FrameOverhead), Caller: caller(func(context.Context, gateway.Call) (gateway.Reply, error) {
		return gateway.Reply{Frames: [][]byte{make([]byte, 50)}, Partials: [][][]byte{{make([]byte, 30)}, {make([]byte, 21)}}}, nil
	})})
	p := g.post("/services/echo", "x").wantProblem(t, gateway.ReplyTooLarge)
	if p["reason"] != "memory" || p["executed"] != "maybe" {
		t.Errorf("the problem is %v, want reason memory and executed maybe", p)
	}
}

func TestPartsWithoutFramesAreHeldWhileTheReplyIsWritten(t *testing.T) {
	const n = 2000
	b := budget.New(1 << 20)
	empty := caller(func(context.Context, gateway.Call) (gateway.Reply, error) {
		return gateway.Reply{Partials: make([][][]byte, n)}, nil
	})
	onVirtualTime(t, Config{Caller: empty, Budget: b}, func(t *testing.T, g *testServer, raw *rawConn) {
		raw.send(head + "Accept: application/json\r\nContent-Length: 1\r\n\r\nx")
		synctest.Wait() // for the writer, whom nobody reads
		if b.Bytes() != n*mdp.FrameOverhead {
			t.Errorf("%d bytes are held, want %d", b.Bytes(), n*mdp.FrameOverhead)
		}
		if a := raw.answer(); a.StatusCode != 200 || strings.Count(string(a.body), "[]") != n+1 {
			t.Errorf("got %d %.300s, want %d parts", a.StatusCode, a.body, n)
		}
	})
}

func TestTheBufferGrowsWithWhatHasComeNotWithWhatIsDeclared(t *testing.T) {
	held := newShares(budget.New(1<<40), 1<<38).share("x")
	in := body{from: iotest.ErrReader(io.ErrUnexpectedEOF), share: &held, length: 1 << 30, max: 1 << 40}
	waits := 0
	if err := in.read(func(int) { waits++ }); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if cap(in.buf) > firstBuffer || waits != 1 {
		t.Errorf("%d bytes were allocated for a body that declares %d and sends nothing, with %d waits, want at most %d and 1", cap(in.buf), in.length, waits, firstBuffer)
	}
}

func BenchmarkReadBody(b *testing.B) {
	for _, size := range []int{64, 64 << 10, 1 << 20, 8 << 20} {
		for name, known := range map[string]int64{"declared": int64(size), "chunked": -1} {
			b.Run(fmt.Sprintf("length=%s/size=%d", name, size), func(b *testing.B) {
				from, all := bytes.NewReader(nil), make([]byte, size)
				held := newShares(budget.New(1<<40), 1<<38).share("x")
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					from.Reset(all)
					in := body{from: from, share: &held, length: known, max: 1 << 30}
					if err := in.read(func(int) {}); err != nil {
						b.Fatal(err)
					}
					in.buffer.free()
				}
			})
		}
	}
}

// A raw body is in memory once on its way to the Caller, and a reply, which is there
// before, is not copied on its way back: what is allocated is one buffer. So it is
// with a dry run, whose answer is three times as long as the body.
func TestARawBodyIsInMemoryOnce(t *testing.T) {
	const size = 32 << 20
	reply := gateway.Reply{Frames: [][]byte{make([]byte, size)}}
	g := serve(t, Config{Caller: caller(func(context.Context, gateway.Call) (gateway.Reply, error) { return reply, nil })})
	for _, path := range []string{"/services/echo", "/services/echo/dry-run"} {
		t.Run(path, func(t *testing.T) {
			if allocated := allocatedFor(t, g, path, size); allocated > size+4<<20 {
				t.Errorf("%d MiB were allocated for a body of %d, want it once and little more", allocated>>20, size>>20)
			}
		})
	}
}

// allocatedFor posts a raw body of size bytes, reads all of the answer, which should
// be as long at least, and returns how many bytes the process allocated meanwhile.
func allocatedFor(t *testing.T, g *testServer, path string, size int) uint64 {
	t.Helper()
	c, err := net.Dial("tcp", g.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	piece := make([]byte, 64<<10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", path, size); err != nil {
		t.Fatal(err)
	}
	for range size / len(piece) {
		if _, err := c.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	got := 0
	for err == nil {
		var n int
		n, err = c.Read(piece)
		got += n
	}
	runtime.ReadMemStats(&after)
	if got < size || err != io.EOF {
		t.Fatalf("%d bytes came back, %v, want at least %d", got, err, size)
	}
	return after.TotalAlloc - before.TotalAlloc
}
