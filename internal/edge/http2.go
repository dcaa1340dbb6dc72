package edge

import "time"

// preface begins every connection of HTTP/2 (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Frames are: length (3 bytes), type (1), flags (1), stream (4), payload (RFC 9113, section 4.1).
const (
	frameHeader  = 9
	typeHeaders  = 0x1
	typeContinue = 0x9
	endHeaders   = 0x4
)

// frames follows where a caller of HTTP/2 is in its frames: net/http waits for the rest of one, and of a request's
// headers, for as long as the connection is open.
type frames struct {
	matched int  // bytes of the preface
	other   bool // it is not HTTP/2

	header [frameHeader]byte
	have   int  // bytes of header
	left   int  // bytes of the payload that are still to come
	block  bool // a request's headers have begun and not ended
	since  time.Time
}

// http2 reports whether the preface has come.
func (f *frames) http2() bool { return f.matched == len(preface) }

// partial reports whether a frame has begun and not ended.
func (f *frames) partial() bool { return f.have > 0 }

// write takes the next bytes of the connection.
func (f *frames) write(p []byte) {
	for len(p) > 0 && !f.http2() {
		if p[0] != preface[f.matched] {
			f.other = true
			return
		}
		f.matched++
		p = p[1:]
	}
	for len(p) > 0 {
		if !f.partial() && !f.block {
			f.since = time.Now()
		}
		if f.have < frameHeader {
			n := copy(f.header[f.have:], p)
			f.have, p = f.have+n, p[n:]
			if f.have < frameHeader {
				return
			}
			f.left = int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
			f.block = f.block || f.header[3] == typeHeaders
		}
		n := min(f.left, len(p))
		f.left, p = f.left-n, p[n:]
		if f.left == 0 {
			f.end()
		}
	}
}

// end takes the end of a frame.
func (f *frames) end() {
	f.have = 0
	if kind := f.header[3]; (kind == typeHeaders || kind == typeContinue) && f.header[4]&endHeaders != 0 {
		f.block = false
	}
}

// follow takes bytes that were read, and limits the wait for the next if there must be some.
func (c *Conn) follow(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frames.other {
		return
	}
	c.frames.write(p)
	c.rearm()
}

// rearm sets until when the next bytes have to come over HTTP/2. c.mu is held.
func (c *Conn) rearm() {
	if !c.frames.http2() {
		return
	}
	c.requested = c.requested || c.busy && !c.idleSince.IsZero()
	var at time.Time
	switch cfg := &c.listener.cfg; {
	case c.frames.block, c.frames.partial() && !c.busy:
		at = c.frames.since.Add(cfg.HeaderTimeout)
	case c.busy:
	case !c.requested:
		at = c.born.Add(cfg.HeaderTimeout)
	case c.turnedDown():
		at = c.idleSince.Add(cfg.RefusedIdle)
	}
	if !at.Equal(c.deadline) {
		c.deadline = at
		_ = c.Conn.SetReadDeadline(at)
	}
}

// expired counts an end that rearm has set for want of a request.
func (c *Conn) expired() {
	c.mu.Lock()
	late := c.frames.http2() && (c.frames.block || c.frames.partial() || !c.requested)
	c.mu.Unlock()
	if late {
		c.listener.mu.Lock()
		c.listener.refused[NoRequest]++
		c.listener.mu.Unlock()
	}
}
