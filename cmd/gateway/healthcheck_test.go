package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheckAsksTheGatewayThatTheSettingsDescribe(t *testing.T) {
	ready := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host == "blocked.example":
			http.Error(w, r.Host, http.StatusForbidden)
		case r.URL.Path == "/livez" || r.URL.Path == "/readyz" && ready:
		case r.URL.Path == "/readyz":
			http.Error(w, `{"code":"broker_unavailable"}`, http.StatusServiceUnavailable)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	address := server.Listener.Addr().String()
	_, port, _ := strings.Cut(address, ":")
	for _, c := range []struct {
		args, env string
		ready     bool
		code      int
		stderr    string // its beginning
	}{
		{"--listen " + address, "", false, exitOK, ""},
		{"--listen :" + port, "", false, exitOK, ""},
		{"--listen 0.0.0.0:" + port + " --broker tcp://a:1", "", false, exitOK, ""},
		{"", "GATEWAY_LISTEN=" + address, false, exitOK, ""},
		{"--ready --listen " + address, "", true, exitOK, ""},
		{"--ready --listen " + address, "", false, exitFailed, "gateway: http://" + address + `/readyz: 503 Service Unavailable {"code":"broker_unavailable"}`},
		{"--listen " + address + " --allowed-hosts blocked.example", "", false, exitFailed, "gateway: http://" + address + "/livez: 403 Forbidden blocked.example"},
		{"--listen 127.0.0.1:1", "", false, exitFailed, "gateway: http://127.0.0.1:1/livez: dial tcp"},
		{"--listen :0", "", false, exitUsage, `gateway: --listen is ":0", want the port that the gateway listens on`},
	} {
		ready = c.ready
		code, stdout, stderr := runGateway(t, "healthcheck "+c.args, strings.Fields(c.env+" http_proxy=http://127.0.0.1:1"), "")
		if code != c.code || stdout != "" || !strings.HasPrefix(stderr, c.stderr) || c.stderr == "" && stderr != "" {
			t.Errorf("%s healthcheck %s: got %d %q %q, want %d %q", c.env, c.args, code, stdout, stderr, c.code, c.stderr)
		}
	}
}

func TestUnspecifiedAddressesAreDialledOnLoopback(t *testing.T) {
	for listen, want := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80",
		"10.0.0.1:80": "10.0.0.1:80", "lab:80": "lab:80", "[::1]:80": "[::1]:80",
	} {
		if got := dialAddress(listen); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}
