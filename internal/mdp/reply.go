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
//	zproto     \xaa\xa4\x03\x06MDPC02\x03<len>service body… (final)
func (d *Dialect) ParseReply(service string, frames [][]byte) (body [][]byte, final bool, err error) {
	if d.Packed {
		if frames, err = unpack(frames); err != nil {
			return nil, false, err
		}
	}
	rest, err := afterHeader(frames, d.ReplyDelimiter, d.Header)
	if err != nil {
		return nil, false, err
	}
	if rest, final, err = d.afterCommand(rest); err != nil {
		return nil, false, err
	}
	mmi := IsMMI(service)
	if d.names(mmi) {
		if len(rest) == 0 {
			return nil, false, malformed("a reply without service")
		}
		if string(rest[0]) != service {
			return nil, false, &MessageError{ReasonAsked, string(rest[0][:min(len(rest[0]), MaxServiceName+1)]), fmt.Errorf("a reply of service %q", head(rest[0]))}
		}
		rest = rest[1:]
	}
	if d.Padded && !mmi {
		if len(rest) == 0 || len(rest[0]) != 0 {
			return nil, false, malformed("a reply without the empty frame before its body")
		}
		rest = rest[1:]
	}
	rest, err = d.afterStatus(rest)
	return rest, final, err
}

// afterCommand checks the command of a reply, if there is one, and returns what follows.
func (d *Dialect) afterCommand(frames [][]byte) (rest [][]byte, final bool, err error) {
	if d.Final == nil {
		return frames, true, nil
	}
	if len(frames) == 0 {
		return nil, false, malformed("a reply without command")
	}
	command, rest := frames[0], frames[1:]
	switch {
	case bytes.Equal(command, d.Final):
		return rest, true, nil
	case d.Partial != nil && bytes.Equal(command, d.Partial):
		return rest, false, nil
	case d.Error != nil && bytes.Equal(command, d.Error):
		return nil, false, unfit(ReasonRefused, "a reply that says that there is none: %q", heads(rest))
	}
	return nil, false, malformed("a reply with command %x", head(command))
}

// afterStatus checks the frame that says whether the request succeeded, if there is one,
// and returns what follows.
func (d *Dialect) afterStatus(frames [][]byte) ([][]byte, error) {
	switch {
	case d.OK == nil:
		return frames, nil
	case len(frames) == 0:
		return nil, malformed("a reply without the frame %q or %q", d.OK, d.Failed)
	case bytes.Equal(frames[0], d.OK):
		return frames[1:], nil
	case bytes.Equal(frames[0], d.Failed):
		return nil, unfit(ReasonRefused, "a reply that begins with %q", heads(frames))
	}
	return nil, malformed("a reply that begins with %q, want %q or %q", heads(frames), d.OK, d.Failed)
}

// AppendReply appends the frames of a reply as a broker sends it to the client
// that asked for service. A dialect without partial replies must not be given
// one.
func (d *Dialect) AppendReply(dst [][]byte, service []byte, body [][]byte, final bool) [][]byte {
	command := d.Final
	if !final {
		command = d.Partial
	}
	return append(d.appendReplyHead(dst, command, service, d.OK), body...)
}

// AppendRefusal appends the frames by which a broker says that there is no reply, and why.
// A dialect without an Error and a Failed frame must not be given one.
func (d *Dialect) AppendRefusal(dst [][]byte, service []byte, why [][]byte) [][]byte {
	if d.Error != nil {
		if !d.NamesService {
			service = nil
		}
		return append(d.appendHead(dst, d.ReplyDelimiter, d.Error, service), why...)
	}
	return append(d.appendReplyHead(dst, d.Final, service, d.Failed), why...)
}

// appendReplyHead appends all that a reply has before its body.
func (d *Dialect) appendReplyHead(dst [][]byte, command, service, status []byte) [][]byte {
	mmi := IsMMI(service)
	if !d.names(mmi) {
		service = nil
	}
	dst = d.appendHead(dst, d.ReplyDelimiter, command, service)
	if d.Padded && !mmi {
		dst = append(dst, nil)
	}
	if status != nil {
		dst = append(dst, status)
	}
	return dst
}

// HasFailed reports whether a reply of these frames means, in the dialect, that the worker
// failed.
func (d *Dialect) HasFailed(frames [][]byte) bool {
	return d.Failure != nil && len(frames) > 0 && bytes.Equal(frames[0], d.Failure)
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
