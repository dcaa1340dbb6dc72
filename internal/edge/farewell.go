package edge

import (
	"io"
	"time"
)

// timedOut is the answer to a request that was on its way when its connection was closed, as it was idle or its headers
// took too long (RFC 9110, section 15.5.9). Clients that have sent nothing drop it together with the connection.
const timedOut = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Content-Length: 59\r\n\r\nThe connection was closed before a whole request had come.\n"

// linger is how long a caller may go on sending after timedOut. To close at once would reset the connection, and the
// caller might lose the answer.
const linger = time.Second

// take is told that a handler has a request: what becomes of it is the handler's to say.
func (c *Conn) take() {
	if c != nil {
		c.taken.Store(true)
	}
}

// Write writes a part of an answer.
func (c *Conn) Write(p []byte) (int, error) {
	c.said.Store(true)
	return c.Conn.Write(p)
}

// leave begins the end of the connection, once. It reports whether a request could still be on its way for which nobody
// else has an answer.
func (c *Conn) leave() (first, unanswered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, c.leaving = !c.leaving, true
	http1 := c.frames.other || c.frames.matched == 0
	return first, c.ready.Load() && !c.agreed2 && http1 && !c.taken.Load() && !c.said.Load() && !c.lost.Load()
}

// Close closes the connection and gives its place back. A request that is on its way on an idle connection is answered;
// the connection is closed once the caller has had the time to see that, for which Wait waits.
func (c *Conn) Close() error {
	switch first, unanswered := c.leave(); {
	case !first:
		return nil
	case unanswered:
		go c.farewell()
		return nil
	}
	return c.end()
}

func (c *Conn) farewell() {
	now := time.Now()
	_ = c.Conn.SetDeadline(now.Add(linger)) // also of a Read that waits
	if _, err := io.WriteString(c.Conn, timedOut); err == nil && c.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, c.Conn)
	}
	_ = c.end()
}

// end closes the connection at once.
func (c *Conn) end() error {
	defer c.listener.conns.Done()
	c.listener.mu.Lock()
	c.listener.remove(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// Wait waits until all connections are gone. It must not be called before the server has been shut down: each is closed
// then, at the latest by the goroutine that served it, which may be behind Shutdown.
func (l *Listener) Wait() { l.conns.Wait() }
