package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A ledger accounts for every call.
type ledger struct {
	mu       sync.Mutex
	sent     int
	answered int
	left     int            // the caller left before the answer
	codes    map[string]int // problems
	crossed  []string       // another call's answer
	repeated []string       // another call's answer, where a broker repeats replies and connections are shared
	hung     []string       // no answer in the longest time that a call may take
	broken   []string       // the gateway closed the connection, or its answer was malformed
	unsent   []string       // values of the calls with executed: no
}

// note enters a call that was made with ctx, which the caller may have cancelled.
// repeats reports whether late duplicates may cross.
func (l *ledger) note(ctx context.Context, value string, repeats bool, a answer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	switch {
	case err != nil && errors.Is(context.Cause(ctx), context.Canceled):
		l.left++
	case err != nil && ctx.Err() != nil:
		l.hung = append(l.hung, value)
	case err != nil:
		l.broken = append(l.broken, fmt.Sprintf("%s: %v", value, err))
	case a.status == http.StatusOK && a.data == value:
		l.answered++
	case a.status == http.StatusOK && repeats:
		l.repeated = append(l.repeated, fmt.Sprintf("%s got %q", value, a.data))
	case a.status == http.StatusOK:
		l.crossed = append(l.crossed, fmt.Sprintf("%s got %q", value, a.data))
	case a.status == http.StatusRequestTimeout && a.code == "": // it crossed the end of its connection
		l.codes["408"]++
		l.unsent = append(l.unsent, value)
	case a.code == "":
		l.broken = append(l.broken, fmt.Sprintf("%s: %v", value, a))
	default:
		l.codes[strings.TrimSuffix(a.code+" "+a.reason, " ")]++
		if a.executed == "no" {
			l.unsent = append(l.unsent, value)
		}
	}
}

func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d sent = %d answered right + %d left by their callers + errors %v; crossed %d, hung %d, broken %d",
		l.sent, l.answered, l.left, l.codes, len(l.crossed), len(l.hung), len(l.broken))
}

// check fails the test if calls are missing, or came out as none may.
func (l *ledger) check(t *testing.T, ran map[string]int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.answered + l.left + len(l.crossed) + len(l.repeated) + len(l.hung) + len(l.broken)
	for _, n := range l.codes {
		sum += n
	}
	if sum != l.sent {
		t.Errorf("%d calls are accounted for, want the %d that were sent", sum, l.sent)
	}
	for what, found := range map[string][]string{"crossed": l.crossed, "hung": l.hung, "broken": l.broken} {
		if len(found) > 0 {
			t.Errorf("%d %s, want none; the first: %s", len(found), what, found[0])
		}
	}
	for code := range l.codes {
		if code == "internal" || code == "bad_reply" {
			t.Errorf("%d × %s, want none", l.codes[code], code)
		}
	}
	executedAfterAll := 0
	for _, value := range l.unsent {
		executedAfterAll += ran[value]
	}
	t.Logf("%d calls had executed: no; the workers' notes, of %d values, have %d of them", len(l.unsent), len(ran), executedAfterAll)
	if executedAfterAll > 0 {
		t.Errorf("%d calls ran that had executed: no", executedAfterAll)
	}
}
