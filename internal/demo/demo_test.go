package demo_test

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mdpgateway/internal/demo"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a broker and a demo worker and waits for all its services.
func start(t *testing.T, dialect *mdp.Dialect) (endpoint string) {
	t.Helper()
	endpoint = mdptest.Endpoint(mdptest.Broker(t))
	w, err := demo.Start(demo.Config{Endpoint: endpoint, Dialect: dialect})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, service := range []string{"echo", "sleep", "fail", "vars", "stream"} {
		mdptest.WaitForService(t, endpoint, service)
	}
	return endpoint
}

// call makes one call and returns its messages, frames joined by |, in order.
func call(t *testing.T, d *mdptest.Dealer, dialect *mdp.Dialect, service string, body ...string) (messages []string) {
	t.Helper()
	var frames [][]byte
	for _, b := range body {
		frames = append(frames, []byte(b))
	}
	request, err := dialect.AppendRequest(nil, []byte(service), frames)
	if err != nil {
		t.Fatal(err)
	}
	d.Send(request)
	for {
		reply, final, err := dialect.ParseReply(service, d.Receive())
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		for _, frame := range reply {
			s = append(s, string(frame))
		}
		messages = append(messages, strings.Join(s, "|"))
		if final {
			return messages
		}
	}
}

func TestServicesAnswerAsDocumented(t *testing.T) {
	endpoint := start(t, mdp.V02)
	d := mdptest.NewDealer(t, endpoint)
	for _, tt := range []struct {
		service, body, want string
	}{
		{"echo", "hi", "hi"},
		{"echo", "a||\x00\xff", "a||\x00\xff"},
		{"sleep", "1ms", "1ms"},
		{"sleep", "0s|{}", "0s"},
		{"sleep", "soon", `the body is "soon", want a duration such as 200ms`},
		{"sleep", "-1s", "the duration is -1s, want 0s to 5m0s"},
		{"sleep", "6m", "the duration is 6m0s, want 0s to 5m0s"},
		{"sleep", strings.Repeat("x", 100), fmt.Sprintf("the body is %q, want a duration such as 200ms", strings.Repeat("x", 64))},
		{"fail", "anything", "\x06"},
		{"vars", "data|{'sf': 7}", "{'sf': 7}"},
		{"vars", "data", "data"},
		{"stream", "0", "0"},
		{"stream", "-1", `the body is "-1", want a number from 0 to 10000`},
		{"stream", "10001", `the body is "10001", want a number from 0 to 10000`},
		{"stream", "ten", `the body is "ten", want a number from 0 to 10000`},
	} {
		got := call(t, d, mdp.V02, tt.service, strings.Split(tt.body, "|")...)
		if len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s %q: got %q, want %q", tt.service, tt.body, got, tt.want)
		}
	}
}

func TestStreamSendsPartialsWhereTheDialectsHaveThem(t *testing.T) {
	for _, worker := range []*mdp.Dialect{mdp.V01, mdp.V02, mdp.Loudify} {
		endpoint := start(t, worker)
		for _, client := range []*mdp.Dialect{mdp.V01, mdp.V02, mdp.Loudify} {
			d := mdptest.NewDealer(t, endpoint)
			want := "[3]"
			if worker == mdp.V02 && client == mdp.V02 {
				want = "[1 2 3 3]"
			}
			if got := fmt.Sprint(call(t, d, client, "stream", "3")); got != want {
				t.Errorf("client %s, worker %s: got %s, want %s", client, worker, got, want)
			}
		}
	}
}

func TestALongStreamIsWhole(t *testing.T) {
	d := mdptest.NewDealer(t, start(t, mdp.V02))
	got := call(t, d, mdp.V02, "stream", "500")
	if len(got) != 501 {
		t.Fatalf("got %d messages, want 501", len(got))
	}
	for i, m := range got[:500] {
		if m != fmt.Sprint(i+1) {
			t.Fatalf("part %d is %q", i, m)
		}
	}
}
