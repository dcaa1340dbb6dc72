package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"mdpgateway/internal/gateway"
)

// What is allocated for a body before any of it has come: a caller that declares a large
// body and sends nothing holds little memory.
const (
	firstBuffer = 1 << 20 // at most, of the length that it declares
	firstGuess  = 4 << 10 // if it declares none
)

// bodyGrace is how long a body may take to come before its rate counts.
const bodyGrace = 10 * time.Second

// readBody reads the whole body of a request. It refuses what is too large, as
// early as the length is known, and takes the bytes from the response's share before
// it allocates them, as the body grows. The next bytes have to arrive within the
// configured time, and all of them at the least rate; net/http lifts that deadline
// at the body's end. A caller who waits for 100 Continue never gets it for a body
// that is refused here. The bytes are those of w.body, until it is freed.
func (a *API) readBody(w *response, r *http.Request) ([]byte, error) {
	w.share = a.shares.share(callerOf(w, r))
	if r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > a.cfg.MaxBody {
		return nil, tooLarge(fmt.Sprintf("%d bytes", r.ContentLength), a.cfg.MaxBody)
	}
	in := body{from: r.Body, share: &w.share, length: r.ContentLength, max: a.cfg.MaxBody}
	start := time.Now()
	err := in.read(func(n int) { _ = w.control.SetReadDeadline(a.bodyDeadline(start, n)) })
	w.body, w.in, w.share.body = in.buffer, int64(len(in.buf)), w.share.lease.Bytes()
	if err != nil {
		return nil, bodyError(r, err)
	}
	w.unread = false
	return slices.Clip(in.buf), nil // what is behind it in the buffer is nobody's business
}

// bodyDeadline returns when more of a body must have come of which n bytes are there.
func (a *API) bodyDeadline(start time.Time, n int) time.Time {
	idle := time.Now().Add(a.cfg.BodyIdleTimeout)
	if a.cfg.MinBodyRate == 0 {
		return idle
	}
	due := start.Add(bodyGrace + time.Duration(float64(n)/float64(a.cfg.MinBodyRate)*float64(time.Second)))
	if due.Before(idle) {
		return due
	}
	return idle
}

func tooLarge(size string, limit int64) error {
	return &gateway.Error{Kind: gateway.BodyTooLarge, Detail: fmt.Sprintf("the body has %s, want at most %d", size, limit)}
}

// A body is a request's body being read.
type body struct {
	from   io.Reader
	share  *share
	length int64 // -1 if unknown
	max    int64
	buffer *buffer
	buf    []byte // what has come, in buffer
}

// read fills buf with all there is; before each read it calls wait with what is there.
func (b *body) read(wait func(n int)) error {
	if err := b.share.fits(b.length); err != nil {
		return err
	}
	for int64(len(b.buf)) != b.length {
		if len(b.buf) == cap(b.buf) {
			if err := b.grow(); err != nil {
				return err
			}
		}
		wait(len(b.buf))
		n, err := b.from.Read(b.buf[len(b.buf):cap(b.buf)])
		b.buf = b.buf[:len(b.buf)+n]
		if int64(len(b.buf)) > b.max {
			return tooLarge("more bytes", b.max)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// grow makes room for twice as much as there was, one byte over the limit at most. Of a
// known length it makes room for all once a thirty-second is there, so that little is copied.
func (b *body) grow() error {
	have := int64(cap(b.buf))
	size := min(max(2*have, firstGuess), b.max+1)
	switch {
	case b.length < 0:
	case have == 0:
		size = min(b.length, firstBuffer)
	default:
		if size = b.length / 32; have >= size {
			size = b.length
		}
	}
	if err := b.share.take(size); err != nil {
		return err
	}
	next := newBuffer(int(size))
	b.buf = append(next.bytes[:0:size], b.buf...)
	b.buffer.free()
	b.buffer = next
	return nil
}

// bodyError tells apart the ways in which a body ends before its end.
func bodyError(r *http.Request, err error) error {
	var known *gateway.Error
	var network net.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &network) && network.Timeout():
		return &gateway.Error{Kind: gateway.BodyTimeout, Err: err}
	case r.ProtoMajor > 1, r.Context().Err() != nil:
		// HTTP/2 resets streams that are malformed, so they look like ones whose caller left.
		return &gateway.Error{Kind: gateway.Canceled, Err: err}
	}
	// The connection is there, so what came over it are chunks that are none.
	return &gateway.Error{Kind: gateway.BadRequest, Detail: "the body is not encoded as Transfer-Encoding says", Err: err}
}
