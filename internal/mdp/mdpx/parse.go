package mdpx

import (
	"encoding/binary"
	"fmt"

	"mdpgateway/internal/mdp"
)

// Speaks reports whether a message is one of MDPX/1, by its header.
func Speaks(frames [][]byte) bool { return len(frames) > 0 && string(frames[0]) == Header }

// A FromGateway is a message to the broker.
type FromGateway struct {
	Command Command
	ID      ID       // of Request and Cancel
	Service []byte   // of Request; CheckService says whether it can be one
	TTL     TTL      // of Request
	Body    [][]byte // of Request: at least one frame
}

// ParseFromGateway takes a message to the broker apart (without the routing id). The
// result shares memory with frames. The error is a *mdp.MessageError.
//
//	REQUEST    MDPX01 \x01 id service ttl body…
//	CANCEL     MDPX01 \x02 id
//	WATCH      MDPX01 \x03
//	HEARTBEAT  MDPX01 \x04
func ParseFromGateway(frames [][]byte) (m FromGateway, err error) {
	var rest [][]byte
	if m.Command, rest, err = command(frames); err != nil {
		return m, err
	}
	switch m.Command {
	case Request:
		if len(rest) < 4 || len(rest[2]) != len(m.TTL) {
			return m, malformed("a REQUEST of %d frames", frames)
		}
		m.Service, m.TTL, m.Body = rest[1], TTL(rest[2]), rest[3:]
		m.ID, err = id(rest)
	case Cancel:
		if len(rest) != 1 {
			return m, malformed("a CANCEL of %d frames", frames)
		}
		m.ID, err = id(rest)
	case Watch, Heartbeat:
		if len(rest) != 0 {
			return m, malformed("a WATCH or HEARTBEAT of %d frames", frames)
		}
	default:
		return m, unfit(mdp.ReasonMalformed, "a gateway's message with command %02x", byte(m.Command))
	}
	return m, err
}

// A FromBroker is a message to the gateway.
type FromBroker struct {
	Command  Command
	ID       ID        // of Partial, Final, Refused and Gone
	Body     [][]byte  // of Partial and Final; may be empty
	Code     Code      // of Refused and Gone
	Services []Service // of Services
}

// ParseFromBroker takes a message to the gateway apart. The result shares memory with
// frames. The error is a *mdp.MessageError.
//
//	PARTIAL    MDPX01 \x11 id body…
//	FINAL      MDPX01 \x12 id body…
//	REFUSED    MDPX01 \x13 id code
//	GONE       MDPX01 \x14 id code
//	SERVICES   MDPX01 \x15 (service workers+busy+queued)…
//	HEARTBEAT  MDPX01 \x16
func ParseFromBroker(frames [][]byte) (m FromBroker, err error) {
	var rest [][]byte
	if m.Command, rest, err = command(frames); err != nil {
		return m, err
	}
	switch m.Command {
	case Partial, Final:
		if m.ID, err = id(rest); err == nil {
			m.Body = rest[1:]
		}
	case Refused, Gone:
		if len(rest) != 2 {
			return m, malformed("a REFUSED or GONE of %d frames", frames)
		}
		m.ID, err = id(rest)
		if m.Code = codes[string(rest[1])]; m.Code == "" {
			m.Code = UnknownCode
		}
	case Services:
		m.Services, err = services(rest)
	case HeartbeatReply:
		if len(rest) != 0 {
			return m, malformed("a HEARTBEAT of %d frames", frames)
		}
	default:
		return m, unfit(mdp.ReasonMalformed, "a broker's message with command %02x", byte(m.Command))
	}
	return m, err
}

// command checks the header and returns the command and what follows it.
func command(frames [][]byte) (Command, [][]byte, error) {
	if !Speaks(frames) {
		return 0, nil, unfit(mdp.ReasonHeader, "a message whose header is not %q", Header)
	}
	if len(frames) < 2 || len(frames[1]) != 1 {
		return 0, nil, malformed("a message of %d frames without command", frames)
	}
	return Command(frames[1][0]), frames[2:], nil
}

// id reads the first of the frames after the command.
func id(rest [][]byte) (id ID, err error) {
	if len(rest) == 0 || len(rest[0]) != len(id) {
		return id, unfit(mdp.ReasonMalformed, "a message without an id of %d bytes", len(id))
	}
	return ID(rest[0]), nil
}

// services reads the frames of a SERVICES after the command.
func services(rest [][]byte) ([]Service, error) {
	if len(rest)%2 != 0 {
		return nil, malformed("SERVICES with %d frames, want pairs", rest)
	}
	all := make([]Service, 0, len(rest)/2)
	for ; len(rest) > 0; rest = rest[2:] {
		name, counts := rest[0], rest[1]
		if err := mdp.CheckService(name); err != nil {
			return nil, &mdp.MessageError{Reason: mdp.ReasonName, Err: err}
		}
		if len(counts) != countBytes {
			return nil, unfit(mdp.ReasonMalformed, "SERVICES with %d bytes of numbers, want %d", len(counts), countBytes)
		}
		all = append(all, Service{
			Name:    string(name),
			Workers: binary.BigEndian.Uint32(counts), Busy: binary.BigEndian.Uint32(counts[4:]), Queued: binary.BigEndian.Uint32(counts[8:]),
		})
	}
	return all, nil
}

func malformed(format string, frames [][]byte) error {
	return unfit(mdp.ReasonMalformed, format, len(frames))
}

func unfit(reason, format string, args ...any) error {
	return &mdp.MessageError{Reason: reason, Err: fmt.Errorf(format, args...)}
}
