package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// askAs asks a listener under a Host.
func askAs(t *testing.T, url, path, host string, header ...string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := do(newClient(t), r)
	if err != nil {
		t.Fatal(err)
	}
	return a.status
}

// A page's name can be made to point here (DNS rebinding), but neither an address nor a name of this machine.
func TestWhereNoKeyIsNeededOnlyThisMachinesNamesAreAnswered(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	key, entry := newKey(t, "web")
	keys := write(t, t.TempDir(), "keys.yaml", entry)
	for _, c := range []struct {
		args string
		want map[string]int // by Host
	}{
		{"--access open", map[string]int{
			"evil.example": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example:80": 403, own + ".evil.example": 403,
			"localhost": 200, "LOCALHOST:8080": 200, "127.0.0.1": 200, "10.1.2.3:8080": 200, "[fe80::1]:8080": 200, own: 200, own + ".": 200,
		}},
		{"--access open --allowed-hosts lab.example", map[string]int{"evil.example": 403, "10.1.2.3": 403, "lab.example": 200}},
		{"--access open --allowed-hosts lab.example,ip", map[string]int{"evil.example": 403, "10.1.2.3": 200, "lab.example": 200}},
		{"--access open --allowed-hosts *", map[string]int{"evil.example": 200}},
		{"--keys-file " + keys, map[string]int{"evil.example": 200}},
	} {
		g := start(t, append([]string{"--listen", "0.0.0.0:0", "--embedded"}, strings.Fields(c.args)...)...)
		for host, want := range c.want {
			if got := askAs(t, g.url, "/services", host, "Authorization", "Bearer "+key); got != want {
				t.Errorf("%s: as %s got %d, want %d", c.args, host, got, want)
			}
			if got := askAs(t, g.url, "/livez", host); got != 200 {
				t.Errorf("%s: /livez as %s got %d, want 200", c.args, host, got)
			}
		}
		g.end()
	}
}

func TestTheAdminListenerAnswersToNoPage(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		g := start(t, "--admin-listen", listen, "--allowed-hosts", "localhost,gateway")
		named := http.StatusOK // as a scraper knows it
		if listen == "127.0.0.1:0" {
			named = http.StatusForbidden
		}
		for _, c := range []struct {
			path, host string
			header     []string
			want       int
		}{
			{"/metrics", "localhost", nil, 200},
			{"/metrics", "127.0.0.1", nil, 200},
			{"/metrics", "gateway:8081", nil, named},
			{"/metrics", "evil.example", nil, 403},
			{"/livez", "evil.example", nil, 200},
			{"/metrics", "localhost", []string{"Sec-Fetch-Site", "none"}, 200},
			{"/metrics", "localhost", []string{"Sec-Fetch-Site", "same-origin"}, 200},
			{"/metrics", "localhost", []string{"Sec-Fetch-Site", "cross-site"}, 403},
			{"/debug/pprof/profile?seconds=1", "localhost", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
			{"/debug/pprof/trace?seconds=1", "localhost", []string{"Origin", "http://evil.example"}, 403},
			{"/debug/pprof/trace?seconds=0.01", "localhost", nil, 200},
			{"/debug/pprof/trace?seconds=86400", "localhost", nil, 400},
			{"/debug/pprof/profile?seconds=61", "localhost", nil, 400},
			{"/debug/pprof/heap?seconds=61", "localhost", nil, 400},
			{"/debug/pprof/mutex?seconds=61", "localhost", nil, 400},
			{"/debug/pprof/trace?seconds=nan", "localhost", nil, 400},
			{"/debug/pprof/trace?seconds=1e300", "localhost", nil, 400},
		} {
			if got := askAs(t, g.admin, c.path, c.host, c.header...); got != c.want {
				t.Errorf("%s: %s as %s %v: got %d, want %d", listen, c.path, c.host, c.header, got, c.want)
			}
		}
		g.end()
	}
}
