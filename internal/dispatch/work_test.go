package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// Some brokers deny a service while all its workers are busy. What is at work there is
// known there; but calls that were let in for that alone are no ground for others.
func TestAServiceWithACallAtWorkIsKnownWhateverTheBrokerSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free, status := make(chan bool), mdp.StatusFound
		p := &pool{
			lookup: func(int, string) (string, error) { return status, nil },
			call: func(_ context.Context, req gateway.Request) (gateway.Reply, error) {
				<-free
				return gateway.Reply{}, &gateway.Error{Kind: gateway.Timeout}
			},
		}
		d := newDispatcher(t, p, dispatch.Config{Timeout: time.Hour, MaxTimeout: time.Hour}, "")
		ended := make(chan error, 3)
		start := func() {
			go func() {
				_, err := send(context.Background(), d, call("slow", "data"))
				ended <- err
			}()
			synctest.Wait()
		}
		start()
		status = mdp.StatusNotFound
		time.Sleep(time.Minute) // the word of before is forgotten
		start()
		if n := p.calls(); n != 2 {
			t.Fatalf("%d calls were sent, want the second, too", n)
		}
		free <- true // the first ends; the second was let in for its sake
		<-ended
		start()
		failure(t, <-ended, gateway.ServiceNotFound, "")
		free <- true
		<-ended
	})
}
