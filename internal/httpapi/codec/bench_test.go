package codec

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

// discard is a ResponseWriter that keeps nothing but the headers.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func newDiscard() discard                     { return discard{make(http.Header)} }

// post is a request with a body, and what a worker that echoes replies to it.
type post struct {
	request *http.Request
	body    []byte
	reply   gateway.Reply
}

func newPost(kind string, size int) post {
	data := bytes.Repeat([]byte("\x00\xff\x80A"), size/4)
	r := httptest.NewRequest(http.MethodPost, "/services/echo", nil)
	p := post{request: r, reply: gateway.Reply{Frames: [][]byte{data}}}
	switch kind {
	case "json":
		line := strings.Repeat("a text of 16 b\\n", size/16)
		p.body = []byte(`{"body":"` + line + `","vars":{"sf":7,"has_crc":false}}`)
		p.reply.Frames[0] = []byte(strings.Repeat("a text of 16 bt\n", size/16))
		r.Header.Set("Content-Type", typeJSON)
	case "base64":
		p.body = []byte(`{"body":"` + base64.StdEncoding.EncodeToString(data) + `","encoding":"base64"}`)
		r.Header.Set("Content-Type", typeJSON)
	case "raw":
		p.body = data
	case "form":
		p.body = []byte("--xyzzy\r\nContent-Disposition: form-data; name=\"frame\"; filename=\"a\"\r\n\r\n" + string(data) + "\r\n--xyzzy--\r\n")
		r.Header.Set("Content-Type", typeForm+"; boundary=xyzzy")
	}
	return p
}

// turn goes the whole way of a request and its reply.
func (p post) turn(w http.ResponseWriter) error {
	x, err := Parse(p.request, Options{})
	if err != nil {
		return err
	}
	var call gateway.Call
	if err := x.Decode(p.body, &call); err != nil {
		return err
	}
	return x.WriteReply(w, "echo", "0123456789abcdef", p.reply)
}

func BenchmarkTurn(b *testing.B) {
	for _, kind := range []string{"json", "base64", "raw", "form"} {
		for _, size := range []struct {
			name  string
			bytes int
		}{{"64B", 64}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}} {
			b.Run(fmt.Sprintf("kind=%s/size=%s", kind, size.name), func(b *testing.B) {
				p, w := newPost(kind, size.bytes), newDiscard()
				b.SetBytes(int64(size.bytes))
				b.ReportAllocs()
				for b.Loop() {
					if err := p.turn(w); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
