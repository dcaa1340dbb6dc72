package httpapi

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"mdpgateway/internal/gateway"
)

// Listener returns ln for Server's servers: what they answer without asking the
// API, since it is no HTTP, has headers far over the limit or an Expect that they
// do not know, becomes a problem as well. They have no hook for it, and write it as
// plain text, or without any, right to the connection.
func (a *API) Listener(ln net.Listener) net.Listener { return &listener{ln, a} }

type listener struct {
	net.Listener
	api *API
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, api: l.api}, nil
}

// A conn is a connection of a listener.
type conn struct {
	net.Conn
	api *API

	// Nothing has been written since the connection was new or idle. Only then a
	// write can be the server's own: what the API answers begins with its headers.
	quiet atomic.Bool
}

// connState is told by the server what a connection does.
func connState(nc net.Conn, state http.ConnState) {
	if c, ok := nc.(*conn); ok && (state == http.StateNew || state == http.StateIdle) {
		c.quiet.Store(true)
	}
}

// Write writes p or, if that is a refusal of the server's, a problem in its place.
func (c *conn) Write(p []byte) (int, error) {
	if c.quiet.Load() {
		c.quiet.Store(false)
		if e := refusal(p); e != nil {
			if _, err := c.Conn.Write(c.api.refuse(e, c.RemoteAddr())); err != nil {
				return 0, err
			}
			return len(p), nil
		}
	}
	return c.Conn.Write(p)
}

// CloseWrite lets a server end an answer before the connection, as it does with
// TCP's.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// refusal returns what a refusal of net/http means, or nil if p is none:
//
//	HTTP/1.1 400 Bad Request: missing required Host header CR LF
//	Content-Type: text/plain; charset=utf-8 CR LF Connection: close CR LF CR LF
//	400 Bad Request: missing required Host header
//
// To an Expect it answers 417, in the version of the request; no answer of the API
// has that status.
func refusal(p []byte) *gateway.Error {
	if len(p) > 13 && string(p[:7]) == "HTTP/1." && string(p[8:13]) == " 417 " {
		return &gateway.Error{Kind: gateway.BadRequest, Detail: "Expect has something else than 100-continue"}
	}
	const fixed = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	line, text, ok := bytes.Cut(p, []byte(fixed))
	line, isStatus := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	switch {
	case !ok || !isStatus || bytes.Contains(line, []byte("\r\n")):
		return nil
	case bytes.HasPrefix(line, []byte("431 ")):
		return &gateway.Error{Kind: gateway.HeadersTooLarge}
	}
	detail := "the request is not HTTP/1.1"
	if _, why, ok := strings.Cut(string(text), ": "); ok {
		detail += ": " + why
	}
	return &gateway.Error{Kind: gateway.BadRequest, Detail: detail}
}

// refuse returns a whole answer, which ends its connection, and tells of it as of
// any other.
func (a *API) refuse(e *gateway.Error, peer net.Addr) []byte {
	w := &response{id: newID(), err: e, status: problems[e.Kind].status}
	body := newProblem(e, w.id, "").encode()
	header := http.Header{"Content-Type": {"application/problem+json"}, "X-Request-Id": {w.id}}
	setUsual(header)
	answer := http.Response{
		StatusCode: w.status, ProtoMajor: 1, ProtoMinor: 1, Header: header, Close: true,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	var b bytes.Buffer
	_ = answer.Write(&b) // to memory
	w.out = int64(len(body))

	const route, method = "unmatched", "other"
	a.cfg.Observer.Started(route, method)
	a.cfg.Observer.Done(route, method, w.status, 0)
	a.logRequest(w, &http.Request{Method: method, RemoteAddr: peer.String()}, route, 0)
	return b.Bytes()
}
