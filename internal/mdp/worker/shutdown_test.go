package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// Workers come and go while requests wait, so that each has the next on its way when it
// takes leave. Each request is answered once, and none is lost.
func TestShutdownUnderLoadLosesNoRequest(t *testing.T) {
	const requests, perWorker = 300, 10
	b := mdptest.BrokerWith(t, broker.Config{})
	d := mdptest.NewDealer(t, mdptest.Endpoint(b))
	for i := range requests {
		request, err := mdp.V01.AppendRequest(nil, []byte("s"), frames(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		d.Send(request)
	}
	done := make(chan struct{})
	served := make(chan string, requests)
	go func() {
		defer close(done)
		for len(served) < requests {
			w, err := worker.New(worker.Config{Endpoint: mdptest.Endpoint(b), Concurrency: 2, Services: map[string]worker.Handler{
				"s": func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
					served <- string(body[0])
					return body, nil
				},
			}})
			if err != nil {
				t.Error(err)
				return
			}
			enough := min(requests, len(served)+perWorker)
			for deadline := time.Now().Add(patience); len(served) < enough && time.Now().Before(deadline); {
				<-time.After(time.Millisecond)
			}
			if err := w.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}()
	seen := map[string]bool{}
	for range requests {
		body, _, err := mdp.V01.ParseReply("s", d.Receive())
		if err != nil || seen[string(body[0])] {
			t.Fatalf("got %q, %v, want each request answered once", body, err)
		}
		seen[string(body[0])] = true
	}
	<-done
}

func TestShutdownLetsTheHandlerEnd(t *testing.T) {
	r, messages := listen(t, mdp.V01)
	release, started := make(chan struct{}), make(chan struct{})
	w := start(t, r.Endpoint(), mdp.V01, func(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
		close(started)
		select {
		case <-release:
			return body, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	ready := next(t, messages, mdp.Ready)
	r.Send([]byte(ready.id), work(mdp.V01, "c", "hi"))
	<-started
	ended := make(chan error, 1)
	go func() { ended <- w.Shutdown(t.Context()) }()
	next(t, messages, mdp.Heartbeat) // it is still there
	close(release)
	if m := next(t, messages, mdp.Final); string(m.Body[0]) != "hi" {
		t.Errorf("got %q, want hi", m.Body)
	}
	next(t, messages, mdp.Disconnect)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestShutdownEndsHandlersThatTakeTooLong(t *testing.T) {
	r, messages := listen(t, mdp.V01)
	started := make(chan struct{})
	w := start(t, r.Endpoint(), mdp.V01, func(ctx context.Context, _ [][]byte, _ func([][]byte) error) ([][]byte, error) {
		close(started)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ready := next(t, messages, mdp.Ready)
	r.Send([]byte(ready.id), work(mdp.V01, "c", "hi"))
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	next(t, messages, mdp.Disconnect)
}
