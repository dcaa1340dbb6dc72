package edge

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"mdpgateway/internal/certs"
)

// Why a TLS handshake failed.
const (
	ClearText     = "clear_text"         // the caller spoke HTTP without TLS
	NoCertificate = "client_certificate" // the caller's certificate does not hold, or there must be one and is none
	Alert         = "alert"              // the caller ended it, most often since it does not believe the listener's certificate
	Unfinished    = "unfinished"         // the caller left, or it took longer than HeaderTimeout
	NotTLS        = "protocol"           // anything else
)

// Secure makes all further connections TLS, with HTTP/2 by ALPN. It must be called before the first is accepted.
//
// net/http is given connections of clear text and finds HTTP/2 by its preface, as without TLS: its own way of HTTP/2
// over TLS takes nothing but a *tls.Conn, in which nobody could follow the frames and end those that never do.
func (l *Listener) Secure(by *certs.Store) *Listener {
	l.secure = by
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handshakes = map[string]uint64{ClearText: 0, NoCertificate: 0, Alert: 0, Unfinished: 0, NotTLS: 0}
	return l
}

// TLS returns the state of the connection for a request on it, nil without TLS. The error says why the caller's
// certificate, which held at the handshake, does not any more (certs.Conn.State).
func (c *Conn) TLS() (*tls.ConnectionState, error) {
	if c == nil || c.secure == nil {
		return nil, nil
	}
	return c.secure.State()
}

// shaken does the handshake, once, and reports whether it is done.
func (c *Conn) shaken() bool {
	if c.secure == nil {
		return true
	}
	c.shake.Do(func() {
		// The time to read is net/http's for the first request's headers, which the handshake is part of.
		_ = c.raw.SetWriteDeadline(time.Now().Add(c.listener.cfg.HeaderTimeout))
		err := c.secure.Handshake()
		_ = c.raw.SetWriteDeadline(time.Time{})
		if c.unshaken = err != nil; c.unshaken {
			c.failed(err)
			return
		}
		c.agreed2 = c.secure.ConnectionState().NegotiatedProtocol == "h2"
		c.ready.Store(true)
		_ = c.SetReadDeadline(time.Time{}) // which there was for the handshake
	})
	return !c.unshaken
}

// failed counts a handshake that failed, and answers a caller who speaks HTTP.
func (c *Conn) failed(err error) {
	reason, l := whyUnshaken(err), c.listener
	l.mu.Lock()
	gone := c.gone // this side has ended it
	if !gone {
		l.handshakes[reason]++
	}
	l.mu.Unlock()
	if gone {
		return
	}
	if reason == ClearText {
		_, _ = io.WriteString(c.raw, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThis port speaks HTTPS.\n")
	}
	if l.cfg.HandshakeFailed != nil {
		l.cfg.HandshakeFailed(c.RemoteAddr(), reason, err)
	}
}

// noCertificate is the error of a handshake without the certificate that there must be; crypto/tls has no name for it.
const noCertificate = "tls: client didn't provide a certificate"

// whyUnshaken returns the reason of a handshake's error.
func whyUnshaken(err error) string {
	var header tls.RecordHeaderError
	var untrusted *tls.CertificateVerificationError
	var operation *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &header) && speaksHTTP(header.RecordHeader):
		return ClearText
	case errors.As(err, &untrusted), err.Error() == noCertificate:
		return NoCertificate
	case errors.As(err, &operation) && operation.Op == "remote error":
		return Alert
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &timeout):
		return Unfinished
	}
	return NotTLS
}

// speaksHTTP reports whether what should be a record's header begins a request.
func speaksHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PRI *":
		return true
	}
	return false
}
