package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
)

func TestACallAnswersWithTheReplyOverBothProtocols(t *testing.T) {
	g := serve(t, Config{})
	for name, c := range map[string]*http.Client{"HTTP/1.1": g.http, "HTTP/2.0": g.h2c} {
		a := g.do(c, "POST", "/services/echo", strings.NewReader("hello\x00\xff"), "Content-Type: application/octet-stream")
		a.wantBody(t, 200, "hello\x00\xff")
		a.wantHeader(t, "Server-Timing", "queue;dur=1.000, broker;dur=2.000")
		if a.Proto != name {
			t.Errorf("the call went over %s, want %s", a.Proto, name)
		}
	}
}

func TestTheServiceIsThePathUnescapedOnce(t *testing.T) {
	g := serve(t, Config{Caller: caller(func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		return gateway.Reply{Frames: [][]byte{[]byte(call.Service)}}, nil
	})})
	for path, want := range map[string]string{
		"echo": "echo", "%65cho": "echo", "a%2Fb": "a/b", "a%2Fdry-run": "a/dry-run", "a%2520b": "a%20b", "a%25b": "a%b", "a%2Fb%2520": "a/b%20", "a:b@c": "a:b@c",
		"%2E%2E%2E": "...", "Mmi.service": "Mmi.service", strings.Repeat("x", 255): strings.Repeat("x", 255),
	} {
		g.post("/services/"+path, "").wantBody(t, 200, want)
	}
}

func TestNamesThatNoServiceMayHaveAreRefusedUnsent(t *testing.T) {
	g := serve(t, Config{Caller: caller(func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		t.Errorf("a call of %q was sent", call.Service)
		return gateway.Reply{}, nil
	})})
	for path, want := range map[string]gateway.Kind{
		"%2E": gateway.BadRequest, "%2E%2E": gateway.BadRequest, "a%20b": gateway.BadRequest, "a%00b": gateway.BadRequest, "%C3%A9": gateway.BadRequest, "a%2F%0Ab": gateway.BadRequest,
		strings.Repeat("x", 256): gateway.BadRequest, "mmi.service": gateway.Forbidden, "%6dmi.service": gateway.Forbidden, "": gateway.NotFound, "a/b": gateway.NotFound,
	} {
		p := g.post("/services/"+path, "").wantProblem(t, want)
		if p["executed"] != "no" || p["retryable"] != false {
			t.Errorf("%q: executed is %v and retryable %v, want no and false", path, p["executed"], p["retryable"])
		}
	}
}

// Each kind that a call may fail with, as callers see it.
func TestAFailedCallIsAProblem(t *testing.T) {
	cause := errors.New("dial tcp 10.1.2.3:5555: connection refused")
	for _, c := range []struct {
		err  *gateway.Error
		want string
	}{
		{
			&gateway.Error{Kind: gateway.Busy, Reason: gateway.ReasonQueue, Err: cause},
			`"executed":"no","retryable":true,"reason":"queue"`,
		}, {
			&gateway.Error{Kind: gateway.BrokerUnavailable, Service: "echo", Err: cause},
			`"service":"echo","executed":"no","retryable":true}`,
		}, {
			&gateway.Error{Kind: gateway.ServiceNotFound, Detail: "no <b>", Err: cause},
			`"detail":"no <b>","code":"service_not_found","request_id":"r1","service":"echo","executed":"no","retryable":false}`,
		}, {
			&gateway.Error{Kind: gateway.WorkerError, Reason: "failed", Worker: "exit status 3"},
			`"reason":"failed","worker_detail":"exit status 3"}`,
		}, {
			&gateway.Error{Kind: gateway.BrokerLost, Err: cause},
			`"detail":"` + problems[gateway.BrokerLost].about + `","code":"broker_lost","request_id":"r1","service":"echo","executed":"maybe","retryable":false}`,
		}, {
			&gateway.Error{Kind: gateway.InvalidVars, Faults: []gateway.Fault{{Pointer: "#/vars/sf", Detail: "too large"}, {Detail: "x"}}},
			`"errors":[{"pointer":"#/vars/sf","detail":"too large"},{"detail":"x"}]}`,
		}, {
			&gateway.Error{Kind: gateway.Timeout, Timeout: &gateway.TimeoutDetail{Stage: "broker", Limit: 25 * time.Second, LimitBy: "--timeout", Elapsed: 25001 * time.Millisecond, LastOK: -1}},
			`"executed":"maybe","retryable":false,"stage":"broker","limit_ms":25000,"limit_by":"--timeout","elapsed_ms":25001}`,
		}, {
			&gateway.Error{Kind: gateway.Timeout, Timeout: &gateway.TimeoutDetail{Stage: "stream", Limit: time.Second, LimitBy: "?timeout", Elapsed: time.Second, MMI: "200"}},
			`"limit_by":"?timeout","elapsed_ms":1000,"service_last_ok_ms":0,"mmi":"200"}`,
		},
	} {
		g := serve(t, Config{Caller: failing(c.err)})
		a := g.post("/services/echo", "x", "X-Request-Id: r1")
		a.wantProblem(t, c.err.Kind)
		if !strings.Contains(string(a.body), c.want) {
			t.Errorf("%s: the problem is %s, want %s in it", c.err.Kind, a.body, c.want)
		}
		if strings.Contains(string(a.body), "10.1.2.3") {
			t.Errorf("%s: the problem tells the cause: %s", c.err.Kind, a.body)
		}
		retryAfter := a.Header.Get("Retry-After")
		if unavailable := a.StatusCode == 503; unavailable != (len(retryAfter) == 1 && strings.Contains("123", retryAfter)) {
			t.Errorf("%s: Retry-After is %q with status %d", c.err.Kind, retryAfter, a.StatusCode)
		}
	}
}

// Even one that package catalogue would not let pass.
func TestTheStatusOfARuleAsksNobodyToTryAgain(t *testing.T) {
	g := serve(t, Config{Caller: failing(&gateway.Error{Kind: gateway.WorkerError, Reason: "mine", Status: 503})})
	a := g.post("/services/echo", "x")
	a.wantHeader(t, "Retry-After", "")
	if a.StatusCode != 503 || !strings.Contains(string(a.body), `"executed":"yes","retryable":false`) {
		t.Errorf("the answer is %d %s, want 503, executed and not retryable", a.StatusCode, a.body)
	}
}

func TestAReplyThatCannotBeGivenAsAskedForIsNotLost(t *testing.T) {
	g := serve(t, Config{Caller: caller(func(context.Context, gateway.Call) (gateway.Reply, error) {
		return gateway.Reply{Frames: [][]byte{[]byte("a"), []byte("b")}}, nil
	})})
	p := g.post("/services/echo", "x", "Accept: application/octet-stream").wantProblem(t, gateway.NotAcceptable)
	if frames, _ := p["frames"].([]any); p["executed"] != "yes" || len(frames) != 2 {
		t.Errorf("the problem is %v, want executed yes and both frames", p)
	}
}

func TestABodyTypeThatIsNotReadNamesThoseThatAre(t *testing.T) {
	g := serve(t, Config{})
	a := g.post("/services/echo", "x", "Content-Encoding: gzip")
	a.wantProblem(t, gateway.UnsupportedMedia)
	if !strings.Contains(a.Header.Get("Accept-Post"), "application/json") {
		t.Errorf("Accept-Post is %q", a.Header.Get("Accept-Post"))
	}
}

func TestAPreferenceThatWasAppliedIsConfirmedAsItHolds(t *testing.T) {
	var got time.Duration
	g := serve(t, Config{Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		got = call.Timeout
		return echo(ctx, call)
	})})
	a := g.post("/services/echo", "x", "Prefer: wait=400")
	a.wantHeader(t, "Preference-Applied", "wait=300")
	a.wantHeader(t, "Timeout-Applied", "300s")
	if got != 400*time.Second {
		t.Errorf("the call's timeout is %v, want 400s: to cut it is the caller's", got)
	}
	for path, want := range map[string]string{"": "", "?timeout=1h": "300s", "?timeout=1500ms": "1.5s", "/dry-run?timeout=9s": ""} {
		a := g.post("/services/echo"+path, "x")
		a.wantHeader(t, "Preference-Applied", "")
		a.wantHeader(t, "Timeout-Applied", want)
	}
	for d, want := range map[time.Duration]string{time.Second: "1", 500 * time.Millisecond: "1", 1001 * time.Millisecond: "2", time.Minute: "60"} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%v) = %s, want %s", d, got, want)
		}
	}
}

// waiting is a Caller whose calls wait until their context ends; each says in
// began that it has been sent.
func waiting(began chan<- struct{}, sent bool) caller {
	return func(ctx context.Context, _ gateway.Call) (gateway.Reply, error) {
		began <- struct{}{}
		<-ctx.Done()
		return gateway.Reply{}, gateway.Ended(ctx, sent)
	}
}

func TestACallerWhoLeavesCancelsTheCall(t *testing.T) {
	began := make(chan struct{})
	g := serve(t, Config{Caller: waiting(began, true)})
	for _, c := range []*http.Client{g.http, g.h2c} {
		ctx, leave := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "POST", g.url("/services/echo"), strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		left := make(chan error)
		go func() {
			_, err := c.Do(r)
			left <- err
		}()
		<-began
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller got %v, want that it left", err)
		}
		<-g.seen.done // hangs if the call goes on
	}
	g.stop()
	for _, line := range g.logs.FilterMessage("request").All() {
		if f := line.ContextMap(); f["status"] != int64(499) || f["code"] != "canceled" {
			t.Errorf("the log line is %v, want status 499 and code canceled", f)
		}
	}
}

func TestInterruptEndsOpenCallsSayingWhetherTheyWereSent(t *testing.T) {
	for sent, want := range map[bool]gateway.Kind{true: gateway.Interrupted, false: gateway.Draining} {
		t.Run(fmt.Sprint("sent=", sent), func(t *testing.T) {
			began := make(chan struct{})
			g := serve(t, Config{Caller: waiting(began, sent)})
			answers := make(chan answer)
			go func() { answers <- g.post("/services/echo", "x") }()
			<-began
			g.Interrupt()
			(<-answers).wantProblem(t, want)
		})
	}
}

func TestDrainingLetsOpenCallsEndAndRefusesNewOnes(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	g := serve(t, Config{Caller: caller(func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		began <- struct{}{}
		<-finish
		return gateway.Reply{Frames: copied(call.Frames)}, nil
	})})
	open := make(chan answer)
	go func() { open <- g.post("/services/echo", "open") }()
	<-began

	g.NotReady()
	g.get("/readyz").wantProblem(t, gateway.Draining)
	go func() { open <- g.post("/services/echo", "late") }()
	<-began // it is still taken

	g.Drain()
	a := g.post("/services/echo", "")
	if p := a.wantProblem(t, gateway.Draining); p["retryable"] != true || !a.Close {
		t.Errorf("the problem is %v with Connection: close %v, want it retryable and the connection closed", p, a.Close)
	}
	g.get("/livez").wantBody(t, 200, "{\"live\":true}\n")
	close(finish)
	for range 2 {
		if a := <-open; a.StatusCode != 200 {
			t.Errorf("an open call ended with %d %s, want 200", a.StatusCode, a.body)
		}
	}
}

func TestDrainingIsNotReady(t *testing.T) {
	g := serve(t, Config{})
	g.Drain()
	g.get("/readyz").wantProblem(t, gateway.Draining)
}

// A caller who has closed its side, though it could still read, is gone to
// net/http. It gets no answer, nor an end that would pass for one.
func TestACallerWhoIsGoneGetsNoAnswer(t *testing.T) {
	for accept, want := range map[string]string{"*/*": "", "application/x-ndjson": `"one"`} {
		began := make(chan struct{})
		wait := waiting(began, true)
		g := serve(t, Config{Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
			if call.Partial != nil {
				if err := call.Partial([][]byte{[]byte("one")}); err != nil {
					return gateway.Reply{}, err
				}
			}
			return wait(ctx, call)
		})})
		conn, err := net.Dial("tcp", g.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%sAccept: %s\r\nContent-Length: 1\r\n\r\nx", head, accept)
		<-began
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(got), want) || want == "" && len(got) > 0 ||
			strings.Contains(string(got), "canceled") || strings.HasSuffix(string(got), "\r\n0\r\n\r\n") {
			t.Errorf("with Accept: %s the answer is %q (%v), want it broken off after %q", accept, got, err, want)
		}
	}
}

func TestAnAnswerThatFailsHalfwayBreaksOff(t *testing.T) {
	g := serve(t, Config{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "up 1\n")
		http.NewResponseController(w).Flush()
		panic("halfway")
	})})
	for _, c := range []*http.Client{g.http, g.h2c} {
		if a, err := g.try(c, "GET", "/metrics", nil); err == nil || string(a.body) != "up 1\n" {
			t.Errorf("the answer is %q with %v, want the half of it and an error", a.body, err)
		}
	}
}

func TestAPanicIsAnInternalErrorAndTheNextCallIsUnharmed(t *testing.T) {
	g := serve(t, Config{Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		if string(call.Frames[0]) == "panic" {
			panic("the secret cause")
		}
		return echo(ctx, call)
	})})
	a := g.post("/services/echo", "panic")
	if p := a.wantProblem(t, gateway.Internal); p["executed"] != "maybe" || strings.Contains(string(a.body), "secret") {
		t.Errorf("the problem is %s, want executed maybe and not the cause", a.body)
	}
	g.post("/services/echo", "fine").wantBody(t, 200, "fine")
	g.stop()
	lines := g.logs.FilterLevelExact(2).All()
	if len(lines) != 1 {
		t.Fatalf("%d lines were logged at Error, want 1", len(lines))
	}
	f := lines[0].ContextMap()
	stack, _ := f["stack"].(string)
	if f["error"] != "internal: panic: the secret cause" || !strings.Contains(stack, "TestAPanicIs") {
		t.Errorf("the log line is %v, want the cause and the stack", f)
	}
}

// counting is a Caller that counts how often it is asked for a service.
type counting struct {
	caller
	times *int
}

func (a counting) Service(name string) gateway.Service {
	*a.times++
	return a.caller.Service(name)
}

func TestARequestAsksForItsServiceOnce(t *testing.T) {
	for _, c := range []struct{ path, header string }{
		{"", "Accept: application/json"},
		{"", "Prefer: wait=9"},
		{"/dry-run", "Accept: application/json"},
		{"", "Accept: text/event-stream"},
	} {
		times := 0
		g := serve(t, Config{Caller: counting{echo, &times}})
		a := g.post("/services/echo"+c.path, "x", c.header)
		if g.stop(); a.StatusCode != 200 || times != 1 {
			t.Errorf("%s %s: answered %d, asked for the service %d times, want 200 and once", c.path, c.header, a.StatusCode, times)
		}
	}
}
