package chaos

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

var hostileAll = flag.Bool("hostile", false, "the tests of hostile strangers use as many connections as a stranger would")

// peakLimit is what a pod of 1 GiB may hold at most.
const peakLimit = 900 << 20

// many returns how many connections an attack opens.
func many(all int) int {
	if *hostileAll {
		return all
	}
	return min(all, 1000)
}

// figure logs what docs/security.md quotes; make hostile repeats these lines at its end.
func figure(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf("figure: "+format, args...)
}

// bodies returns how many large bodies are sent at once: as many as --max-buffered lets in.
func bodies() int {
	if *hostileAll {
		return 4
	}
	return 2
}

// A threat is what strangers do to a pod. run returns when the pod has held the most.
type threat struct {
	name string
	more string // lines of the configuration
	run  func(t *testing.T, p *pod)
	long bool // takes half a minute: only with -hostile
}

func threats() []threat {
	var services strings.Builder
	services.WriteString("services:\n")
	for i := range 200 {
		fmt.Fprintf(&services, "  service%03d: {description: one of many, vars_schema: {type: object, properties: {sf: {type: integer}}}}\n", i)
	}
	names := names(62 << 20)
	return []threat{
		{"a form with a million parameters", "", func(t *testing.T, p *pod) {
			p.post(t, 1, "multipart/form-data; boundary=b", form(24<<20))
		}, false},
		{"names that are given twice", "", func(t *testing.T, p *pod) {
			p.post(t, bodies(), "application/json", `{"body":{`+names+`"n0":0}}`)
		}, false},
		{"vars whose names are given twice", "", func(t *testing.T, p *pod) {
			p.post(t, bodies(), "application/json", `{"vars":{`+names+`"n0":0}}`)
		}, false},
		{"a fault at the end", "", func(t *testing.T, p *pod) {
			p.post(t, bodies(), "application/json", `{"body":{`+names+`"n":0}`)
		}, false},
		{"headers without end", "header-timeout: 2s\n", func(t *testing.T, p *pod) {
			p.untilClosed(t, many(9500), endlessHeaders)
		}, false},
		{"windows of nothing", "", func(t *testing.T, p *pod) {
			p.each(t, 20, noWindow)
		}, false},
		{"connections without a key", "", func(t *testing.T, p *pod) {
			p.untilClosed(t, many(9500), unauthorized)
		}, false},
		{"slow bodies", "body-idle-timeout: 5s\n", func(t *testing.T, p *pod) {
			p.slowBodies(t, 8)
		}, false},
		{"forty readers of the contract", services.String(), func(t *testing.T, p *pod) {
			t.Logf("%v", atOnce(40, func() string { return p.get("/openapi.json") }))
		}, true},
	}
}

// Whatever strangers send, the process survives in its memory limit with a tenth to
// spare, and afterwards a caller is answered.
func TestStrangersEndNoGateway(t *testing.T) {
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	for _, o := range threats() {
		t.Run(o.name, func(t *testing.T) {
			if o.long && !*hostileAll {
				t.Skip("make hostile runs this threat")
			}
			p := startPod(t, b.endpoint, o.more)
			before := p.peak()
			start := time.Now()
			o.run(t, p)
			select {
			case <-p.done:
				t.Fatalf("the process ended: %v", p.cmd.ProcessState)
			default:
			}
			t.Logf("%v: at most %d MiB, %d before", time.Since(start).Round(time.Second), p.peak()>>20, before>>20)
			figure(t, "%s: at most %d MiB", o.name, p.peak()>>20)
			if p.peak() > peakLimit {
				t.Errorf("held %d MiB, want at most %d", p.peak()>>20, peakLimit>>20)
			}
			p.alive(t)
			eventually(t, "a caller is answered", func() bool { return p.call(p.caller, "application/json", `{"body":"hello"}`) == http.StatusOK })
		})
	}
}

// names returns that many bytes of members with different names.
func names(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `"n%d":0,`, i)
	}
	return b.String()
}

// form returns a form whose one part has that many bytes of parameters.
func form(size int) string {
	var b strings.Builder
	b.WriteString("--b\r\nContent-Disposition: form-data; name=frame")
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, ";a%d*=1", i)
	}
	b.WriteString("\r\n\r\nx\r\n--b--\r\n")
	return b.String()
}

// post sends the same body n times at once, with the attacker's key.
func (p *pod) post(t *testing.T, n int, contentType, body string) {
	statuses := atOnce(n, func() string { return fmt.Sprint(p.call(p.attacker, contentType, body)) })
	t.Logf("%d bodies of %d MiB: %v", n, len(body)>>20, statuses)
}

// get reads a page with the attacker's key.
func (p *pod) get(path string) string {
	r, err := http.NewRequest(http.MethodGet, p.url+path, nil)
	if err != nil {
		return err.Error()
	}
	r.Header.Set("Authorization", "Bearer "+p.attacker)
	response, err := p.client.Do(r)
	if err != nil {
		return "no answer"
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "no end"
	}
	return response.Status
}

// each opens n connections, does the same on each, and waits for it. The connections stay
// open. It returns those that the gateway took.
func (p *pod) each(t *testing.T, n int, do func(c net.Conn) error) (open []net.Conn) {
	t.Helper()
	for i := range n {
		if c, err := p.dial(i); err == nil {
			t.Cleanup(func() { _ = c.Close() })
			open = append(open, c)
		}
	}
	var running sync.WaitGroup
	for _, c := range open {
		running.Go(func() {
			if do(c) != nil {
				_ = c.Close()
			}
		})
	}
	running.Wait()
	t.Logf("%d of %d connections were opened", len(open), n)
	return open
}

// untilClosed does the same on n connections and waits until the gateway has closed all
// of them.
func (p *pod) untilClosed(t *testing.T, n int, do func(c net.Conn) error) {
	t.Helper()
	var closed atomic.Int64
	var reading sync.WaitGroup
	defer reading.Wait()
	open := p.each(t, n, do)
	for _, c := range open {
		reading.Go(func() {
			_, _ = io.Copy(io.Discard, c)
			closed.Add(1)
		})
	}
	defer func() { // also if the test fails
		for _, c := range open {
			_ = c.Close()
		}
	}()
	eventually(t, "the gateway closes the connections", func() bool {
		select {
		case <-p.done:
			t.Fatalf("the process ended: %v", p.cmd.ProcessState)
		default:
		}
		return closed.Load() == int64(len(open))
	})
}

// fields returns a header block of a request without a key that has n fields more.
func fields(path string, n int) []byte {
	var block bytes.Buffer
	encode := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "127.0.0.1"}, {Name: ":path", Value: path},
	} {
		_ = encode.WriteField(f) // a buffer takes all
	}
	for range n {
		block.Write([]byte{0, 1, 'x', 0}) // "x: ", which no table keeps
	}
	return block.Bytes()
}

// greet begins HTTP/2 with a window of that size for the server's answers.
func greet(c net.Conn, window uint32) (*http2.Framer, error) {
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return nil, err
	}
	framer := http2.NewFramer(c, c)
	return framer, framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
}

// endlessHeaders sends headers whose end never comes.
func endlessHeaders(c net.Conn) error {
	framer, err := greet(c, 65535)
	if err == nil {
		err = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields("/services", 3300), EndStream: true})
	}
	return err
}

// noWindow makes requests whose answers the gateway cannot send, and returns when it has
// read all of them, or has had enough.
func noWindow(c net.Conn) error {
	framer, err := greet(c, 0)
	if err != nil {
		return err
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			frame, err := framer.ReadFrame()
			if ping, ok := frame.(*http2.PingFrame); err != nil || ok && ping.IsAck() {
				return
			}
		}
	}()
	block := fields("/services", 3600)
	for i := 0; i < 250 && err == nil; i++ {
		err = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(1 + 2*i), BlockFragment: block, EndStream: true, EndHeaders: true})
	}
	if err == nil {
		err = framer.WritePing(false, [8]byte{})
	}
	<-read
	return err
}

// unauthorized makes a request without a key and keeps the connection.
func unauthorized(c net.Conn) error {
	_, err := io.WriteString(c, "GET /services HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	return err
}

// slowBodies sends bodies of 64 MiB, a byte a second, until the gateway ends them.
// Meanwhile other callers are answered.
func (p *pod) slowBodies(t *testing.T, n int) {
	t.Helper()
	var running sync.WaitGroup
	var going atomic.Int64
	for i := range n {
		c, err := p.dial(i)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		going.Add(1)
		running.Go(func() {
			defer going.Add(-1)
			_, err := fmt.Fprintf(c, "POST /services/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"+
				"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", p.attacker, 64<<20)
			for err == nil {
				if _, err = c.Write([]byte("x")); err == nil {
					_ = c.SetReadDeadline(time.Now().Add(time.Second))
					if _, err = c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
						err = nil // no answer yet
					} else if err == nil {
						err = io.EOF // an answer, which says that it was too slow
					}
				}
			}
		})
	}
	answered, refused := 0, 0
	eventually(t, "the gateway ends the slow bodies", func() bool {
		if p.call(p.caller, "application/json", `{"body":"hello"}`) == http.StatusOK {
			answered++
		} else {
			refused++
		}
		return going.Load() == 0
	})
	running.Wait()
	t.Logf("meanwhile %d calls were answered, %d were not", answered, refused)
	if refused > 0 {
		t.Errorf("%d calls were not answered, want all answered", refused)
	}
}
