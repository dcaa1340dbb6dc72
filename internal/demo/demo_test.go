package demo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	for _, service := range []string{"echo", "sleep", "fail", "vars", "stream", "melody", "fm"} {
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
		{"fail", "", "\x06"},
		{"fail", "no carrier", "\x06|no carrier"},
		{"fail", "no carrier|{}", "\x06|no carrier"},
		{"vars", "data|{'sf': 7}", "{'sf': 7}"},
		{"vars", "data", "data"},
		{"stream", "0", "0"},
		{"stream", "-1", `the body is "-1", want a number from 0 to 10000`},
		{"stream", "10001", `the body is "10001", want a number from 0 to 10000`},
		{"stream", "ten", `the body is "ten", want a number from 0 to 10000`},
		{"stream", "0|{'pause': 400}", "0"},
		{"stream", "2|{'pause': 200}", "the pauses are 2 times 200s, want at most 5m0s together"},
		{"stream", "2|{'pause': -1}", "the pauses are 2 times -1s, want at most 5m0s together"},
		{"stream", "2|{'pauses': 1}", "the vars are not those of the service"},
		{"stream", "2|3", "the last frame holds no vars"},
		{"fm", "x", "\x06|the body has 1 bytes, want whole samples of 2 and at most 4194304 of them"},
		{"fm", "xx|{'format': 'cf32'}", "\x06|the body has 2 bytes, want whole samples of 8 and at most 4194304 of them"},
		{"fm", "xx|{'format': 'mp3'}", "\x06|" + `format is "mp3", want cu8 or cf32`},
		{"fm", "xx|{'decim': 0}", "\x06|decim is 0, want 1 to 100"},
		{"fm", "xx|{'samp_rate': 1e999}", "\x06|the vars are not those of the service"},
		{"fm", "xx|{'samp_rate': 10}", "\x06|samp_rate is 10, want 1000 to 50000000"},
		{"fm", "xx|{'deviation': 0}", "\x06|deviation is 0, want more than 0 and at most half of samp_rate"},
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

// The worker runs on virtual time, without a broker.
func TestAStreamPausesBeforeEachPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		began := time.Now()
		_, err := demo.Stream(t.Context(), [][]byte{[]byte("3"), []byte("{'pause': 0.5}")}, func([][]byte) error {
			at = append(at, time.Since(began))
			return nil
		})
		if want := []time.Duration{500 * time.Millisecond, time.Second, 1500 * time.Millisecond}; err != nil || !slices.Equal(at, want) {
			t.Errorf("the parts came after %v, %v, want %v", at, err, want)
		}
	})
}

func TestAStreamThatNobodyWaitsForEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := demo.Stream(ctx, [][]byte{[]byte("10"), []byte("{'pause': 30}")}, nil)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("it ended with %v after %v", err, took)
		}
	})
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
