package chaos

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A load is a number of callers, each of which makes one call at a time until the load
// is stopped.
type load struct {
	t       testing.TB
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	answered int             // guarded by mu
	failed   map[string]int  // guarded by mu; by code
	took     []time.Duration // guarded by mu; of the answered
	refused  []time.Duration // guarded by mu; of the failed
}

// startLoad starts callers of a service that returns the body. The body is a duration,
// which some services want.
func startLoad(t testing.TB, g *gateway, callers int, service string) *load {
	return startLoadOn(t, g.client, g.url, callers, service, "20ms")
}

func startLoadOn(t testing.TB, client *http.Client, url string, callers int, service, body string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := newLoad(t)
	l.cancel = cancel
	for range callers {
		l.running.Go(func() {
			for ctx.Err() == nil {
				l.note(post(context.Background(), client, url, service, body))(body)
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

// newLoad returns a load without callers.
func newLoad(t testing.TB) *load {
	return &load{t: t, cancel: func() {}, failed: map[string]int{}}
}

func (l *load) note(a answer, err error) func(want string) {
	return func(want string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case err != nil:
			l.failed["no answer"]++
			l.t.Logf("no answer: %v", err)
		case a.status != http.StatusOK:
			l.failed[strings.TrimSuffix(a.code+" "+a.reason, " ")]++
			l.refused = append(l.refused, a.took)
		case a.data != want:
			l.failed["crossed"]++
			l.t.Errorf("got %v, want %q", a, want)
		default:
			l.answered++
			l.took = append(l.took, a.took)
		}
	}
}

func (l *load) stop() {
	l.cancel()
	l.running.Wait()
}

// progress waits until n more calls have been answered.
func (l *load) progress(n int) {
	l.t.Helper()
	before := l.answers()
	eventually(l.t, "calls are answered", func() bool { return l.answers() >= before+n })
}

func (l *load) answers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answered
}

func (l *load) codes() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return sorted(l.failed)
}

func (l *load) count(code string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed[code]
}

func (l *load) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d answered, failed %v", l.answered, l.failed)
}
