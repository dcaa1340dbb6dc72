package client_test

import (
	"testing"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// Every dialect that the embedded broker does not serve, against a broker that sends what
// the real one does.
func TestBrokersOfOthersAreCalledInTheirDialect(t *testing.T) {
	for d := mdp.MajordomoGo; d <= mdp.WDL83; d++ {
		t.Run(d.String(), func(t *testing.T) {
			broker := mdptest.Fake(t, d)
			pool, err := client.New(client.Config{Endpoints: []client.Endpoint{{Address: broker.Endpoint(), Dialect: d}}})
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close(t.Context())
			for range 3 { // on one connection
				reply, err := pool.Call(t.Context(), gateway.Request{Service: "echo", Frames: [][]byte{[]byte("hi"), {}, []byte("\x00\xff")}})
				if err != nil || len(reply.Frames) != 3 || string(reply.Frames[0])+string(reply.Frames[1])+string(reply.Frames[2]) != "hi\x00\xff" {
					t.Fatalf("got %q, %v, want the request's frames", reply.Frames, err)
				}
			}
			if st := pool.Stats(); sum(st.Stray)+sum(st.Closed) != 0 {
				t.Errorf("strays %v, closed connections %v, want none", st.Stray, st.Closed)
			}
			for service, want := range map[string]string{"echo": mdp.StatusFound, "ohce": mdp.StatusNotFound} {
				if !d.HasMMI() {
					continue
				}
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
	p := newPool(t, client.Config{}, client.Endpoint{Address: mdptest.Fake(t, mdp.WDL83).Endpoint(), Dialect: mdp.WDL83})
	_, err := p.Call(t.Context(), gateway.Request{Service: "ohce", Frames: [][]byte{[]byte("hi")}})
	failure(t, err, gateway.BadReply, mdp.ReasonRefused)
}

func sum(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}
