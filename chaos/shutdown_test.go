package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// ready is the status of /readyz, 0 if there is no answer.
func (g *gateway) ready() int {
	response, err := g.client.Get(g.url + "/readyz")
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// The order of a shutdown: /readyz fails, new calls are still taken, then open calls end,
// also those that wait for a connection of the pool.
func TestAShutdownIsToldFirstThenTakesCallsThenFinishesThem(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--drain-delay", "6s", "--drain", "60s", "--pool-max", "3", "--pool-reserve", "0", "--queue-timeout", "60s")
	g.works("echo")
	if g.ready() != http.StatusOK {
		t.Fatal("not ready")
	}
	call := func(nap string) <-chan answer {
		answers := make(chan answer, 1)
		go func() { answers <- g.must("sleep", nap) }()
		return answers
	}
	open := []<-chan answer{call("4s"), call("4s"), call("4s"), call("4s")}
	eventually(t, "calls are in flight, and one waits", func() bool {
		return g.metric(`mdp_gateway_pool_connections{state="busy"}`) == 3 && g.metric("mdp_gateway_queue_depth") == 1
	})
	g.signal(syscall.SIGTERM)
	eventually(t, "not ready", func() bool { return g.ready() == http.StatusServiceUnavailable })
	if a := g.must("echo", "still taken"); a.status != http.StatusOK {
		t.Errorf("a call during --drain-delay: got %v, want it answered", a)
	}
	late := call("9s") // longer than the delay
	for _, answers := range append(open, late) {
		if a := <-answers; a.status != http.StatusOK {
			t.Errorf("an open call: got %v, want its reply", a)
		}
	}
	if code := g.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// In a drain, a connection of HTTP/1.1 is closed after the answer, and one of HTTP/2
// gets a GOAWAY before it.
func TestADrainEndsTheConnectionsThatItAnswersOn(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	for name, talk := range map[string]func(t *testing.T, c net.Conn, signal func()){"HTTP/1.1": overHTTP1, "HTTP/2": overHTTP2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--drain", "60s")
			g.works("echo")
			c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			talk(t, c, func() {
				eventually(t, "the call is in flight", func() bool { return g.metric(`mdp_gateway_pool_connections{state="busy"}`) == 1 })
				g.signal(syscall.SIGTERM)
			})
			if code := g.exit(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

const napping = `{"body":"3s"}`

func overHTTP1(t *testing.T, c net.Conn, signal func()) {
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/services/sleep", strings.NewReader(napping))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if err := r.Write(c); err != nil {
		t.Fatal(err)
	}
	signal()
	in := bufio.NewReader(c)
	response, err := http.ReadResponse(in, r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("got %d, %v, close %v, want an answer with Connection: close", response.StatusCode, err, response.Close)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("after the answer: %v, want the end of the connection", err)
	}
}

func overHTTP2(t *testing.T, c net.Conn, signal func()) {
	var block bytes.Buffer
	encode := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "127.0.0.1"},
		{Name: ":path", Value: "/services/sleep"}, {Name: "content-type", Value: "application/json"},
	} {
		if err := encode.WriteField(f); err != nil {
			t.Fatal(err)
		}
	}
	framer := http2.NewFramer(c, c)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for _, write := range []func() error{
		func() error { _, err := io.WriteString(c, http2.ClientPreface); return err },
		func() error { return framer.WriteSettings() },
		func() error {
			return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
		},
		func() error { return framer.WriteData(1, true, []byte(napping)) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	signal()
	var status string
	var goneAway, ended bool
	for !ended {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("%v, before the answer's end", err)
		}
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			goneAway = true
			if f.ErrCode != http2.ErrCodeNo || f.LastStreamID < 1 {
				t.Errorf("got %v, want no error, and that stream 1 is answered", f)
			}
		case *http2.MetaHeadersFrame:
			status, ended = f.PseudoValue("status"), f.StreamEnded()
		case *http2.DataFrame:
			ended = f.StreamEnded()
		}
	}
	if status != "200" || !goneAway {
		t.Errorf("got status %s, GOAWAY %v, want both before the answer's end", status, goneAway)
	}
	for {
		if _, err := framer.ReadFrame(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("after the answer: %v, want the end of the connection", err)
		}
	}
}

// A stream that is open when the drain ends gets a problem as its last event.
func TestAStreamThatIsOpenAtTheDrainsEndGetsItsProblem(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	mdptest.WorkerWith(t, worker.Config{Endpoint: b.endpoint, Dialect: mdp.V02, Concurrency: 2, Services: map[string]worker.Handler{
		"endless": func(ctx context.Context, _ [][]byte, partial func([][]byte) error) ([][]byte, error) {
			if err := partial([][]byte{[]byte("one")}); err != nil {
				return nil, err
			}
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}})
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--drain", "1s")
	eventually(t, "the broker is up", func() bool { return g.ready() == http.StatusOK })
	ends := map[string]chan string{}
	for _, accept := range []string{"text/event-stream", "application/x-ndjson"} {
		r, err := http.NewRequest(http.MethodPost, g.url+"/services/endless", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		response, err := g.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: got %d", accept, response.StatusCode)
		}
		end := make(chan string, 1)
		ends[accept] = end
		go func() {
			page, err := io.ReadAll(response.Body)
			if err != nil {
				t.Errorf("%s: %v, want the stream to end in order", accept, err)
			}
			end <- string(page)
		}()
	}
	g.signal(syscall.SIGTERM)
	for accept, end := range ends {
		page := <-end
		lines := strings.Split(strings.TrimSpace(page), "\n")
		last := lines[len(lines)-1]
		if accept == "text/event-stream" {
			if len(lines) < 2 || lines[len(lines)-2] != "event: problem" {
				t.Errorf("%s: got %q, want a problem as its last event", accept, page)
			}
			last = strings.TrimPrefix(last, "data: ")
		}
		var event struct {
			Event   string
			Problem struct{ Code, Executed string }
		}
		if err := json.Unmarshal([]byte(last), &event); err != nil || event.Event != "problem" || event.Problem.Code != "interrupted" || event.Problem.Executed != "maybe" {
			t.Errorf("%s: got %q, %v, want the problem interrupted as its last event", accept, page, err)
		}
	}
	if code := g.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
