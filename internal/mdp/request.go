package mdp

import (
	"bytes"
	"errors"
	"fmt"
)

// MaxServiceName is the length of the longest service name, in bytes.
const MaxServiceName = 255

// CheckService says why a name can't be a service's: it must be 1 to 255 bytes
// of printable ASCII without spaces, not "." or "..".
func CheckService[S string | []byte](name S) error {
	switch {
	case len(name) == 0:
		return errors.New("the service name is empty")
	case len(name) > MaxServiceName:
		return fmt.Errorf("the service name has %d bytes, want at most %d", len(name), MaxServiceName)
	case string(name) == "." || string(name) == "..":
		return fmt.Errorf("the service name is %q", string(name))
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return fmt.Errorf("the service name has byte 0x%02x at offset %d, want printable ASCII without spaces", name[i], i)
		}
	}
	return nil
}

// AppendRequest appends the frames of a request to dst. It refuses what kills
// brokers: names that CheckService refuses, and mmi.*; without body it sends one
// empty frame. The result shares memory with service and body.
//
//	mdp/0.1    '' MDPC01 service body…
//	mdp/0.2    MDPC02 \x01 service body…
//	loudify    '' C01 service body…
//	majortomo  '' MDPC02 \x02 service body…
//	plantd     '' MDPC02 REQUEST service body…
//	zproto     \xaa\xa4\x01\x06MDPC02\x01<len>service body…
func (d *Dialect) AppendRequest(dst [][]byte, service []byte, body [][]byte) ([][]byte, error) {
	if err := CheckService(service); err != nil {
		return dst, err
	}
	if IsMMI(service) {
		return dst, fmt.Errorf("the service name %q belongs to the broker", service)
	}
	dst = d.appendHead(dst, d.RequestDelimiter, d.Request, service)
	if len(body) == 0 {
		return append(dst, nil), nil
	}
	return append(dst, body...), nil
}

// ParseRequest takes a request apart, as a broker receives it (without the
// routing id). The results share memory with frames.
func (d *Dialect) ParseRequest(frames [][]byte) (service []byte, body [][]byte, err error) {
	if d.Packed {
		if frames, err = unpack(frames); err != nil {
			return nil, nil, err
		}
	}
	rest, err := afterHeader(frames, d.RequestDelimiter, d.Header)
	if err != nil {
		return nil, nil, err
	}
	if d.Request != nil {
		if len(rest) == 0 || !bytes.Equal(rest[0], d.Request) {
			return nil, nil, malformed("a request without its command frame")
		}
		rest = rest[1:]
	}
	if len(rest) < 2 {
		return nil, nil, malformed("a request of %d frames", len(frames))
	}
	if err := CheckService(rest[0]); err != nil {
		return nil, nil, &MessageError{Reason: ReasonName, Err: err}
	}
	return rest[0], rest[1:], nil
}
