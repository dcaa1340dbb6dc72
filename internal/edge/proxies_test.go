package edge

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestAPeerIsWhatATrustedProxySays(t *testing.T) {
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		remote, forwarded, listed, want string
	}{
		{"192.0.2.1:99", "", "198.51.100.7", "192.0.2.1:99"}, // no proxy
		{"192.0.2.1:99", "for=198.51.100.7", "", "192.0.2.1:99"},
		{"10.0.0.1:99", "", "", "10.0.0.1:99"},
		{"10.0.0.1:99", "", "198.51.100.7", "198.51.100.7"},
		{"[::ffff:10.0.0.1]:99", "", "198.51.100.7", "198.51.100.7"},
		{"[fd00::1]:99", "", "2001:db8::7", "2001:db8::7"},
		{"10.0.0.1:99", "", "127.0.0.1, 203.0.113.9, 198.51.100.7, 10.2.2.2", "198.51.100.7"}, // what is before it is made up
		{"10.0.0.1:99", "", "10.3.3.3, 10.2.2.2", "10.3.3.3"},
		{"10.0.0.1:99", "", "198.51.100.7:1234", "198.51.100.7"},
		{"10.0.0.1:99", "", "[2001:db8::7]:1234", "2001:db8::7"},
		{"10.0.0.1:99", "", "198.51.100.7, unknown", "10.0.0.1:99"},
		{"10.0.0.1:99", "", "rubbish, 198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:99", "for=198.51.100.7", "", "198.51.100.7"},
		{"10.0.0.1:99", `For="[2001:db8::7]:4711";proto=https`, "", "2001:db8::7"},
		{"10.0.0.1:99", "for=127.0.0.1, proto=https;for=198.51.100.7;by=10.0.0.1, for=10.2.2.2", "", "198.51.100.7"},
		{"10.0.0.1:99", "for=unknown", "", "10.0.0.1:99"},
		{"10.0.0.1:99", "for=_hidden", "", "10.0.0.1:99"},
		{"10.0.0.1:99", `for="1.2.3.4, for=198.51.100.7`, "", "198.51.100.7"},
		{"10.0.0.1:99", "for=198.51.100.7", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:99", "for=1.2.3.4", "198.51.100.7", "10.0.0.1:99"}, // one is the caller's own
		{"10.0.0.1:99", "rubbish", "198.51.100.7", "10.0.0.1:99"},
		{"10.0.0.1:99", "for=198.51.100.7", "rubbish", "198.51.100.7"}, // no proxy ends a list with rubbish
		{"10.0.0.1:99", "for=198.51.100.7", "1.2.3.4, 198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:99", "for=1.2.3.4, for=198.51.100.7", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:99", "for=_hidden", "1.2.3.4", "10.0.0.1:99"},
		{"pipe", "", "198.51.100.7", "pipe"},
	} {
		h := http.Header{}
		if c.forwarded != "" {
			h.Set("Forwarded", c.forwarded)
		}
		if c.listed != "" {
			h.Set("X-Forwarded-For", c.listed)
		}
		if got := proxies.Peer(c.remote, h); got != c.want {
			t.Errorf("%s Forwarded %q X-Forwarded-For %q: got %s, want %s", c.remote, c.forwarded, c.listed, got, c.want)
		}
		if got := (Proxies)(nil).Peer(c.remote, h); got != c.remote {
			t.Errorf("%s without proxies: got %s", c.remote, got)
		}
	}
	h := http.Header{"X-Forwarded-For": {"1.2.3.4", "198.51.100.7"}} // a proxy that adds a line of its own
	if got := proxies.Peer("10.0.0.1:99", h); got != "198.51.100.7" {
		t.Errorf("two lines: got %s, want the last", got)
	}
}
