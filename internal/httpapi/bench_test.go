package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"mdpgateway/internal/gateway"
)

// A blackHole is a ResponseWriter that keeps nothing.
type blackHole struct{ header http.Header }

func (w blackHole) Header() http.Header            { return w.header }
func (blackHole) Write(p []byte) (int, error)      { return len(p), nil }
func (blackHole) WriteHeader(int)                  {}
func (blackHole) SetReadDeadline(time.Time) error  { return nil }
func (blackHole) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkCall measures the whole way of a call but the server and the pool: what
// the gateway adds to net/http.
func BenchmarkCall(b *testing.B) {
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zapcore.InfoLevel))
	var reply gateway.Reply // made before, as the allocation of a reply is the pool's
	instant := caller(func(context.Context, gateway.Call) (gateway.Reply, error) { return reply, nil })
	a, err := New(Config{Caller: instant, Health: health{reached: true, connected: true}, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	for name, contentType := range map[string]string{"json": "application/json", "raw": "application/octet-stream"} {
		for _, size := range []int{64, 64 << 10} {
			b.Run(fmt.Sprintf("body=%s/size=%d", name, size), func(b *testing.B) {
				body := bytes.Repeat([]byte("x"), size)
				reply.Frames = [][]byte{body}
				if name == "json" {
					body = fmt.Appendf(nil, `{"body":%q}`, body)
				}
				from := bytes.NewReader(body)
				r := httptest.NewRequest("POST", "/services/echo", from)
				r.Header.Set("Content-Type", contentType)
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					from.Reset(body)
					a.ServeHTTP(blackHole{make(http.Header, 16)}, r)
				}
			})
		}
	}
}

func BenchmarkProblem(b *testing.B) {
	e := &gateway.Error{Kind: gateway.Busy, Reason: gateway.ReasonQueue}
	b.ReportAllocs()
	for b.Loop() {
		newProblem(e, "0123456789abcdef", "echo").encode()
	}
}
