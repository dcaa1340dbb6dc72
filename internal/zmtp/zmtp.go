// Package zmtp is ZeroMQ's protocol (ZMTP 3.0, RFC 23) without libzmq, as far as it is used here: the handshake, which
// says what is at the other end of a connection, and a DEALER's connection without encryption, over which mdp/mux has
// thousands of calls in flight. All other sockets are libzmq's (mdp/internal/zsock).
package zmtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The greeting: signature, version, mechanism, as-server, filler.
const (
	greetingSize  = 64
	signatureSize = 10
	mechanismAt   = 12
	mechanismSize = 20
	maxCommand    = 4 << 10 // bytes of a command that is read
)

// The flags of a frame.
const (
	flagLong    = 2
	flagCommand = 4
)

// ErrNotZeroMQ says that the other end speaks another protocol.
var ErrNotZeroMQ = errors.New("it does not speak ZeroMQ's protocol")

// A Peer is what a handshake tells of the other end.
type Peer struct {
	Version    string // of ZMTP, such as 3.1; 2.0 for libzmq 3
	Mechanism  string // NULL, PLAIN or CURVE
	SocketType string // such as ROUTER; empty if the mechanism keeps it secret
}

// Greet makes the handshake of a DEALER as far as it goes without keys: to the end with NULL, else to the name of the
// mechanism. The error is ErrNotZeroMQ, the other end's refusal, or that of c, whose deadline bounds it.
func Greet(c io.ReadWriter) (Peer, error) { return greet(c, nil) }

// greet is Greet of a DEALER with a routing id.
func greet(c io.ReadWriter, routingID []byte) (Peer, error) {
	// The other end tells its mechanism once it knows the version, and hangs up if ours is another.
	ours := greeting()
	if _, err := c.Write(ours[:signatureSize+1]); err != nil {
		return Peer{}, err
	}
	var got [greetingSize]byte
	if _, err := io.ReadFull(c, got[:1]); err != nil {
		return Peer{}, err
	}
	if got[0] != 0xff {
		return Peer{}, ErrNotZeroMQ
	}
	if _, err := io.ReadFull(c, got[1:signatureSize+1]); err != nil {
		return Peer{}, err
	}
	if got[signatureSize-1] != 0x7f {
		return Peer{}, ErrNotZeroMQ
	}
	if got[signatureSize] < 3 {
		return Peer{Version: "2.0", Mechanism: "NULL"}, nil
	}
	if _, err := io.ReadFull(c, got[signatureSize+1:]); err != nil {
		return Peer{}, err
	}
	mechanism := got[mechanismAt : mechanismAt+mechanismSize]
	p := Peer{
		Version:   fmt.Sprintf("%d.%d", got[signatureSize], got[signatureSize+1]),
		Mechanism: printable(bytes.TrimRight(mechanism, "\x00")),
	}
	if p.Mechanism != "NULL" {
		return p, nil
	}
	if _, err := c.Write(append(ours[signatureSize+1:], ready(routingID)...)); err != nil {
		return p, err
	}
	name, rest, err := readCommand(c)
	switch {
	case err != nil:
		return p, err
	case name == "ERROR" && len(rest) > 0:
		return p, fmt.Errorf("it refuses: %s", printable(rest[1:]))
	case name != "READY":
		return p, fmt.Errorf("it answers the handshake with the command %s, want READY", name)
	}
	p.SocketType, err = socketType(rest)
	return p, err
}

func greeting() []byte {
	b := make([]byte, greetingSize)
	b[0], b[signatureSize-1], b[signatureSize] = 0xff, 0x7f, 3
	copy(b[mechanismAt:], "NULL")
	return b
}

// ready returns the command READY of a DEALER: its name, then properties, each a name and a value with their sizes.
func ready(routingID []byte) []byte {
	body := []byte("\x05READY" + "\x0bSocket-Type\x00\x00\x00\x06DEALER" + "\x08Identity\x00\x00\x00")
	body = append(append(body, byte(len(routingID))), routingID...) // #nosec G115 -- at most 16 bytes
	return append([]byte{flagCommand, byte(len(body))}, body...)    // #nosec G115 -- it has 41 bytes and the id
}

func readCommand(r io.Reader) (name string, rest []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return "", nil, err
	}
	size := uint64(head[1])
	if head[0]&flagLong != 0 {
		if _, err := io.ReadFull(r, head[2:]); err != nil {
			return "", nil, err
		}
		size = binary.BigEndian.Uint64(head[1:])
	}
	if head[0]&flagCommand == 0 || size == 0 || size > maxCommand {
		return "", nil, ErrNotZeroMQ
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return "", nil, err
	}
	end := 1 + int(body[0])
	if end > len(body) {
		return "", nil, ErrNotZeroMQ
	}
	return printable(body[1:end]), body[end:], nil
}

// socketType returns the property Socket-Type of a READY.
func socketType(properties []byte) (string, error) {
	for len(properties) > 0 {
		end := 1 + int(properties[0])
		if len(properties) < end+4 {
			return "", ErrNotZeroMQ
		}
		name, size := properties[1:end], uint64(binary.BigEndian.Uint32(properties[end:]))
		properties = properties[end+4:]
		if uint64(len(properties)) < size {
			return "", ErrNotZeroMQ
		}
		if strings.EqualFold(string(name), "Socket-Type") {
			return printable(properties[:size]), nil
		}
		properties = properties[size:]
	}
	return "", nil
}

// printable returns what a peer sent as text for a terminal: ASCII that is printed as it is.
func printable(text []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, string(text))
}
