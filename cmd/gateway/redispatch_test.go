package main

import (
	"context"
	"fmt"
	"testing"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

// ask sends a request of the service sleep.
func ask(t *testing.T, d *mdptest.Dealer, body string) {
	t.Helper()
	message, err := mdp.V01.AppendRequest(nil, []byte("sleep"), [][]byte{[]byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	d.Send(message)
}

// answer returns the frame of the next reply, which must be of the service sleep.
func answer(t *testing.T, d *mdptest.Dealer) string {
	t.Helper()
	frames := d.Receive()
	body, _, err := mdp.V01.ParseReply("sleep", frames)
	if err != nil || len(body) != 1 {
		t.Fatalf("got %q, %v, want a reply of sleep", frames, err)
	}
	return string(body[0])
}

// status asks mmi.service for the service sleep. Nothing else may come before the
// answer: a broker takes a client's messages in their order.
func status(t *testing.T, d *mdptest.Dealer) string {
	t.Helper()
	question, err := mdp.V01.AppendLookup(nil, []byte("sleep"))
	if err != nil {
		t.Fatal(err)
	}
	d.Send(question)
	frames := d.Receive()
	said, err := mdp.V01.ParseStatus(frames)
	if err != nil {
		t.Fatalf("got %q, %v, want the answer to the look-up", frames, err)
	}
	return said
}

func TestTheRequestOfAKilledWorkerIsGivenToAnotherIfThatIsAllowed(t *testing.T) {
	for _, redispatch := range []int{0, 1} {
		t.Run(fmt.Sprintf("redispatch=%d", redispatch), func(t *testing.T) {
			endpoint := spawn(t, "broker", "--bind", "tcp://127.0.0.1:*", "--heartbeat", "100ms", "--redispatch", fmt.Sprint(redispatch)).
				logged(t, "broker listens", "endpoint")
			first := spawn(t, "worker", "--broker", endpoint, "--concurrency", "1")
			mdptest.WaitForService(t, endpoint, "sleep")

			caller, other := mdptest.NewDealer(t, endpoint), mdptest.NewDealer(t, endpoint)
			ask(t, caller, "1m")
			if got := status(t, caller); got != mdp.StatusFound { // and so the worker has the request
				t.Fatalf("before the kill: got %s, want 200", got)
			}
			if err := first.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the broker has noticed", func() bool { return status(t, caller) == mdp.StatusNotFound })
			mdptest.Worker(t, endpoint, "sleep", func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
				return [][]byte{append([]byte("by the second: "), body[0]...)}, nil
			})

			ask(t, other, "another")
			if got := answer(t, other); got != "by the second: another" {
				t.Errorf("another request: got %q", got)
			}
			if redispatch == 1 {
				if got := answer(t, caller); got != "by the second: 1m" {
					t.Errorf("the request of the killed worker: got %q", got)
				}
			}
			// Without, its caller hears nothing of it.
			if got := status(t, caller); got != mdp.StatusFound {
				t.Errorf("at the end: got %s, want 200", got)
			}
		})
	}
}
