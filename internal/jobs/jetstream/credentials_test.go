package jetstream

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
	"mdpgateway/internal/jobs/natstest"
)

// Credentials that the servers do not take any more, since their time is over, may be replaced in their file: the store
// is reached again, however often it was refused meanwhile.
func TestCredentialsThatAreReplacedAreTaken(t *testing.T) {
	t.Parallel()
	creds, lines := operator(t, t.TempDir())
	refused, _ := operator(t, t.TempDir()) // another operator's
	c := natstest.Start(t, 1, lines...)
	seen, logs := observer.New(zap.WarnLevel)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := New(ctx, Config{URL: c.URL(), Replicas: 1, MaxBytes: 16 << 20, Creds: creds, Log: zap.New(seen)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	await := func(what string, is func() bool) {
		t.Helper()
		for !is() {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("it does not come about that %s: %v", what, logs.All())
			}
		}
	}
	exchange(t, creds, refused)
	c.Nodes[0].Kill()
	c.Nodes[0].Start()
	await("it is refused four times", func() bool {
		n := 0
		for _, line := range logs.FilterMessage("jobs store").All() {
			if err, ok := line.Context[0].Interface.(error); ok && errors.Is(err, nats.ErrAuthorization) {
				n++
			}
		}
		return n >= 4 || s.nc.IsClosed()
	})
	exchange(t, creds, refused)
	await("the store is up", func() bool { return s.Stats().Up || s.nc.IsClosed() })
	if s.nc.IsClosed() {
		t.Fatal("the store tries no more to reach the servers")
	}
	if job := jobstest.Submit(t, s, jobstest.New("echo")); job.State != jobs.Queued {
		t.Errorf("the job is %s", job.State)
	}
}

// exchange gives two files each other's content.
func exchange(t *testing.T, a, b string) {
	t.Helper()
	kept := a + ".kept"
	if err := errors.Join(os.Rename(a, kept), os.Rename(b, a), os.Rename(kept, b)); err != nil {
		t.Fatal(err)
	}
}
