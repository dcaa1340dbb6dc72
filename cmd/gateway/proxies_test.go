package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

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

// Behind a balancer of TCP the log tells what the PROXY header says.
func TestAPROXYHeaderSaysWhereACallerIs(t *testing.T) {
	g := start(t, "--proxy-protocol", "--trusted-proxies", "127.0.0.1")
	c, err := net.DialTimeout("tcp", strings.TrimPrefix(g.url, "http://"), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\x0a\x00\x00\x01\x12\x67\x00\x50"+
		"GET /services HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("got %v, %v, want 200", answer, err)
	}
	g.end()
	for _, line := range g.lines() {
		if line["msg"] == "request" && line["peer"] != "198.51.100.7:4711" {
			t.Errorf("the peer is %v, want 198.51.100.7:4711", line["peer"])
		}
	}
	const want = "gateway: --trusted-proxies is \"\", want the addresses of the proxies, for --proxy-protocol\n"
	if code, _, stderr := runGateway(t, "serve --check --proxy-protocol", nil, ""); code != exitUsage || stderr != want {
		t.Errorf("without proxies: got %d %s, want %s", code, stderr, want)
	}
}
