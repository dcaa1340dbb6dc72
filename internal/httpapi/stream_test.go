package httpapi

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
)

// parts is a Caller whose replies come in parts, with pauses between them.
func parts(pause time.Duration, err error, partials ...string) caller {
	return func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		for _, p := range partials {
			<-time.After(pause)
			if err := call.Partial([][]byte{[]byte(p)}); err != nil {
				return gateway.Reply{}, err
			}
		}
		<-time.After(pause)
		return gateway.Reply{Frames: [][]byte{[]byte("end")}, Timing: gateway.Timing{Broker: pause}}, err
	}
}

func TestAStreamGivesThePartsAsTheyComeAndPingsBetweenThem(t *testing.T) {
	cfg := Config{Caller: parts(40*time.Second, nil, "one", "two"), BodyIdleTimeout: 10 * time.Second}
	onVirtualTime(t, cfg, func(t *testing.T, g *testServer, _ *rawConn) {
		for _, c := range []*http.Client{g.http, g.h2c} {
			start := time.Now()
			a := g.do(c, "POST", "/services/echo", strings.NewReader("x"), "Accept: application/x-ndjson")
			const ping = `{"event":"ping"}` + "\n"
			a.wantBody(t, 200, ping+ping+
				`{"event":"partial","seq":0,"frames":[{"data":"one","encoding":"text"}]}`+"\n"+ping+ping+
				`{"event":"partial","seq":1,"frames":[{"data":"two","encoding":"text"}]}`+"\n"+ping+ping+
				`{"event":"final","seq":2,"frames":[{"data":"end","encoding":"text"}]}`+"\n")
			if took := time.Since(start); took != 2*time.Minute {
				t.Errorf("the stream took %v, want 2m", took)
			}
		}
	})
}

func TestAPartIsSentWhenItComes(t *testing.T) {
	next := make(chan struct{})
	g := serve(t, Config{Caller: caller(func(_ context.Context, call gateway.Call) (gateway.Reply, error) {
		err := call.Partial([][]byte{[]byte("one")})
		<-next
		return gateway.Reply{}, err
	})})
	r, err := http.NewRequest("POST", g.url("/services/echo"), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/x-ndjson")
	resp, err := g.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n') // hangs if it waits for the end
	if err != nil || !strings.Contains(line, "one") {
		t.Errorf("the first event is %q (%v)", line, err)
	}
	close(next)
}

func TestAnErrorBeforeTheFirstPartIsAnOrdinaryProblem(t *testing.T) {
	failure := &gateway.Error{Kind: gateway.BrokerLost}
	onVirtualTime(t, Config{Caller: parts(time.Second, failure)}, func(t *testing.T, g *testServer, _ *rawConn) {
		g.post("/services/echo", "x", "Accept: text/event-stream").wantProblem(t, gateway.BrokerLost)
	})
}

func TestAnErrorAfterTheFirstPartIsTheLastEvent(t *testing.T) {
	failure := &gateway.Error{Kind: gateway.BrokerLost}
	onVirtualTime(t, Config{Caller: parts(time.Second, failure, "one")}, func(t *testing.T, g *testServer, _ *rawConn) {
		a := g.post("/services/echo", "x", "Accept: text/event-stream")
		events := strings.Split(string(a.body), "\n\n")
		if a.StatusCode != 200 || len(events) != 3 || !strings.HasPrefix(events[1], "event: problem\ndata: ") || !strings.Contains(events[1], `"code":"broker_lost"`) {
			t.Errorf("the answer is %d %q, want a partial and a problem", a.StatusCode, a.body)
		}
		g.stop()
		if f := g.logs.FilterMessage("request").All()[0].ContextMap(); f["code"] != "broker_lost" || f["status"] != int64(200) || f["broker"] != time.Second {
			t.Errorf("the log line is %v, want status 200, code broker_lost and broker 1s", f)
		}
	})
}

func TestAPartThatDoesNotFitInMemoryEndsTheStream(t *testing.T) {
	cfg := Config{Caller: parts(time.Second, nil, "one", strings.Repeat("x", 101)), Budget: budget.New(100)}
	onVirtualTime(t, cfg, func(t *testing.T, g *testServer, _ *rawConn) {
		a := g.post("/services/echo", "x", "Accept: application/x-ndjson")
		if !strings.Contains(string(a.body), `"one"`) || !strings.Contains(string(a.body), `"code":"reply_too_large"`) {
			t.Errorf("the stream is %q, want a partial and the problem reply_too_large", a.body)
		}
	})
	onVirtualTime(t, Config{Caller: parts(time.Second, nil), Budget: budget.New(2)}, func(t *testing.T, g *testServer, _ *rawConn) {
		g.post("/services/echo", "x", "Accept: application/x-ndjson").wantProblem(t, gateway.ReplyTooLarge)
	})
}

func TestAReaderWhoLeavesAStreamEndsItsCall(t *testing.T) {
	onVirtualTime(t, Config{Caller: parts(time.Second, nil, strings.Repeat("x", 1000)), BodyIdleTimeout: 5 * time.Second}, func(t *testing.T, g *testServer, raw *rawConn) {
		raw.send(head + "Accept: text/event-stream\r\nContent-Length: 1\r\n\r\nx")
		<-g.seen.done // though nobody reads
		g.stop()
		if f := g.logs.FilterMessage("request").All()[0].ContextMap(); f["code"] != "canceled" {
			t.Errorf("the log line is %v, want code canceled", f)
		}
	})
}
