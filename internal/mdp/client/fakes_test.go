package client_test

import (
	"testing"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// Every broker that was seen, by the preset for it: one that sends what the real one does.
func TestBrokersOfOthersAreCalledInTheirDialect(t *testing.T) {
	for _, fake := range mdptest.Fakes() {
		t.Run(fake.Name, func(t *testing.T) {
			d, err := mdp.ParseDialect(fake.Dialect)
			if err != nil {
				t.Fatal(err)
			}
			broker := fake.Start(t, "echo", "ohce")
			pool := newPool(t, client.Config{}, client.Endpoint{Address: broker.Endpoint(), Dialect: d})
			for range 3 { // on one connection
				reply, err := pool.Call(t.Context(), gateway.Request{Service: "echo", Frames: [][]byte{[]byte("hi"), {}, []byte("\x00\xff")}})
				if err != nil || mdp.Show(reply.Frames) != `hi | '' | \x00\xff` {
					t.Fatalf("got %q, %v, want the request's frames", reply.Frames, err)
				}
			}
			if st := pool.Stats(); sum(st.Stray)+sum(st.Closed) != 0 {
				t.Errorf("strays %v, closed connections %v, want none", st.Stray, st.Closed)
			}
			if fake.MMI == "off" {
				return
			}
			for service, want := range map[string]string{"echo": mdp.StatusFound, "ohce": mdp.StatusNotFound} {
				if status, err := pool.Lookup(t.Context(), 0, service); err != nil || status != want {
					t.Errorf("look-up of %s: got %q, %v, want %s", service, status, err, want)
				}
			}
		})
	}
}

// A broker that says that it did not run a request is believed no further than that there
// is no reply.
func TestARefusalIsABadReply(t *testing.T) {
	for _, fake := range mdptest.Fakes() {
		if fake.Refusal == nil {
			continue
		}
		d, err := mdp.ParseDialect(fake.Dialect)
		if err != nil {
			t.Fatal(err)
		}
		p := newPool(t, client.Config{}, client.Endpoint{Address: fake.Start(t, "echo", "ohce").Endpoint(), Dialect: d})
		_, err = p.Call(t.Context(), gateway.Request{Service: "ohce", Frames: [][]byte{[]byte("hi")}})
		failure(t, err, gateway.BadReply, mdp.ReasonRefused)
	}
}

func sum(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}
