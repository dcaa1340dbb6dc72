package client

import (
	"testing"
	"time"

	"mdpgateway/internal/gateway"
)

// A broker that answers again gets calls again, whatever a call that it was given before waits for.
func TestADoubtfulBrokerIsTriedAgainAlsoWhileACallWaitsForIt(t *testing.T) {
	now := time.Now()
	for name, e := range map[string]*endpoint{
		"a call timed out": {state: gateway.Up, unanswered: 1},
		"silent":           {state: gateway.Up, asked: silentRequests, upSince: now.Add(-silentAfter)},
	} {
		e.busy = map[*conn]*call{{}: {}}
		for ago, doubtful := range map[time.Duration]bool{retryDoubtful - 1: true, retryDoubtful: false} {
			e.tried = now.Add(-ago)
			if e.doubtful(now) != doubtful {
				t.Errorf("%s, tried %v ago: doubtful is %v, want %v", name, ago, !doubtful, doubtful)
			}
		}
	}
}
