package mdp

import (
	"bytes"
	"errors"
	"fmt"
)

// MaxServiceName is the length of the longest service name, in bytes.
const MaxServiceName = 255

// MMIService is the broker's own service that says whether a service has workers
// (RFC 8/MMI). Its answer's last frame is one of the statuses.
const (
	MMIService = "mmi.service"
	mmiPrefix  = "mmi."

	StatusFound          = "200" // a worker is registered
	StatusNotFound       = "404" // none is
	StatusNotImplemented = "501" // the broker has no such mmi service
)

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

// IsMMI reports whether a name belongs to the broker itself (RFC 8/MMI). Callers
// may not ask for such names, workers may not register them.
func IsMMI[S string | []byte](name S) bool {
	return len(name) >= len(mmiPrefix) && string(name[:len(mmiPrefix)]) == mmiPrefix
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
func (d Dialect) AppendRequest(dst [][]byte, service []byte, body [][]byte) ([][]byte, error) {
	if err := CheckService(service); err != nil {
		return dst, err
	}
	if IsMMI(service) {
		return dst, fmt.Errorf("the service name %q belongs to the broker", service)
	}
	dst = d.appendHeader(dst, service)
	if len(body) == 0 {
		return append(dst, nil), nil
	}
	return append(dst, body...), nil
}

// AppendLookup appends the frames of the question whether a service has workers
// (RFC 8/MMI, mmi.service).
func (d Dialect) AppendLookup(dst [][]byte, service []byte) ([][]byte, error) {
	if err := CheckService(service); err != nil {
		return dst, err
	}
	return append(d.appendHeader(dst, []byte(MMIService)), service), nil
}

// appendHeader appends all that a request has before its body.
func (d Dialect) appendHeader(dst [][]byte, service []byte) [][]byte {
	l := d.layout()
	if l.delimiter {
		dst = append(dst, nil)
	}
	dst = append(dst, l.client)
	if l.request != nil {
		dst = append(dst, l.request)
	}
	return append(dst, service)
}

// ParseRequest takes a request apart, as a broker receives it (without the
// routing id). The results share memory with frames.
func (d Dialect) ParseRequest(frames [][]byte) (service []byte, body [][]byte, err error) {
	l := d.layout()
	rest, err := afterHeader(frames, l.delimiter, l.client)
	if err != nil {
		return nil, nil, err
	}
	if l.request != nil {
		if len(rest) == 0 || !bytes.Equal(rest[0], l.request) {
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
