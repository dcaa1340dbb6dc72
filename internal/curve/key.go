// Package curve has the keys of CURVE, ZeroMQ's encryption and authentication (RFC 26): pairs, the files that hold
// them, and the list of keys that a broker lets in. It opens no socket.
package curve

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"strings"
)

// Size is the length of a key, in bytes; TextSize that of its text in Z85.
const (
	Size     = 32
	TextSize = 40
)

// A Key is a public key.
type Key [Size]byte

// String returns the key in Z85, 40 characters, as ZeroMQ's tools show it.
func (k Key) String() string { return encode([Size]byte(k)) }

// A Secret is a secret key. Logs and errors show nothing of it.
type Secret [Size]byte

// String returns no part of the secret.
func (Secret) String() string { return "secret" }

// GoString is fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// Reveal returns the secret in Z85, for a file or a socket.
func (s Secret) Reveal() string { return encode(s) }

// A Pair is a key with its secret.
type Pair struct {
	Public Key
	Secret Secret
}

// NewPair returns a random pair.
func NewPair() Pair {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return Pair{Public: Key(private.PublicKey().Bytes()), Secret: Secret(private.Bytes())}
}

// public returns the key of a secret.
func (s Secret) public() Key {
	private, err := ecdh.X25519().NewPrivateKey(s[:])
	if err != nil {
		panic(err) // 32 bytes are one
	}
	return Key(private.PublicKey().Bytes())
}

// A Client is what a client or a worker of a broker needs. Nil means a broker without CURVE.
type Client struct {
	Server Key    // of the broker
	Own    Pair   // of the client or worker
	File   string // that Own was read from, if from one
}

// Same reports whether two clients have the same keys.
func (c *Client) Same(other *Client) bool {
	return c == other || c != nil && other != nil && c.Server == other.Server && c.Own == other.Own
}

const keyWanted = "a public key: 40 characters of Z85"

// ParseKey reads a public key. The error says what is wanted.
func ParseKey(text string) (Key, error) {
	b, ok := decode(text)
	if !ok {
		return Key{}, errors.New(keyWanted)
	}
	return Key(b), nil
}

// z85 are the digits of Z85 (RFC 32).
const z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// encode writes each 4 bytes, as a big-endian number, as 5 digits.
func encode(key [Size]byte) string {
	var text [TextSize]byte
	for i := range Size / 4 {
		n := binary.BigEndian.Uint32(key[4*i:])
		for j := 4; j >= 0; j-- {
			text[5*i+j] = z85[n%85]
			n /= 85
		}
	}
	return string(text[:])
}

func decode(text string) (key [Size]byte, ok bool) {
	if len(text) != TextSize {
		return key, false
	}
	for i := range Size / 4 {
		n := uint64(0)
		for j := range 5 {
			digit := strings.IndexByte(z85, text[5*i+j])
			if digit < 0 {
				return key, false
			}
			n = 85*n + uint64(digit)
		}
		if n > math.MaxUint32 {
			return key, false
		}
		binary.BigEndian.PutUint32(key[4*i:], uint32(n))
	}
	return key, true
}
