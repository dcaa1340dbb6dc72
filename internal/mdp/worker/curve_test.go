package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp/broker"
)

// A worker whose key is not in the broker's list, or that has none, is told so, and asks seldom.
func TestAWorkerKnowsThatItsKeyIsRefused(t *testing.T) {
	server, own, other := curve.NewPair(), curve.NewPair(), curve.NewPair()
	list, err := curve.ParseList("list", []byte("- {id: a, key: \""+other.Public.String()+"\", role: worker, services: [echo]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	locked, err := broker.New(broker.Config{Bind: []string{"tcp://127.0.0.1:*"}, Curve: &broker.Curve{Public: server.Public, Secret: server.Secret, Allowed: list}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = locked.Close() })
	for name, c := range map[string]struct {
		keys *curve.Client
		want string // of the error; "" if the worker is let in
	}{
		"let in":        {&curve.Client{Server: server.Public, Own: other}, ""},
		"refused":       {&curve.Client{Server: server.Public, Own: own}, "the broker refused our key"},
		"another key":   {&curve.Client{Server: own.Public, Own: other}, "the broker's key is another"},
		"without a key": {nil, "the broker seems to want CURVE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := New(Config{Endpoint: locked.Endpoints()[0], Curve: c.keys, Services: map[string]Handler{"idle": idle}})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			r := &registration{worker: w, service: []byte("echo")}
			// On a busy machine it may give up before the broker has answered.
			for deadline := time.Now().Add(20 * time.Second); ; {
				s, err := r.connect()
				if s != nil {
					err = errors.Join(err, s.socket.Close())
				}
				if c.want == "" && err == nil || c.want != "" && errors.Is(err, errRefused) && strings.Contains(err.Error(), c.want) {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("got %v, want %q", err, c.want)
				}
			}
		})
	}
}

func idle(context.Context, [][]byte, func([][]byte) error) ([][]byte, error) { return nil, nil }
