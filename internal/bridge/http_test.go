package bridge_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/bridge"
)

// serve starts a server and returns a Runner that posts to it.
func serve(t *testing.T, cfg bridge.Config, vars bridge.VarsIn, handler http.HandlerFunc) bridge.Runner {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	to, err := url.Parse(s.URL + "/work?fixed=1")
	if err != nil {
		t.Fatal(err)
	}
	run, idle := cfg.HTTP(bridge.Server{URL: to, ContentType: "audio/x-raw", VarsIn: vars})
	t.Cleanup(idle)
	return run
}

func TestAServerGetsTheRequestAndItsBodyIsTheReply(t *testing.T) {
	tell := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q %s [%s]", r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Flowgraph-Vars"), r.URL.Query(), body)
	}
	for _, c := range []struct {
		vars bridge.VarsIn
		body []string
		want string
	}{
		{bridge.Header, []string{"\x00\xff", `{'sf': 7, 'name': 'é😀\x7f\n'}`}, `POST /work audio/x-raw "{\"sf\":7,\"name\":\"\\u00e9\\ud83d\\ude00\\u007f\\n\"}" map[fixed:[1]] [` + "\x00\xff]"},
		{bridge.Query, []string{"x", `{'sf': 7, 'a&b': '#'}`}, `POST /work audio/x-raw "" map[fixed:[1] vars:[{"sf":7,"a&b":"#"}]] [x]`},
		{bridge.Query, []string{"x"}, `POST /work audio/x-raw "" map[fixed:[1]] [x]`},
		{bridge.Header, nil, `POST /work audio/x-raw "" map[fixed:[1]] []`},
	} {
		cfg := config()
		if got := ask(t, cfg, serve(t, cfg, c.vars, tell), c.body...); got != c.want {
			t.Errorf("%q\ngot  %s\nwant %s", c.body, got, c.want)
		}
	}
}

func TestAServersFailureIsAnsweredWithTheReason(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		body    []string
		want    string
	}{
		"a status": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret", http.StatusServiceUnavailable) }, nil, "HTTP status 503"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, nil, "HTTP status 307"},
		"too large":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 2<<20)) }, nil, "the reply is larger than 1048576 bytes"},
		"an early end":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, "the server can't be reached"},
		"too slow":       {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, "no reply within 1s"},
		"several frames": {func(http.ResponseWriter, *http.Request) {}, []string{"a", "b", "{}"}, "the request has 2 frames of data, want one"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			if name == "too slow" {
				cfg.Timeout = time.Second
			}
			if got := ask(t, cfg, serve(t, cfg, bridge.Header, c.handler), c.body...); got != "\x06|"+c.want {
				t.Errorf("got %.200q, want %q", got, c.want)
			}
		})
	}
}
