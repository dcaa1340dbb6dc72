package mdp

import (
	"bytes"
	"fmt"
)

// Reasons of a MessageError: why a message is not the one that was waited for.
const (
	ReasonHeader    = "wrong_header"  // of another dialect, or without its delimiter
	ReasonAsked     = "wrong_service" // from a service that was not asked
	ReasonMalformed = "malformed"     // too short, or with an unknown command
	ReasonName      = "service_name"  // a name that no service can have
)

// A MessageError says why a message is not one of the protocol, or not the one that
// was waited for.
type MessageError struct {
	Reason string // a constant, fit for a label
	Err    error  // with what was received, cut to what a log line can hold
}

func (e *MessageError) Error() string { return e.Reason + ": " + e.Err.Error() }

// Unwrap returns what was received in place of the message.
func (e *MessageError) Unwrap() error { return e.Err }

// ParseReply takes apart what a broker sent to the client that asked for
// service. The body shares memory with frames; final is false if more messages
// of this reply follow. The error is a *MessageError.
//
//	mdp/0.1    '' MDPC01 service body…
//	mdp/0.2    MDPC02 \x02 service body… (PARTIAL), MDPC02 \x03 service body… (FINAL)
//	loudify    '' C01 service '' body…, and without the second '' from mmi.*
//	majortomo  '' MDPC02 \x03 body… (partial), '' MDPC02 \x04 body… (final)
func (d Dialect) ParseReply(service string, frames [][]byte) (body [][]byte, final bool, err error) {
	l := d.layout()
	rest, err := l.afterHeader(frames, l.client)
	if err != nil {
		return nil, false, err
	}
	final = true
	if l.final != nil {
		if len(rest) == 0 {
			return nil, false, malformed("a reply without command")
		}
		if final = bytes.Equal(rest[0], l.final); !final && !bytes.Equal(rest[0], l.partial) {
			return nil, false, malformed("a reply with command %x", head(rest[0]))
		}
		rest = rest[1:]
	}
	if l.namesService {
		if len(rest) == 0 {
			return nil, false, malformed("a reply without service")
		}
		if string(rest[0]) != service {
			return nil, false, unfit(ReasonAsked, "a reply of service %q", head(rest[0]))
		}
		rest = rest[1:]
	}
	if l.padded && !IsMMI(service) {
		if len(rest) == 0 || len(rest[0]) != 0 {
			return nil, false, malformed("a reply without the empty frame after its service")
		}
		rest = rest[1:]
	}
	return rest, final, nil
}

// AppendReply appends the frames of a reply as a broker sends it to the client
// that asked for service. A dialect without partial replies must not be given
// one.
func (d Dialect) AppendReply(dst [][]byte, service []byte, body [][]byte, final bool) [][]byte {
	l := d.layout()
	if l.delimiter {
		dst = append(dst, nil)
	}
	dst = append(dst, l.client)
	switch {
	case l.final == nil:
	case final:
		dst = append(dst, l.final)
	default:
		dst = append(dst, l.partial)
	}
	if l.namesService {
		dst = append(dst, service)
	}
	if l.padded && !IsMMI(service) {
		dst = append(dst, nil)
	}
	return append(dst, body...)
}

// statusBadRequest is how brokers written in Java (jeromq's, zguide's) say 404.
const statusBadRequest = "400"

// loudifyFailure is the first frame of a loudify worker's reply that it failed.
const loudifyFailure = "\x06"

// Failed reports whether a reply of these frames means, in the dialect, that the
// worker failed: loudify's workers alone have a reply that says so.
func (d Dialect) Failed(frames [][]byte) bool {
	return d == Loudify && len(frames) > 0 && string(frames[0]) == loudifyFailure
}

// ParseStatus reads the answer to AppendLookup's question: its last frame, since
// brokers differ in what precedes it.
func (d Dialect) ParseStatus(frames [][]byte) (status string, err error) {
	body, final, err := d.ParseReply(MMIService, frames)
	if err != nil {
		return "", err
	}
	if !final || len(body) == 0 {
		return "", malformed("an answer of %s without status", MMIService)
	}
	switch s := string(body[len(body)-1]); s {
	case StatusFound, StatusNotFound, StatusNotImplemented:
		return s, nil
	case statusBadRequest:
		return StatusNotFound, nil
	default:
		return "", malformed("an answer of %s with status %q", MMIService, head([]byte(s)))
	}
}

func malformed(format string, args ...any) error {
	return unfit(ReasonMalformed, format, args...)
}

func unfit(reason, format string, args ...any) error {
	return &MessageError{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// head cuts a frame down to what a log line can hold.
func head(frame []byte) []byte { return frame[:min(len(frame), 32)] }
