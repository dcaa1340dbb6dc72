package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 2 * time.Minute

// A heard is a message of a worker, as a broker hears it.
type heard struct {
	mdp.WorkerMessage
	id string
}

// listen starts a broker that says nothing by itself.
func listen(t *testing.T, dialect *mdp.Dialect) (*mdptest.Router, <-chan heard) {
	t.Helper()
	messages := make(chan heard, 10_000)
	r := mdptest.NewRouter(t, func(id []byte, frames [][]byte) [][][]byte {
		m, err := dialect.ParseWorker(frames)
		if err != nil {
			t.Errorf("the worker sent %q: %v", frames, err)
		}
		messages <- heard{m, string(id)}
		return nil
	})
	return r, messages
}

// next returns the next message with that command.
func next(t *testing.T, messages <-chan heard, command mdp.Command) heard {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-messages:
			if m.Command == command {
				return m
			}
		case <-timeout:
			t.Fatalf("no %s within %s", command, patience)
		}
	}
}

// start starts a worker of the service s with fast heartbeats.
func start(t *testing.T, endpoint string, dialect *mdp.Dialect, handler worker.Handler) *worker.Worker {
	t.Helper()
	w, err := worker.New(worker.Config{
		Endpoint: endpoint, Dialect: dialect, Heartbeat: 20 * time.Millisecond, Liveness: 1000,
		Services: map[string]worker.Handler{"s": handler},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func echo(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
	return body, nil
}

func frames(s ...string) (f [][]byte) {
	for _, x := range s {
		f = append(f, []byte(x))
	}
	return f
}

// work is a request to a worker.
func work(dialect *mdp.Dialect, client string, body ...string) [][]byte {
	return dialect.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Work, Client: []byte(client), Body: frames(body...)})
}

func TestAWorkerRegistersBeatsAndReplies(t *testing.T) {
	for _, dialect := range []*mdp.Dialect{mdp.V01, mdp.V02, mdp.Loudify} {
		t.Run(dialect.String(), func(t *testing.T) {
			r, messages := listen(t, dialect)
			start(t, r.Endpoint(), dialect, echo)
			ready := next(t, messages, mdp.Ready)
			if string(ready.Service) != "s" {
				t.Errorf("READY of %q, want s", ready.Service)
			}
			next(t, messages, mdp.Heartbeat)
			r.Send([]byte(ready.id), work(dialect, "c\x00\xff", "a", "", "b"))
			final := next(t, messages, mdp.Final)
			if string(final.Client) != "c\x00\xff" || !bytes.Equal(bytes.Join(final.Body, []byte("|")), []byte("a||b")) {
				t.Errorf("got %q for %q, want a||b for c\\x00\\xff", final.Body, final.Client)
			}
			next(t, messages, mdp.Heartbeat)
			next(t, messages, mdp.Heartbeat)
		})
	}
}

func TestHeartbeatsGoOnWhileTheHandlerWorks(t *testing.T) {
	r, messages := listen(t, mdp.V01)
	release := make(chan struct{})
	start(t, r.Endpoint(), mdp.V01, func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
		<-release
		return body, nil
	})
	ready := next(t, messages, mdp.Ready)
	r.Send([]byte(ready.id), work(mdp.V01, "c", "hi"))
	for range 5 {
		next(t, messages, mdp.Heartbeat)
	}
	close(release)
	next(t, messages, mdp.Final)
}

func TestPartialsGoAheadOfTheFinal(t *testing.T) {
	r, messages := listen(t, mdp.V02)
	start(t, r.Endpoint(), mdp.V02, func(_ context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
		for i := range 3000 {
			if err := partial(frames(fmt.Sprint(i))); err != nil {
				return nil, err
			}
		}
		return body, nil
	})
	ready := next(t, messages, mdp.Ready)
	r.Send([]byte(ready.id), work(mdp.V02, "c", "end"))
	for i := range 3000 {
		if m := next(t, messages, mdp.Partial); string(m.Body[0]) != fmt.Sprint(i) {
			t.Fatalf("got part %q, want %d", m.Body, i)
		}
	}
	if m := next(t, messages, mdp.Final); string(m.Body[0]) != "end" {
		t.Errorf("got %q, want end", m.Body)
	}
}

func TestDialectsWithoutPartialSendTheFinalAlone(t *testing.T) {
	for _, dialect := range []*mdp.Dialect{mdp.V01, mdp.Loudify} {
		r, messages := listen(t, dialect)
		start(t, r.Endpoint(), dialect, func(_ context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
			return body, partial(frames("part"))
		})
		ready := next(t, messages, mdp.Ready)
		r.Send([]byte(ready.id), work(dialect, "c", "end"))
		if m := next(t, messages, mdp.Final); string(m.Body[0]) != "end" {
			t.Errorf("%s: got %q, want end", dialect, m.Body)
		}
	}
}

func TestABrokerThatReadsSlowlyLosesNoPart(t *testing.T) {
	// More than the sockets and the kernel hold between the two.
	const parts = 20_000
	size := strings.Repeat("x", 2000)
	release, got := make(chan struct{}), make(chan string, parts)
	r := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		switch w, err := mdp.V02.ParseWorker(m); {
		case err != nil:
			t.Error(err)
		case w.Command == mdp.Ready:
			return [][][]byte{work(mdp.V02, "c", "go")}
		case w.Command == mdp.Partial:
			<-release
			got <- string(w.Body[0])
		}
		return nil
	})
	sent := make(chan int, parts)
	start(t, r.Endpoint(), mdp.V02, func(_ context.Context, body [][]byte, partial func([][]byte) error) ([][]byte, error) {
		for i := range parts {
			if err := partial(frames(fmt.Sprint(i), size)); err != nil {
				return nil, err
			}
			sent <- i
		}
		return body, nil
	})
	// The worker stops at some part, since nobody reads.
	for stuck := false; !stuck; {
		select {
		case <-sent:
		case <-time.After(300 * time.Millisecond):
			stuck = true
		}
	}
	close(release)
	for i := range parts {
		select {
		case m := <-got:
			if m != fmt.Sprint(i) {
				t.Fatalf("got part %s, want %d", m, i)
			}
		case <-time.After(patience):
			t.Fatalf("no part %d within %s", i, patience)
		}
	}
}

func TestCloseDoesNotWaitForTheNextHeartbeat(t *testing.T) {
	r, messages := listen(t, mdp.V01)
	started := make(chan struct{})
	w, err := worker.New(worker.Config{
		Endpoint: r.Endpoint(), Concurrency: 2, Heartbeat: time.Hour,
		Services: map[string]worker.Handler{"s": func(ctx context.Context, _ [][]byte, _ func([][]byte) error) ([][]byte, error) {
			close(started)
			<-ctx.Done()
			return nil, ctx.Err()
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ready := next(t, messages, mdp.Ready)
	next(t, messages, mdp.Ready)
	r.Send([]byte(ready.id), work(mdp.V01, "c", "hi"))
	<-started
	closed := make(chan error, 1)
	go func() { closed <- w.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Close waits for something that does not come")
	}
}

func TestDisconnectMeansAnotherSocketAndReady(t *testing.T) {
	for _, dialect := range []*mdp.Dialect{mdp.V01, mdp.V02} {
		r, messages := listen(t, dialect)
		start(t, r.Endpoint(), dialect, echo)
		seen := map[string]bool{}
		for range 3 {
			ready := next(t, messages, mdp.Ready)
			if seen[ready.id] {
				t.Fatalf("%s: READY again with the routing id %q", dialect, ready.id)
			}
			seen[ready.id] = true
			r.Send([]byte(ready.id), dialect.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Disconnect}))
		}
	}
}

func TestASilentBrokerIsLeft(t *testing.T) {
	r, messages := listen(t, mdp.V01)
	w, err := worker.New(worker.Config{
		Endpoint: r.Endpoint(), Heartbeat: 10 * time.Millisecond, Liveness: 3, Services: map[string]worker.Handler{"s": echo},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	first, second := next(t, messages, mdp.Ready), next(t, messages, mdp.Ready)
	if first.id == second.id {
		t.Errorf("READY twice on one socket")
	}
}

func TestABrokerThatComesBackIsFound(t *testing.T) {
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	mdptest.Worker(t, endpoint, "s", echo)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = mdptest.BrokerWith(t, broker.Config{Bind: []string{endpoint}})
		mdptest.WaitForService(t, endpoint, "s")
	}
}

func TestABrokerMayComeLater(t *testing.T) {
	r := mdptest.NewRouter(t, nil)
	endpoint := r.Endpoint()
	r.Close()
	start(t, endpoint, mdp.V01, echo)
	mdptest.BrokerWith(t, broker.Config{Bind: []string{endpoint}})
	mdptest.WaitForService(t, endpoint, "s")
}

func TestAHandlersErrorIsADisconnectAndNotAReply(t *testing.T) {
	r, messages := listen(t, mdp.V01)
	start(t, r.Endpoint(), mdp.V01, func(context.Context, [][]byte, func([][]byte) error) ([][]byte, error) {
		return nil, errors.New("out of luck")
	})
	ready := next(t, messages, mdp.Ready)
	r.Send([]byte(ready.id), work(mdp.V01, "c", "hi"))
	for m := range messages {
		if m.Command == mdp.Final {
			t.Fatalf("the worker replied %q", m.Body)
		}
		if m.Command == mdp.Disconnect {
			break
		}
	}
	if again := next(t, messages, mdp.Ready); again.id == ready.id {
		t.Error("READY on the same socket")
	}
}

func TestALostConnectionEndsTheHandlersContext(t *testing.T) {
	r, messages := listen(t, mdp.V02)
	started, ended := make(chan struct{}), make(chan error, 1)
	start(t, r.Endpoint(), mdp.V02, func(ctx context.Context, _ [][]byte, partial func([][]byte) error) ([][]byte, error) {
		close(started)
		<-ctx.Done()
		ended <- partial(frames("too late"))
		return nil, ctx.Err()
	})
	ready := next(t, messages, mdp.Ready)
	r.Send([]byte(ready.id), work(mdp.V02, "c", "hi"))
	<-started
	r.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("partial on a lost connection: got %v, want context.Canceled", err)
	}
}

func TestCloseSendsWhatTheHandlerStillReturnsAndTakesLeave(t *testing.T) {
	r, messages := listen(t, mdp.V01)
	started := make(chan struct{})
	w := start(t, r.Endpoint(), mdp.V01, func(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
		close(started)
		<-ctx.Done()
		return frames("in time"), nil
	})
	ready := next(t, messages, mdp.Ready)
	r.Send([]byte(ready.id), work(mdp.V01, "c", "hi"))
	<-started
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if m := next(t, messages, mdp.Final); string(m.Body[0]) != "in time" {
		t.Errorf("got %q, want in time", m.Body)
	}
	next(t, messages, mdp.Disconnect)
}

func TestWhatABrokerMustNotSendIsDropped(t *testing.T) {
	r, messages := listen(t, mdp.V01)
	release := make(chan struct{})
	core, logs := observer.New(zapcore.WarnLevel)
	w, err := worker.New(worker.Config{
		Endpoint: r.Endpoint(), Log: zap.New(core),
		Services: map[string]worker.Handler{"s": func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			<-release
			return body, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ready := next(t, messages, mdp.Ready)
	id := []byte(ready.id)
	rubbish := [][][]byte{
		frames("x"), frames("", "MDPC01", "s", "hi"), frames("", "MDPW01"), frames("", "MDPW01", "\x02"),
		frames("", "MDPW01", "\x02", "c"), frames("", "MDPW01", "\x09"), frames("", "MDPW01", "\x01", "s"),
		frames("", "MDPW01", "\x03", "c", "", "x"), frames("MDPW02", "\x02", "c", "", "x"),
	}
	for _, m := range rubbish {
		r.Send(id, m)
	}
	r.Send(id, work(mdp.V01, "c1", "first"))
	r.Send(id, work(mdp.V01, "c2", "before the first one's reply"))
	eventually(t, "a warning for each", func() bool { return logs.Len() == len(rubbish)+1 })
	close(release)
	if m := next(t, messages, mdp.Final); string(m.Client) != "c1" || string(m.Body[0]) != "first" {
		t.Errorf("got %q for %q, want first for c1", m.Body, m.Client)
	}
	// A request without body reaches the handler as it is.
	r.Send(id, work(mdp.V01, "c3"))
	if m := next(t, messages, mdp.Final); string(m.Client) != "c3" || len(m.Body) != 0 {
		t.Errorf("got %q for %q, want no frames for c3", m.Body, m.Client)
	}
}

// eventually waits until ok.
func eventually(t *testing.T, want string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for start := time.Now(); !ok(); <-ticker.C {
		if time.Since(start) > patience {
			t.Fatalf("not within %s: %s", patience, want)
		}
	}
}

func TestConcurrencyIsTheNumberOfRegistrations(t *testing.T) {
	b := mdptest.Broker(t)
	w, err := worker.New(worker.Config{
		Endpoint: mdptest.Endpoint(b), Concurrency: 3, Services: map[string]worker.Handler{"a": echo, "b": echo},
	})
	if err != nil {
		t.Fatal(err)
	}
	registered := func(want string) func() bool {
		return func() bool {
			var got []string
			for _, s := range b.Stats().Services {
				got = append(got, fmt.Sprintf("%s=%d", s.Name, s.Workers))
			}
			return strings.Join(got, " ") == want
		}
	}
	eventually(t, "three of each", registered("a=3 b=3"))
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "none", registered(""))
}

func TestBadConfigurationsAreRefused(t *testing.T) {
	services := map[string]worker.Handler{"s": echo}
	for _, tt := range []struct {
		cfg  worker.Config
		want string
	}{
		{worker.Config{Endpoint: "tcp://127.0.0.1:1", Services: services, Dialect: mdp.Plantd}, "worker: dialect is plantd, which has no workers"},
		{worker.Config{Services: services}, "worker: the endpoint is empty"},
		{worker.Config{Endpoint: "tcp://127.0.0.1:1"}, "worker: there are no services"},
		{worker.Config{Endpoint: "tcp://127.0.0.1:1", Services: services, Concurrency: -1}, "worker: concurrency is -1, want at least 1"},
		{worker.Config{Endpoint: "tcp://127.0.0.1:1", Services: services, Heartbeat: 1}, "worker: heartbeat is 1ns, want at least 1ms"},
		{worker.Config{Endpoint: "tcp://127.0.0.1:1", Services: services, Liveness: -1}, "worker: liveness is -1, want at least 1"},
		{worker.Config{Endpoint: "tcp://127.0.0.1:1", Services: map[string]worker.Handler{"": echo}}, "worker: the service name is empty"},
		{worker.Config{Endpoint: "tcp://127.0.0.1:1", Services: map[string]worker.Handler{"mmi.x": echo}}, `worker: the service name "mmi.x" belongs to the broker`},
		{worker.Config{Endpoint: "tcp://127.0.0.1:1", Services: map[string]worker.Handler{"s": nil}}, `worker: the service "s" has no handler`},
	} {
		w, err := worker.New(tt.cfg)
		if err == nil {
			_ = w.Close()
		}
		if err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}
