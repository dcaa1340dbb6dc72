package zmtp

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Errors of Send, after which nothing was sent.
var (
	ErrLost = errors.New("connection lost")
	ErrFull = errors.New("the other end does not read: too many bytes wait for it")
)

const (
	flagMore  = 1
	maxShort  = 255 // bytes of a frame whose size is one byte
	overhead  = 32  // what a frame counts beside its bytes
	maxQueue  = 256 << 20
	maxKept   = 256 << 10 // bytes of a buffer that is used again
	maxCopied = 1 << 20   // bytes of the largest frame that is copied
	maxHead   = 9         // bytes before a frame's own
	readAhead = 64 << 10
	arenaSize = 128 // bytes of a message's small frames that share an array
	usual     = 6   // frames of a message: MDPX01, a command, an id, a body
	skimmed   = 512 // bytes of the largest frame that is given of a message over the limit
)

// A Conn is the connection of a DEALER to a ROUTER over TCP, without encryption. Whoever sends appends to a buffer,
// which one goroutine writes: many messages at once when there are many. All methods may be called at once.
type Conn struct {
	// Set once.
	conn  net.Conn
	take  func(frames [][]byte, whole bool)
	limit int64
	most  int             // bytes that may wait before a message
	over  context.Context // ends with Interrupt
	end   context.CancelFunc
	wake  chan struct{} // holds one if there is something to write

	mu     sync.Mutex
	out    []byte  // guarded by mu: what is to be written,
	larges []large // guarded by mu: and the frames that belong into it
	waits  int     // guarded by mu: bytes of both
	lost   bool    // guarded by mu

	spare []byte // owned by write: the buffer that is not out
}

// A large is a frame that is not copied.
type large struct {
	at    int // where in what is to be written
	frame []byte
}

// Dial connects, as a DEALER with a routing id, and makes the handshake, until ctx ends. take is given each message
// by Run, and must not block. Of a message over limit bytes it gets some of the first frames, and whole is false.
func Dial(ctx context.Context, address string, routingID []byte, limit int64, take func(frames [][]byte, whole bool)) (*Conn, error) {
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3},
		Control:         limitSilence,
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	peer, err := greet(conn, routingID)
	switch {
	case err == nil && !stop():
		err = context.Cause(ctx)
	case err == nil && peer.SocketType != "ROUTER":
		err = fmt.Errorf("it is a %s with mechanism %s, want a ROUTER with NULL", peer.SocketType, peer.Mechanism)
	}
	if err != nil {
		stop()
		return nil, errors.Join(err, conn.Close())
	}
	c := &Conn{conn: conn, take: take, limit: limit, most: maxQueue, wake: make(chan struct{}, 1)}
	c.over, c.end = context.WithCancel(context.Background())
	return c, nil
}

// Send sends one message, and never waits. It copies the frames, but for those of over 1 MiB, which nobody may change
// any more.
func (c *Conn) Send(frames [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return ErrLost
	}
	if c.waits > c.most {
		return ErrFull
	}
	size := 0
	for _, frame := range frames {
		if size += maxHead; len(frame) <= maxCopied {
			size += len(frame)
		}
	}
	c.out = slices.Grow(c.out, size)
	for i, frame := range frames {
		c.append(frame, i < len(frames)-1)
	}
	c.written()
	return nil
}

// append appends a frame: its flags, its size in 1 or 8 bytes, and its bytes. The mutex must be held.
func (c *Conn) append(frame []byte, more bool) {
	var flags byte
	if more {
		flags = flagMore
	}
	if len(frame) > maxShort {
		c.out = binary.BigEndian.AppendUint64(append(c.out, flags|flagLong), uint64(len(frame)))
	} else {
		c.out = append(c.out, flags, byte(len(frame))) // #nosec G115 -- at most 255
	}
	if c.waits += maxHead + len(frame); len(frame) <= maxCopied {
		c.out = append(c.out, frame...)
	} else {
		c.larges = append(c.larges, large{len(c.out), frame})
	}
}

// written wakes write. The mutex must be held.
func (c *Conn) written() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run takes messages until the connection is lost, or Interrupt: os.ErrDeadlineExceeded.
func (c *Conn) Run() error {
	defer context.AfterFunc(c.over, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })()
	var writer sync.WaitGroup
	writer.Go(c.write)
	err := c.read()
	c.mu.Lock()
	c.lost = true
	c.mu.Unlock()
	c.end()
	writer.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrLost
	}
	return err
}

// write writes what is sent, until the connection ends. Run ends with it.
func (c *Conn) write() {
	defer c.end()
	for {
		select {
		case <-c.over.Done():
			return
		case <-c.wake:
		}
		runtime.Gosched() // callers that are ready to run send first, and share the write: CPU of a request × 0.92
		c.mu.Lock()
		out, larges := c.out, c.larges
		c.out, c.larges, c.waits = c.spare[:0], nil, 0
		c.mu.Unlock()
		if err := writeAll(c.conn, out, larges); err != nil {
			return
		}
		if c.spare = out; cap(out) > maxKept {
			c.spare = nil
		}
	}
}

// writeAll writes out, with the large frames where they belong.
func writeAll(to net.Conn, out []byte, larges []large) error {
	if len(larges) == 0 {
		_, err := to.Write(out)
		return err
	}
	pieces, at := net.Buffers{}, 0
	for _, l := range larges {
		pieces = append(pieces, out[at:l.at], l.frame)
		at = l.at
	}
	pieces = append(pieces, out[at:])
	_, err := pieces.WriteTo(to)
	return err
}

// read takes messages until an error.
func (c *Conn) read() error {
	r := bufio.NewReaderSize(c.conn, readAhead)
	for {
		frames, whole, err := c.message(r)
		if err != nil {
			return err
		}
		c.take(frames, whole)
	}
}

// message reads the frames of one message, and answers commands before it.
func (c *Conn) message(r *bufio.Reader) (frames [][]byte, whole bool, err error) {
	var frame, arena []byte
	frames, whole = make([][]byte, 0, usual), true
	for total := int64(0); ; {
		flags, size, err := readHead(r)
		if err == nil && flags&flagCommand != 0 {
			if err = c.command(r, size); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, false, err
		}
		total += min(size, c.limit) + overhead
		if whole = whole && size <= c.limit && total <= c.limit; whole || size <= skimmed && len(frames) < usual {
			frame, arena = room(arena, int(size))
			frames = append(frames, frame)
			_, err = io.ReadFull(r, frame)
		} else {
			_, err = io.CopyN(io.Discard, r, size)
		}
		if err != nil || flags&flagMore == 0 {
			return frames, whole, err
		}
	}
}

// room returns a frame of n bytes, from the arena if it has so many.
func room(arena []byte, n int) (frame, rest []byte) {
	if n > arenaSize {
		return make([]byte, n), arena
	}
	if n > len(arena) {
		arena = make([]byte, arenaSize)
	}
	return arena[:n:n], arena[n:]
}

// readHead reads what stands before a frame's bytes.
func readHead(r *bufio.Reader) (flags byte, size int64, err error) {
	if flags, err = r.ReadByte(); err != nil {
		return 0, 0, err
	}
	if flags&flagLong == 0 {
		short, err := r.ReadByte()
		return flags, int64(short), err
	}
	var long [8]byte
	if _, err := io.ReadFull(r, long[:]); err != nil {
		return 0, 0, err
	}
	if size = int64(binary.BigEndian.Uint64(long[:])); size < 0 { // #nosec G115 -- checked here
		return 0, 0, ErrNotZeroMQ
	}
	return flags, size, nil
}

// command answers a PING (ZMTP 3.1) with what it has after its name and its 2 bytes of time; others say nothing.
func (c *Conn) command(r *bufio.Reader, size int64) error {
	if size > maxCommand {
		return ErrNotZeroMQ
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	const ping = "\x04PING"
	if len(body) < len(ping)+2 || string(body[:len(ping)]) != ping {
		return nil
	}
	pong := append([]byte("\x04PONG"), body[len(ping)+2:]...)
	if len(pong) > maxShort {
		return ErrNotZeroMQ
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(append(c.out, flagCommand, byte(len(pong))), pong...) // #nosec G115 -- checked above
	c.waits += len(pong)
	c.written()
	return nil
}

// Interrupt ends Run.
func (c *Conn) Interrupt() { c.end() }

// Close closes the connection. Run must have returned, or never been called.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = true
	c.end()
	return c.conn.Close()
}
