package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"

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
	request := func(service string, status int64, in int64, problem string) {
		fields := []zap.Field{
			zap.String("request_id", "0123456789abcdef"), zap.String("route", "/services/{name}"), zap.String("method", "POST"),
			zap.Int64("status", status), zap.Duration("took", 75_463_805), zap.Int64("in", in), zap.Int64("out", 3<<20),
		}
		if service != "" {
			fields = append(fields, zap.String("service", service))
		}
		if problem != "" {
			fields = append(fields, zap.String("code", "timeout"), zap.String("error", problem))
		}
		l.requests.Named("http").Info("request", fields...)
	}
	request("echo", 200, 3<<20, "")
	request("", 504, 7, "timeout: no reply")
	l.close()
	got := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d\d\d `).ReplaceAllString(strings.Join(w.all, ""), "")
	want := `INFO  listening {"address": "127.0.0.1:8080"}
WARN  pool: broker unavailable
INFO  POST    echo                     200   75.5ms    3.0M→3.0M    01234567
INFO  POST    /services/{name}         504   75.5ms       7→3.0M    01234567 timeout: no reply
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
