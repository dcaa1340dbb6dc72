package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/mdp/mdptest"
)

// A stranger writes what it likes to a connection until it is answered.
type stranger struct {
	head string // up to the empty line
	body string // then once
	more string // then again and again
}

const post = "POST /services/echo HTTP/1.1\r\nHost: localhost\r\n"

// chunked makes one chunk of a text.
func chunked(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

// badInput is what no worker must ever see, with the code that it is answered with; what is
// not HTTP has none, since net/http answers it in plain text.
var badInput = map[string]struct {
	stranger
	code string
}{
	"a GiB that is declared and never sent":      {stranger{head: post + "Content-Length: 1073741824\r\n", body: "a"}, "body_too_large"},
	"a GiB that is declared and sent":            {stranger{head: post + "Content-Length: 1073741824\r\n", more: strings.Repeat("a", 1<<16)}, "body_too_large"},
	"a body without end":                         {stranger{head: post + "Transfer-Encoding: chunked\r\n", more: chunked(strings.Repeat("a", 1<<16))}, "body_too_large"},
	"a string without end":                       {stranger{head: post + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", body: chunked(`{"body":"`), more: chunked(strings.Repeat("a", 1<<16))}, "body_too_large"},
	"parts without end":                          {stranger{head: post + "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n", more: chunked("--b\r\nContent-Disposition: form-data; name=\"frame\"\r\n\r\nx\r\n")}, "body_too_large"},
	"headers of a part without end":              {stranger{head: post + "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n", body: chunked("--b\r\n"), more: chunked(strings.Repeat("A: b\r\n", 1000))}, "body_too_large"},
	"chunks of one byte without end, and slowly": {stranger{head: post + "Transfer-Encoding: chunked\r\n", body: "1\r\na\r\n"}, "body_timeout"},
	"a body that stops":                          {stranger{head: post + "Content-Length: 10\r\n", body: "abc"}, "body_timeout"},
	"a chunk that is none":                       {stranger{head: post + "Transfer-Encoding: chunked\r\n", body: "xyz\r\n"}, "bad_request"},
	"a length that is none":                      {stranger{head: post + "Content-Length: -1\r\n"}, ""},
	"two lengths":                                {stranger{head: post + "Content-Length: 1\r\nContent-Length: 2\r\n", body: "ab"}, ""},
	"levels":                                     whole("application/json", `{"body":`+strings.Repeat("[", 500_000), "bad_request"),
	"levels that close":                          whole("application/json", `{"body":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`, "bad_request"),
	"levels of vars":                             whole("application/json", `{"vars":{"a":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}}`, "bad_request"),
	"a name twice":                               whole("application/json", `{"vars":{"a":1,"\u0061":2}}`, "bad_request"),
	"a name twice, far apart":                    whole("application/json", `{"vars":{"a":1,`+strings.Repeat(`"b":[1,2,3],`, 1)+numbered(20_000)+`"a":2}}`, "bad_request"),
	"a lone surrogate":                           whole("application/json", `{"body":"\udc00"}`, "bad_request"),
	"a lone surrogate in vars":                   whole("application/json", `{"vars":{"a":"\ud800x"}}`, "bad_request"),
	"no UTF-8":                                   whole("application/json", "{\"body\":\"\xff\"}", "bad_request"),
	"a number out of a float's range":            whole("application/json", `{"vars":{"a":1e999999999}}`, "invalid_vars"),
	"a number of too many digits":                whole("application/json", `{"vars":{"a":`+strings.Repeat("9", 4301)+`}}`, "invalid_vars"),
	"too many frames":                            whole("application/json", `{"frames":[`+strings.Repeat(`"",`, 100)+`""]}`, "invalid_vars"),
	"far too many frames":                        whole("application/json", `{"frames":[`+strings.Repeat(`"",`, 100_000)+`""]}`, "invalid_vars"),
	"far too many parts":                         whole("multipart/form-data; boundary=b", strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"frame\"\r\n\r\n\r\n", 15_000)+"--b--", "invalid_vars"),
	"a form without its end":                     whole("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"frame\"\r\n\r\nx", "bad_request"),
}

// whole is a request with a body of known length.
func whole(contentType, body, code string) struct {
	stranger
	code string
} {
	head := post + "Content-Type: " + contentType + fmt.Sprintf("\r\nContent-Length: %d\r\n", len(body))
	return struct {
		stranger
		code string
	}{stranger{head: head, body: body}, code}
}

// numbered is members of n different names.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"n%d":%d,`, i, i)
	}
	return b.String()
}

// says writes to a connection of its own and returns the answer.
func (s stranger) says(t *testing.T, g *running) exchange {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	var writing sync.WaitGroup
	defer writing.Wait()
	defer c.Close()
	writing.Go(func() {
		_, err := io.WriteString(c, s.head+"\r\n"+s.body)
		for err == nil && s.more != "" {
			_, err = io.WriteString(c, s.more)
		}
	})
	r := g.request(t, http.MethodPost, "/services/echo", nil, nil)
	response, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil {
		t.Errorf("the answer to %.200q: %v", s.head, err)
		return exchange{request: r}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("the answer to %.200q: %v", s.head, err)
	}
	return exchange{r, answered{response.StatusCode, response.Header, body}}
}

// Bad input is a problem of the contract's in time, holds no memory, and never
// reaches the broker.
func TestBadInputIsAProblemAndReachesNoBroker(t *testing.T) {
	j := newJudge(t)
	g, asked := counted(t, "--max-body", "1MiB", "--body-idle-timeout", "300ms")
	for name, in := range badInput {
		t.Run(name, func(t *testing.T) {
			x := in.says(t, g)
			if in.code == "" {
				if x.answer.status != http.StatusBadRequest {
					t.Errorf("got %d %s, want net/http's 400", x.answer.status, x.answer.body)
				}
				return
			}
			if x.answer.json("code") != in.code || x.answer.json("executed") != "no" {
				t.Errorf("got %d %s, want %s", x.answer.status, x.answer.body, in.code)
			}
			if err := j.answer(x); err != nil {
				t.Error(err)
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests reached the broker, want none", n)
	}
	eventually(t, "nothing is held", func() bool {
		return strings.Contains(string(g.get("/metrics").body), "mdp_gateway_buffered_bytes 0\n")
	})
}

// However many send without end, what is held is bounded by --max-buffered: those
// beyond it are busy, or too large.
func TestManyBodiesWithoutEndHoldBoundedMemory(t *testing.T) {
	g, asked := counted(t, "--max-body", "8MiB", "--max-reply", "8MiB", "--max-buffered", "16MiB")
	runtime.GC()
	before := inUse()
	var senders sync.WaitGroup
	for range 48 {
		senders.Go(func() {
			x := badInput["a body without end"].says(t, g)
			if code := x.answer.json("code"); code != "body_too_large" && code != "busy" {
				t.Errorf("got %d %s, want body_too_large or busy", x.answer.status, x.answer.body)
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); senders.Wait() }()
	most := before
	for open := true; open; {
		select {
		case <-done:
			open = false
		case <-time.After(5 * time.Millisecond):
			most = max(most, inUse())
		}
	}
	// What is held, a copy while a buffer grows, and what is not collected yet.
	grown := most - before
	t.Logf("the heap grew by %d MiB", grown>>20)
	if grown > 256<<20 {
		t.Errorf("the heap grew by %d MiB, want it bounded by a few times 16 MiB", grown>>20)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests reached the broker, want none", n)
	}
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// counted starts a gateway whose broker counts what is not MMI.
func counted(t *testing.T, args ...string) (*running, *atomic.Int64) {
	t.Helper()
	asked := new(atomic.Int64)
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		if string(m[2]) == "mmi.service" {
			return [][][]byte{{nil, []byte("MDPC01"), []byte("mmi.service"), []byte("200")}}
		}
		asked.Add(1)
		return [][][]byte{append([][]byte{nil}, m[1:]...)}
	})
	g := start(t, append([]string{"--broker", broker.Endpoint()}, args...)...)
	g.connected()
	return g, asked
}
