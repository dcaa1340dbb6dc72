package mdptest_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func frames(s ...string) (f [][]byte) {
	for _, x := range s {
		f = append(f, []byte(x))
	}
	return f
}

func TestARouterAnswersWhatItsScriptSays(t *testing.T) {
	r := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		return [][][]byte{m, frames("once", "more")}
	})
	d := mdptest.NewDealer(t, r.Endpoint())
	d.Send(frames("", "a"))
	if got := d.Receive(); len(got) != 2 || string(got[1]) != "a" {
		t.Errorf("got %q, want what was sent", got)
	}
	if got := d.Receive(); len(got) != 2 || string(got[0]) != "once" {
		t.Errorf("got %q, want once, more", got)
	}
	d.Quiet(time.Millisecond)
}

func TestARouterSendsLateAndToStrangersAndDies(t *testing.T) {
	ids := make(chan []byte, 1)
	r := mdptest.NewRouter(t, func(id []byte, _ [][]byte) [][][]byte {
		ids <- id
		return nil
	})
	d := mdptest.NewDealer(t, r.Endpoint())
	d.Send(frames("hello"))
	id := <-ids
	r.Send([]byte("nobody"), frames("x"))
	for _, want := range []string{"1", "2", "3"} {
		r.Send(id, frames(want))
		if got := d.Receive(); string(got[0]) != want {
			t.Errorf("got %q, want %s", got, want)
		}
	}
	r.Close()
	d.Lost()
	again := mdptest.NewRouterAt(t, r.Endpoint(), nil)
	if again.Endpoint() != r.Endpoint() {
		t.Errorf("the successor listens on %s, want %s", again.Endpoint(), r.Endpoint())
	}
}

func TestABrokerAndAWorkerServe(t *testing.T) {
	endpoint := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, endpoint, "twice", func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
		return append(body, body...), nil
	})
	d := mdptest.NewDealer(t, endpoint)
	request, err := mdp.V01.AppendRequest(nil, []byte("twice"), frames("x"))
	if err != nil {
		t.Fatal(err)
	}
	d.Send(request)
	body, final, err := mdp.V01.ParseReply("twice", d.Receive())
	if err != nil || !final || len(body) != 2 {
		t.Errorf("got %q, final %v, %v, want x twice", body, final, err)
	}
}
