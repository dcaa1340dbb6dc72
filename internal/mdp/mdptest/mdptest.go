// Package mdptest runs real brokers, workers and raw sockets inside tests, on
// ports of 127.0.0.1 that were free. What it starts ends with the test, and a
// test fails if it does not end cleanly.
package mdptest

import (
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/worker"
)

// patience is how long the helpers wait for what must happen. It bounds a test
// that fails and slows none that passes.
const patience = 2 * time.Minute

// Broker starts a broker with defaults. Its endpoint is Endpoint(b); a test that
// wants to see it die may Close it.
func Broker(t testing.TB) *broker.Broker {
	t.Helper()
	return BrokerWith(t, broker.Config{})
}

// BrokerWith starts a broker; without Config.Bind it picks a port.
func BrokerWith(t testing.TB, cfg broker.Config) *broker.Broker {
	t.Helper()
	if len(cfg.Bind) == 0 {
		cfg.Bind = []string{"tcp://127.0.0.1:*"}
	}
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close broker: %v", err)
		}
	})
	return b
}

// Endpoint returns the first endpoint of a broker.
func Endpoint(b *broker.Broker) string { return b.Endpoints()[0] }

// Worker starts a worker in the dialect mdp/0.1 and waits until mmi.service
// knows its service.
func Worker(t testing.TB, endpoint, service string, handler worker.Handler) *worker.Worker {
	t.Helper()
	return WorkerWith(t, worker.Config{Endpoint: endpoint, Services: map[string]worker.Handler{service: handler}})
}

// WorkerWith starts a worker and waits until mmi.service knows its services.
func WorkerWith(t testing.TB, cfg worker.Config) *worker.Worker {
	t.Helper()
	w, err := worker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("close worker: %v", err)
		}
	})
	for service := range cfg.Services {
		WaitForService(t, cfg.Endpoint, service)
	}
	return w
}

// WaitForService waits until mmi.service says that a service has a worker.
func WaitForService(t testing.TB, endpoint, service string) {
	t.Helper()
	d := NewDealer(t, endpoint)
	defer d.Close()
	question, err := mdp.V01.AppendLookup(nil, []byte(service))
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < patience; {
		d.Send(question)
		status, err := mdp.V01.ParseStatus(d.Receive())
		if err != nil {
			t.Fatal(err)
		}
		if status == mdp.StatusFound {
			return
		}
		d.Quiet(time.Millisecond)
	}
	t.Fatalf("no worker of %s within %s", service, patience)
}
