package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

// A witness is a broker that knows the service echo, which answers all it is
// sent, and denies all other names. It counts what reaches it.
type witness struct {
	*mdptest.Router
	mute      bool                     // set once: no look-up is answered
	questions map[string]*atomic.Int64 // set once: look-ups by name, "" for all but those here
	requests  atomic.Int64
}

func newWitness(t *testing.T, mute bool) *witness {
	w := &witness{mute: mute, questions: map[string]*atomic.Int64{"echo": new(atomic.Int64), "": new(atomic.Int64)}}
	w.Router = mdptest.NewRouter(t, w.answer)
	return w
}

func (w *witness) answer(_ []byte, m [][]byte) [][][]byte {
	service, body, err := mdp.V01.ParseRequest(m)
	if err != nil {
		return nil
	}
	if string(service) != mdp.MMIService {
		w.requests.Add(1)
		return [][][]byte{mdp.V01.AppendReply(nil, service, body, true)}
	}
	status, name := mdp.StatusNotFound, string(body[0])
	if name == "echo" {
		status = mdp.StatusFound
	}
	count := w.questions[name]
	if count == nil {
		count = w.questions[""]
	}
	count.Add(1)
	if w.mute {
		return nil
	}
	return [][][]byte{mdp.V01.AppendReply(nil, service, [][]byte{[]byte(status)}, true)}
}

func TestAScannerOfManyNamesReachesTheBrokerTwentyTimesASecondAndHarmsNobody(t *testing.T) {
	// As many names as there is time for, on whatever machine this is.
	const names, scanners, enough = 100_000, 16, 6 * time.Second
	w := newWitness(t, false)
	// A process of its own, so that nothing keeps its log.
	url := "http://" + spawn(t, "serve", "--listen", "127.0.0.1:0", "--broker", w.Endpoint()).logged(t, "listening", "address")

	var scanned, denied, refused, known atomic.Int64
	client := newClient(t)
	post := func(service string) answered {
		r, _ := http.NewRequest(http.MethodPost, url+"/services/"+service, strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		a, err := do(client, r)
		if err != nil {
			t.Errorf("%s: %v", service, err)
		}
		return a
	}
	eventually(t, "echo answers", func() bool { return post("echo").status == http.StatusOK })
	begin := time.Now()
	over := func() bool { return time.Since(begin) > enough || t.Failed() }
	var scanning, calling sync.WaitGroup
	for range scanners {
		scanning.Go(func() {
			for n := scanned.Add(1); n <= names && !over(); n = scanned.Add(1) {
				switch a := post(fmt.Sprint("scan-", n)); {
				case a.status == 404 && a.json("code") == "service_not_found":
					denied.Add(1)
				case a.status == 503 && a.json("reason") == "lookup":
					refused.Add(1)
				default:
					t.Errorf("got %d %s, want service_not_found or busy", a.status, a.body)
				}
			}
		})
	}
	done := make(chan struct{})
	calling.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if a := post("echo"); a.status != 200 {
				t.Errorf("a known service, amid the scan: got %d %s", a.status, a.body)
				return
			}
			known.Add(1)
		}
	})
	scanning.Wait()
	took := time.Since(begin)
	close(done)
	calling.Wait()

	asked := w.questions[""].Load()
	t.Logf("%v: %d names denied, %d refused, %d look-ups; %d calls of a known service", took, denied.Load(), refused.Load(), asked, known.Load())
	if most := 20 + int64(20*took.Seconds()) + 1; asked > most {
		t.Errorf("%d look-ups in %v, want at most 20 and 20 a second: %d", asked, took, most)
	}
	if asked < 20 || denied.Load() == 0 || refused.Load() < asked {
		t.Errorf("%d look-ups, %d names denied, %d refused: that was no scan", asked, denied.Load(), refused.Load())
	}
	// The known service is asked for only when it was not called for 5 s.
	if n := w.questions["echo"].Load(); n > 2+int64(took/(5*time.Second)) || known.Load() == 0 || w.requests.Load() < known.Load() {
		t.Errorf("the known service: %d look-ups, %d calls, %d requests at the broker", n, known.Load(), w.requests.Load())
	}
}

func TestTheModesOfDiscoveryHoldForTheWholeProgram(t *testing.T) {
	const any, svc = "any", "svc" // svc is in the catalogue, the broker denies both
	for _, c := range []struct {
		flags     string
		mute      bool
		service   string
		status    int
		code      string // of a problem
		questions string // how many: 0, 1, or + for more
	}{
		{"", false, any, 404, "service_not_found", "1"},
		{"", false, svc, 503, "no_workers", "+"},
		{"--no-workers-wait 0s", false, svc, 503, "no_workers", "1"},
		{"--mmi hint", false, any, 404, "service_not_found", "1"},
		{"--mmi hint", false, svc, 200, "", "0"},
		{"--mmi off", false, any, 404, "service_not_found", "0"},
		{"--mmi off", false, svc, 200, "", "0"},
		{"--mmi off --catalogue open", false, any, 200, "", "0"},
		{"--catalogue open", false, any, 404, "service_not_found", "1"},
		{"--catalogue only", false, any, 404, "service_not_found", "0"},
		{"", true, any, 404, "service_not_found", "1"},
		{"", true, svc, 200, "", "1"},
		{"--catalogue open", true, any, 200, "", "1"},
		{"--catalogue only", true, svc, 200, "", "1"},
	} {
		t.Run(fmt.Sprintf("%s mute=%v %s", c.flags, c.mute, c.service), func(t *testing.T) {
			t.Parallel()
			w := newWitness(t, c.mute)
			config := write(t, t.TempDir(), "gateway.yaml", "services: {svc: {}}\n")
			args := append([]string{"--broker", w.Endpoint(), "--config", config, "--no-workers-wait", "500ms"}, strings.Fields(c.flags)...)
			g := start(t, args...)
			a := g.post(c.service, `{"body":"hi"}`)
			requests := int64(0)
			if c.code == "" {
				requests = 1
				if a.status != c.status || a.data()[0] != "hi" {
					t.Errorf("got %d %s, want the reply", a.status, a.body)
				}
			} else {
				problem(t, a, c.status, c.code, "no")
			}
			asked := w.questions[""].Load()
			if c.questions == "+" && asked < 2 || c.questions != "+" && fmt.Sprint(asked) != c.questions || w.requests.Load() != requests {
				t.Errorf("the broker got %d look-ups and %d requests, want %s and %d", asked, w.requests.Load(), c.questions, requests)
			}
		})
	}
}
