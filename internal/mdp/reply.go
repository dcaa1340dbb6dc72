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
	ReasonRefused   = "refused"       // a reply in which the broker or the worker says that it failed
)

// A MessageError says why a message is not one of the protocol, or not the one that
// was waited for.
type MessageError struct {
	Reason  string // a constant, fit for a label
	Service string // of ReasonAsked: that which the message names
	Err     error  // with what was received, cut to what a log line can hold
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
//	libmdp-0x  '' MDPC0X \x02 service body…, and \x03 if there is no reply
//	plantd     MDPC02 PARTIAL service body…, MDPC02 FINAL service body…
//	wdl83      '' MDPC01 service success body…, or failure and why
func (d Dialect) ParseReply(service string, frames [][]byte) (body [][]byte, final bool, err error) {
	l := d.layout()
	rest, err := afterHeader(frames, l.replyDelimiter(), l.client)
	if err != nil {
		return nil, false, err
	}
	if rest, final, err = l.afterCommand(rest); err != nil {
		return nil, false, err
	}
	mmi := IsMMI(service)
	if l.names(mmi) {
		if len(rest) == 0 {
			return nil, false, malformed("a reply without service")
		}
		if string(rest[0]) != service {
			return nil, false, &MessageError{ReasonAsked, string(rest[0][:min(len(rest[0]), MaxServiceName+1)]), fmt.Errorf("a reply of service %q", head(rest[0]))}
		}
		rest = rest[1:]
	}
	if l.padded && !mmi {
		if len(rest) == 0 || len(rest[0]) != 0 {
			return nil, false, malformed("a reply without the empty frame after its service")
		}
		rest = rest[1:]
	}
	if l.success != nil {
		if len(rest) == 0 || !bytes.Equal(rest[0], l.success) {
			return nil, false, unfit(ReasonRefused, "a reply that begins with %q", heads(rest))
		}
		rest = rest[1:]
	}
	return rest, final, nil
}

// afterCommand checks the command of a reply, if there is one, and returns what follows.
func (l *layout) afterCommand(frames [][]byte) (rest [][]byte, final bool, err error) {
	if l.final == nil {
		return frames, true, nil
	}
	if len(frames) == 0 {
		return nil, false, malformed("a reply without command")
	}
	command, rest := frames[0], frames[1:]
	switch {
	case bytes.Equal(command, l.final):
		return rest, true, nil
	case l.partial != nil && bytes.Equal(command, l.partial):
		return rest, false, nil
	case l.refused != nil && bytes.Equal(command, l.refused):
		return nil, false, unfit(ReasonRefused, "a reply that says that there is none: %q", heads(rest))
	}
	return nil, false, malformed("a reply with command %x", head(command))
}

// AppendReply appends the frames of a reply as a broker sends it to the client
// that asked for service. A dialect without partial replies must not be given
// one.
func (d Dialect) AppendReply(dst [][]byte, service []byte, body [][]byte, final bool) [][]byte {
	l := d.layout()
	if l.replyDelimiter() {
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
	mmi := IsMMI(service)
	if l.names(mmi) {
		dst = append(dst, service)
	}
	if l.padded && !mmi {
		dst = append(dst, nil)
	}
	if l.success != nil {
		dst = append(dst, l.success)
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

// heads cuts the first frames of a message down to what a log line can hold.
func heads(frames [][]byte) [][]byte {
	var cut [][]byte
	for _, frame := range frames[:min(len(frames), 3)] {
		cut = append(cut, head(frame))
	}
	return cut
}
