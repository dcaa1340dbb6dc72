package main

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// A tap stands between gateways and a NATS server. What a gateway sends to the server names the point at which it is.
type tap struct {
	server   string
	listener net.Listener
	loops    sync.WaitGroup

	mu    sync.Mutex
	text  string // guarded by mu; empty: nothing is looked for
	left  int    // guarded by mu; how often it may still be sent
	found func() // guarded by mu
}

func newTap(t *testing.T, server string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{server: server, listener: l}
	p.loops.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.loops.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.loops.Wait()
	})
	return p
}

func (p *tap) url() string { return "nats://" + p.listener.Addr().String() }

// at has found called when a gateway is about to send a text once more than that often. The server gets nothing of it.
func (p *tap) at(text string, often int, found func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.left, p.found = text, often, found
}

func (p *tap) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.loops.Go(func() {
		defer client.Close()
		_, _ = io.Copy(client, server)
	})
	var seen []byte // the end of what was passed on, for a text that comes in two reads
	for piece := make([]byte, 64<<10); ; {
		n, err := client.Read(piece)
		if err != nil || p.stops(append(seen, piece[:n]...)) {
			return
		}
		if _, err := server.Write(piece[:n]); err != nil {
			return
		}
		seen = append(seen, piece[:n]...)
		seen = bytes.Clone(seen[max(0, len(seen)-len(p.short())):])
	}
}

// short is a text of which seen may have no more than the beginning.
func (p *tap) short() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text[min(1, len(p.text)):]
}

// stops counts the text in what a gateway sends, and reports whether that was too often.
func (p *tap) stops(sent []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text == "" {
		return false
	}
	if p.left -= bytes.Count(sent, []byte(p.text)); p.left >= 0 {
		return false
	}
	p.text = ""
	p.found()
	return true
}
