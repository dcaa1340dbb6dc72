package main

import "testing"

// The log tells the caller's address, and only a trusted proxy can say it.
func TestAProxysCallersAreToldApart(t *testing.T) {
	for args, want := range map[string]string{"127.0.0.0/8": "198.51.100.7", "127.0.0.1": "198.51.100.7", "10.0.0.0/8,fd00::/8": ""} {
		g := start(t, "--trusted-proxies", args)
		askAs(t, g.url, "/services", "localhost", "X-Forwarded-For", "127.0.0.1, 203.0.113.9, 198.51.100.7")
		g.end()
		requests := 0
		for _, line := range g.lines() {
			if peer, ok := line["peer"].(string); ok && line["msg"] == "request" {
				requests++
				if want != "" && peer != want || want == "" && peer == "198.51.100.7" {
					t.Errorf("--trusted-proxies %s: the peer is %s", args, peer)
				}
			}
		}
		if requests != 1 {
			t.Errorf("%d requests are logged, want 1", requests)
		}
	}
	for _, bad := range []string{"proxy.example", "10.0.0.0/33", "10.0.0.1:80"} {
		want := "gateway: --trusted-proxies is \"" + bad + "\", want a network such as 10.0.0.0/8, or an address\n"
		if code, _, stderr := runGateway(t, "serve --check --trusted-proxies "+bad, nil, ""); code != exitUsage || stderr != want {
			t.Errorf("%s: got %d %s, want %s", bad, code, stderr, want)
		}
	}
}
