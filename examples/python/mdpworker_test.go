package python_test

import (
	"fmt"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
)

// serve starts the services of testdata/served.py.
func serve(t *testing.T, endpoint string, dialect *mdp.Dialect, vars string) *process {
	t.Helper()
	return run(t, exec.Command("/usr/bin/python3", "-W", "error", "testdata/served.py", endpoint, dialect.String(), vars))
}

// callIn sends a request in a dialect and returns the messages of the reply, the frames of each
// joined by |.
func callIn(t *testing.T, endpoint string, dialect *mdp.Dialect, service string, body ...string) (messages []string) {
	t.Helper()
	d := mdptest.NewDealer(t, endpoint)
	defer d.Close()
	d.Send(requestIn(t, dialect, service, body...))
	for {
		frames, final, err := dialect.ParseReply(service, d.Receive())
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, frame := range frames {
			texts = append(texts, string(frame))
		}
		if messages = append(messages, strings.Join(texts, "|")); final {
			return messages
		}
	}
}

func requestIn(t *testing.T, dialect *mdp.Dialect, service string, body ...string) [][]byte {
	t.Helper()
	var frames [][]byte
	for _, frame := range body {
		frames = append(frames, []byte(frame))
	}
	request, err := dialect.AppendRequest(nil, []byte(service), frames)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func TestAModuleServesFunctionsInEveryDialect(t *testing.T) {
	for _, dialect := range []*mdp.Dialect{mdp.V01, mdp.V02, mdp.Loudify} {
		t.Run(strings.ReplaceAll(dialect.String(), "/", "-"), func(t *testing.T) {
			t.Parallel()
			endpoint := mdptest.Endpoint(quick(t))
			serve(t, endpoint, dialect, "python")
			for _, service := range []string{"lora", "count", "none", "wrong"} {
				mdptest.WaitForService(t, endpoint, service)
			}
			parts := []string{"0|part", "1|part", "2"}
			if dialect != mdp.V02 {
				parts = parts[2:]
			}
			for _, c := range []struct {
				service    string
				body, want []string
			}{
				{"lora", []string{"I\x00Q\xff", `{'sf': 7, 'on': False, 'words': [8, 16], 'name': '\xe9'}`}, []string{`I` + "\x00Q\xff" + `|{'sf': 7, 'on': False, 'words': [8, 16], 'name': '\xe9'}`}},
				{"lora", []string{"no vars"}, []string{"no vars|{}"}},
				{"lora", []string{"x", `{"json": false}`}, []string{"\x06|the last of 2 frames holds no vars (python)"}},
				{"lora", []string{"x", "[7]"}, []string{"\x06|the last of 2 frames holds no vars (python)"}},
				{"lora", []string{"x", "__import__('os')._exit(1)"}, []string{"\x06|the last of 2 frames holds no vars (python)"}},
				{"lora", []string{"x", strings.Repeat("[", 100_000)}, []string{"\x06|the last of 2 frames holds no vars (python)"}},
				{"lora", []string{"x", "{'fail': True}"}, []string{"\x06|as asked"}},
				{"count", []string{"2"}, parts},
				{"count", []string{"0"}, []string{"0"}},
				{"count", []string{"many"}, []string{"\x06|ValueError"}},
				{"none", []string{"x"}, []string{""}},
				{"wrong", []string{"x"}, []string{"\x06|TypeError"}},
				{"lora", []string{"still there"}, []string{"still there|{}"}},
			} {
				if got := callIn(t, endpoint, dialect, c.service, c.body...); !reflect.DeepEqual(got, c.want) {
					t.Errorf("%s %.80q is answered %q, want %q", c.service, c.body, got, c.want)
				}
			}
		})
	}
}

func TestAModuleReadsVarsAsJSONOrNotAtAll(t *testing.T) {
	for vars, want := range map[string]string{"json": "x|{'on': True}", "none": "x|{}"} {
		endpoint := mdptest.Endpoint(quick(t))
		serve(t, endpoint, mdp.V01, vars)
		mdptest.WaitForService(t, endpoint, "lora")
		if got := callIn(t, endpoint, mdp.V01, "lora", "x", `{"on": true}`); got[0] != want {
			t.Errorf("vars %s: got %q, want %q", vars, got, want)
		}
	}
}

// More parts than may wait at once, to a client that reads them all.
func TestAModulesPartsComeInOrder(t *testing.T) {
	endpoint := mdptest.Endpoint(quick(t))
	serve(t, endpoint, mdp.V02, "python")
	mdptest.WaitForService(t, endpoint, "count")
	const parts = 5000
	got := callIn(t, endpoint, mdp.V02, "count", fmt.Sprint(parts))
	if len(got) != parts+1 {
		t.Fatalf("got %d messages, want %d", len(got), parts+1)
	}
	for i := range parts {
		if got[i] != fmt.Sprintf("%d|part", i) {
			t.Fatalf("message %d is %q", i, got[i])
		}
	}
}

// The broker forgets a worker that is silent for 0.8 s; this one works for longer.
func TestAModuleHeartbeatsWhileItWorks(t *testing.T) {
	endpoint := mdptest.Endpoint(mdptest.BrokerWith(t, broker.Config{Heartbeat: 200 * time.Millisecond, BusySilence: 800 * time.Millisecond}))
	serve(t, endpoint, mdp.V02, "python")
	mdptest.WaitForService(t, endpoint, "lora")
	if got := callIn(t, endpoint, mdp.V02, "lora", "slow", "{'seconds': 2}"); got[0] != "slow|{'seconds': 2}" {
		t.Errorf("got %q", got)
	}
}

func TestAModuleRegistersAgainAtABrokerThatRestarted(t *testing.T) {
	b := quick(t)
	endpoint := mdptest.Endpoint(b)
	serve(t, endpoint, mdp.V01, "python")
	mdptest.WaitForService(t, endpoint, "lora")
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = mdptest.BrokerWith(t, broker.Config{Bind: []string{endpoint}, Heartbeat: 200 * time.Millisecond})
		mdptest.WaitForService(t, endpoint, "lora")
		if got := callIn(t, endpoint, mdp.V01, "lora", "again"); got[0] != "again|{}" {
			t.Errorf("got %q", got)
		}
	}
}

// Processes come and go by SIGTERM while requests wait: each has the next request on its way
// when it leaves. Each request is answered once.
func TestAModuleThatStopsUnderLoadLosesNoReply(t *testing.T) {
	const requests, perProcess = 150, 50
	endpoint := mdptest.Endpoint(quick(t))
	d := mdptest.NewDealer(t, endpoint)
	for i := range requests {
		d.Send(requestIn(t, mdp.V01, "lora", fmt.Sprint(i), "{'seconds': 0.002}"))
	}
	seen := map[string]bool{}
	for len(seen) < requests {
		p := serve(t, endpoint, mdp.V01, "python")
		for n := 0; n < perProcess && len(seen) < requests; n++ {
			receiveOnce(t, d, seen)
		}
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-p.exit:
			if err != nil {
				t.Errorf("served.py ended with %v", err)
			}
		case <-time.After(patience):
			t.Fatalf("served.py still runs %s after SIGTERM", patience)
		}
	}
}

func receiveOnce(t *testing.T, d *mdptest.Dealer, seen map[string]bool) {
	t.Helper()
	frames, _, err := mdp.V01.ParseReply("lora", d.Receive())
	if err != nil || seen[string(frames[0])] {
		t.Fatalf("got %q, %v, want each request answered once", frames, err)
	}
	seen[string(frames[0])] = true
}

func TestAModuleThatIsIdleStopsAtOnce(t *testing.T) {
	router, seen := watch(t)
	p := serve(t, router.Endpoint(), mdp.Loudify, "python")
	await(t, seen, mdp.Ready)
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	await(t, seen, mdp.Disconnect)
	select {
	case err := <-p.exit:
		if err != nil {
			t.Errorf("served.py ended with %v", err)
		}
	case <-time.After(patience):
		t.Errorf("served.py still runs")
	}
}
