package httpapi

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"mdpgateway/internal/edge"
	"mdpgateway/internal/gateway"
)

// starve opens connections of HTTP/2 whose windows are 0, so that no answer is taken, and sends requests with so many
// fields on each. It returns when the gateway has read them, or has ended the connection.
func starve(t *testing.T, address string, conns, requests int, field func(i int) (name, value string), fields int) (closeAll func()) {
	t.Helper()
	block := encode(field, fields)
	var opened []net.Conn
	for range conns {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, c)
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		read := awaitPong(c)
		framer := http2.NewFramer(c, nil)
		_, _ = io.WriteString(c, http2.ClientPreface)
		_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for i := range requests {
			writeBlock(framer, uint32(2*i+1), block)
		}
		_ = framer.WritePing(false, [8]byte{1})
		<-read
	}
	return func() {
		for _, c := range opened {
			c.Close()
		}
	}
}

// encode returns the headers of a GET with more fields. They are literal, so that each takes memory of its own.
func encode(field func(i int) (name, value string), fields int) string {
	var block strings.Builder
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSize(0)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/services"}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	for i := range fields {
		name, value := field(i)
		_ = e.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	return block.String()
}

// writeBlock sends a request's headers in as many frames as they need. The gateway may end the connection meanwhile.
func writeBlock(framer *http2.Framer, stream uint32, block string) {
	n := min(len(block), 16<<10)
	err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(block[:n]), EndStream: true, EndHeaders: n == len(block)})
	for block = block[n:]; block != "" && err == nil; block = block[n:] {
		n = min(len(block), 16<<10)
		err = framer.WriteContinuation(stream, n == len(block), []byte(block[:n]))
	}
}

// awaitPong takes all that is sent on a connection, and tells when that was the answer to a PING, or the end.
func awaitPong(c net.Conn) <-chan struct{} {
	pong := make(chan struct{})
	go func() {
		framer, once := http2.NewFramer(io.Discard, c), sync.OnceFunc(func() { close(pong) })
		defer once()
		for {
			f, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if ping, ok := f.(*http2.PingFrame); ok && ping.IsAck() {
				once()
			}
		}
	}()
	return pong
}

// heap is how many bytes the process holds.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestStreamsWhoseAnswersAreNotTakenHoldLittle holds what a request takes while its refusal waits for a window that never
// opens, and that it waits for seconds: both the gateway's own refusals and those of net/http.
func TestStreamsWhoseAnswersAreNotTakenHoldLittle(t *testing.T) {
	const conns, streams = 2, 100
	distinct := func(i int) (string, string) { return fmt.Sprintf("a%05d", i), "" }
	for name, c := range map[string]struct {
		field  func(i int) (string, string)
		fields int
		most   int64 // KiB a stream: twice what was measured, or a quarter of what it is without the limit
	}{
		"as many fields as fit":     {distinct, 1650, 512},
		"more fields than fit":      {distinct, 1880, 512},
		"far more fields":           {distinct, 12_000, 64},
		"one name, again and again": {func(int) (string, string) { return "a", "" }, 2000, 512},
		"long values":               {func(i int) (string, string) { return fmt.Sprintf("a%04d", i), strings.Repeat("x", 600) }, 100, 512},
	} {
		address, stop := silent(t)
		before := heap()
		closeAll := starve(t, address, conns, streams, c.field, c.fields)
		peak := (heap() - before) / conns / streams
		t.Logf("%s: %d KiB a stream", name, peak>>10)
		if peak > c.most<<10 {
			t.Errorf("%s: each stream holds %d KiB, want at most %d", name, peak>>10, c.most)
		}
		deadline := time.Now().Add(30 * time.Second)
		for heap()-before > conns*streams*(8<<10) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: each stream still holds %d KiB", name, (heap()-before)/conns/streams>>10)
			}
			<-time.After(100 * time.Millisecond)
		}
		closeAll()
		stop()
	}
}

// silent serves an API with keys whose log keeps nothing, as that of a testServer does.
func silent(t *testing.T) (address string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	api, err := New(Config{Caller: caller(echo), Health: health{}, Access: keys(t)})
	if err != nil {
		t.Fatal(err)
	}
	l, server := edge.Listen(ln, edge.Config{Max: 1000}), api.Server()
	l.Guard(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return ln.Addr().String(), func() {
		_ = server.Close()
		<-served
	}
}

func TestARequestHasAtMost200HeaderFields(t *testing.T) {
	g := serve(t, Config{})
	for _, client := range []*http.Client{g.http, g.h2c} {
		for n, want := range map[int]int{190: 200, 201: 431, 1000: 431} {
			var headers []string
			for i := range n {
				headers = append(headers, fmt.Sprintf("A%d: b", i))
			}
			a := g.do(client, "GET", "/services", nil, headers...)
			if a.StatusCode != want {
				t.Errorf("%d fields: got %d %s, want %d", n, a.StatusCode, a.body, want)
			}
			if want == 431 {
				a.wantProblem(t, gateway.HeadersTooLarge)
			}
		}
	}
}

// What the server lets in at most is told to callers of HTTP/2 in its SETTINGS.
func TestHTTP2IsBounded(t *testing.T) {
	g := serve(t, Config{})
	c, err := net.Dial("tcp", g.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	frame, err := http2.NewFramer(c, c).ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	settings := frame.(*http2.SettingsFrame)
	for id, most := range map[http2.SettingID]uint32{
		http2.SettingMaxConcurrentStreams: 100, http2.SettingMaxHeaderListSize: 72 << 10, http2.SettingMaxFrameSize: 16 << 10,
	} {
		if value, ok := settings.Value(id); !ok || value > most {
			t.Errorf("%v is %d, want at most %d", id, value, most)
		}
	}
}
