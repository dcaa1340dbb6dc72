package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
)

// A gateway whose own broker has ended would be there for nothing: it ends, and
// says why, so that whoever supervises it starts it again.
func TestTheEndOfTheEmbeddedBrokerEndsTheGateway(t *testing.T) {
	c := new(cli)
	p := &process{
		ctx: t.Context(), args: []string{"serve", "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*"},
		stdout: io.Discard, stderr: io.Discard, resolver: newResolver(nil),
	}
	if err := p.parse(c, func(int) {}); err != nil {
		t.Fatal(err)
	}
	if err := c.Serve.finish(p.resolver); err != nil {
		t.Fatal(err)
	}
	logs, err := newLogs(io.Discard, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	defer logs.close()
	d, err := newDaemon(&c.Serve.settings, logs)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.serve(context.Background(), make(chan os.Signal)) }()
	eventually(t, "the broker is up", func() bool {
		ready, _, _, _, _ := health{d.pool, d.calls}.Brokers()
		return ready
	})
	if err := d.broker.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "the embedded broker has ended") {
		t.Errorf("got %v, want that the embedded broker has ended", err)
	}
}
