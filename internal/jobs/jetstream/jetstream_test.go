package jetstream

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
	"mdpgateway/internal/jobs/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// prefixes makes stores of one cluster strangers to each other.
var prefixes atomic.Int64

func newPrefix() string { return fmt.Sprintf("t%d", prefixes.Add(1)) }

func start(t testing.TB, c *natstest.Cluster, prefix string, change func(*Config)) *Store {
	t.Helper()
	cfg := Config{URL: c.URL(), Prefix: prefix, Replicas: len(c.Nodes), MaxBytes: 256 << 20, AskEvery: 100 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := New(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOneServer(t *testing.T) {
	t.Parallel()
	conforms(t, natstest.Start(t, 1))
}

func TestThreeServers(t *testing.T) {
	t.Parallel()
	c := natstest.Start(t, 3)
	gateways(t, c)
	conforms(t, c)
}

func conforms(t *testing.T, c *natstest.Cluster) {
	jobstest.Run(t, func(t *testing.T) jobs.Store { return start(t, c, newPrefix(), nil) })
}
