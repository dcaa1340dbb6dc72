package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"mdpgateway/internal/mdp/mdptest"
)

func TestTheConsoleHasColumnsForPeople(t *testing.T) {
	var w writes
	l, err := newLogs(&w, "info", "console")
	if err != nil {
		t.Fatal(err)
	}
	l.main.Info("listening", zap.String("address", "127.0.0.1:8080"))
	l.main.Named("pool").Warn("broker unavailable")
	request := func(service string, status int64, in int64, principal, problem string) {
		fields := []zap.Field{
			zap.String("request_id", "0123456789abcdef"), zap.String("route", "/services/{name}"), zap.String("method", "POST"),
			zap.Int64("status", status), zap.Duration("took", 75_463_805), zap.Int64("in", in), zap.Int64("out", 3<<20),
		}
		if service != "" {
			fields = append(fields, zap.String("service", service))
		}
		if principal != "" {
			fields = append(fields, zap.String("principal", principal))
		}
		if problem != "" {
			fields = append(fields, zap.String("code", "timeout"), zap.String("error", problem))
		}
		l.requests.Named("http").Info("request", fields...)
	}
	request("echo", 200, 3<<20, "web-2026-11", "")
	request("", 504, 7, "", "timeout: no reply")
	request("a.service.with.quite.a.long.name", 200, 1023<<10, "a.long.principal", "")
	l.main.Info(readyMessage, zap.String("url", "http://[::1]:8080"), zap.String("try", `curl -H "A: b" http://[::1]:8080/services`))
	l.close()
	got := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d `).ReplaceAllString(strings.Join(w.all, ""), "")
	want := `INFO    listening {"address": "127.0.0.1:8080"}
WARN    pool: broker unavailable
POST    echo                     200    75ms  3.0M→3.0M  web-2026-11  01234567…
POST    /services/{name}         504    75ms     7→3.0M  -            01234567… timeout: no reply
POST    a.service.with.quite.a.… 200    75ms  1.0M→3.0M  a.long.prin… 01234567…
INFO    ready for calls at http://[::1]:8080, try: curl -H "A: b" http://[::1]:8080/services
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// The log says that calls can be made only when they can.
func TestReadyIsSaidWhenABrokerIsReached(t *testing.T) {
	gone := mdptest.NewRouter(t, nil)
	gone.Close()
	g := start(t, "--broker", gone.Endpoint())
	said := func() (url any) {
		for _, line := range g.lines() {
			if line["msg"] == "ready for calls" {
				url = line["url"]
			}
		}
		return url
	}
	if a := g.get("/readyz"); a.status != http.StatusServiceUnavailable || said() != nil {
		t.Errorf("without a broker: /readyz is %d, and the log says %v", a.status, said())
	}
	mdptest.NewRouterAt(t, gone.Endpoint(), nil)
	eventually(t, "the log says that it is ready", func() bool { return said() == g.url })
}

func TestColoursAreForTerminalsAlone(t *testing.T) {
	request := zapcore.Entry{Message: requestMessage}
	warning := zapcore.Entry{Level: zapcore.WarnLevel, Message: "m"}
	for _, c := range []struct {
		entry  zapcore.Entry
		status int64
		want   string
	}{{request, 200, "\x1b[32m200\x1b[0m"}, {request, 404, "\x1b[33m404\x1b[0m"}, {request, 504, "\x1b[31m504\x1b[0m"}, {warning, 0, "\x1b[33mWARN   \x1b[0m m"}} {
		for _, colour := range []bool{true, false} {
			line, err := newEncoder("console", colour).EncodeEntry(c.entry, []zapcore.Field{zap.Int64("status", c.status)})
			if err != nil {
				t.Fatal(err)
			}
			if got := line.String(); strings.Contains(got, c.want) != colour || strings.Contains(got, "\x1b") != colour {
				t.Errorf("colours %v: got %q, want %q in it if there are any", colour, got, c.want)
			}
		}
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isColourful(file) || isColourful(new(bytes.Buffer)) {
		t.Error("a file or a buffer gets colours")
	}
}
