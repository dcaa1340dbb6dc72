package mdp

import (
	"bytes"
	"fmt"
	"slices"
)

// A Command is what a message between a broker and a worker asks for.
type Command int

// The commands. Only dialects with partial replies have Partial; in the others the one
// reply is the Final.
const (
	Ready      Command = iota // worker: serves a service
	Work                      // broker: a client's request (REQUEST in the RFCs)
	Partial                   // worker: a part of a reply, others follow
	Final                     // worker: the last part of a reply, or all of it
	Heartbeat                 // both: alive
	Disconnect                // both: goes, or must register again
)

// String returns the command's name in the RFCs.
func (c Command) String() string {
	return [...]string{"READY", "REQUEST", "PARTIAL", "FINAL", "HEARTBEAT", "DISCONNECT"}[c]
}

// A WorkerMessage is one message between a broker and a worker.
type WorkerMessage struct {
	Command Command
	Service []byte   // of Ready
	Client  []byte   // of Work, Partial and Final: the routing id of the client
	Body    [][]byte // of Work, Partial and Final
}

// AppendWorker appends the frames of a message between broker and worker. The
// result shares memory with m. It panics if d has no workers or no such command.
//
//	READY       [''] header \x01 service
//	REQUEST     [''] header \x02 client '' body…
//	PARTIAL     [''] header \x03 client '' body…           (0.2 and majortomo)
//	FINAL       [''] header \x03 client '' body…           (\x04 in 0.2 and majortomo)
//	HEARTBEAT   [''] header \x04                           (\x05 in 0.2 and majortomo)
//	DISCONNECT  [''] header \x05                           (\x06 in 0.2 and majortomo)
func (d *Dialect) AppendWorker(dst [][]byte, m WorkerMessage) [][]byte {
	if d.Worker == nil || d.Commands[m.Command] == 0 {
		panic(fmt.Sprintf("mdp: the dialect %s has no worker command %s", d, m.Command))
	}
	if d.RequestDelimiter {
		dst = append(dst, nil)
	}
	dst = append(dst, d.Worker, d.Commands[m.Command:m.Command+1])
	switch m.Command {
	case Ready:
		dst = append(dst, m.Service)
	case Work, Partial, Final:
		dst = append(dst, m.Client, nil)
		dst = append(dst, m.Body...)
	}
	return dst
}

// ParseWorker takes apart a message between broker and worker. The result shares
// memory with frames. The error is a *MessageError.
//
// It takes what brokers in the wild take: frames after the service of READY, which some
// workers send, and replies without the empty frame after the client.
func (d *Dialect) ParseWorker(frames [][]byte) (WorkerMessage, error) {
	var m WorkerMessage
	rest, err := afterHeader(frames, d.RequestDelimiter, d.Worker)
	if err != nil {
		return m, err
	}
	if len(rest) == 0 || len(rest[0]) != 1 || rest[0][0] == 0 {
		return m, malformed("a worker's message without command")
	}
	command := bytes.IndexByte(d.Commands, rest[0][0])
	if command < 0 {
		return m, malformed("a worker's message with command %x", rest[0])
	}
	m.Command, rest = Command(command), rest[1:]
	switch m.Command {
	case Ready:
		if len(rest) == 0 {
			return m, malformed("READY without a service")
		}
		m.Service = rest[0]
	case Work, Partial, Final:
		if len(rest) == 0 {
			return m, malformed("%s without a client", m.Command)
		}
		m.Client, m.Body = rest[0], rest[1:]
		if len(m.Body) > 0 && len(m.Body[0]) == 0 {
			m.Body = m.Body[1:]
		} else if m.Command == Work {
			return m, malformed("%s without the empty frame after its client", m.Command)
		}
	}
	return m, nil
}

// A Peer is the kind of the sender of a message to a broker.
type Peer int

// The peers.
const (
	Unknown Peer = iota
	Client
	Worker
)

// Identify tells from its header who sent a message to a broker, and in which
// dialect. It knows the presets that have workers, whose headers differ.
func Identify(frames [][]byte) (*Dialect, Peer) {
	for _, d := range served {
		switch header := header(frames, d.RequestDelimiter); {
		case header == nil:
		case bytes.Equal(header, d.Header):
			return d, Client
		case bytes.Equal(header, d.Worker):
			return d, Worker
		}
	}
	return nil, Unknown
}

// Headers returns the headers that Identify knows.
func Headers() (all []string) {
	for _, d := range served {
		for _, header := range [][]byte{d.Header, d.Worker} {
			if !slices.Contains(all, string(header)) {
				all = append(all, string(header))
			}
		}
	}
	return all
}

// HeaderOf returns the frame of a message where its header should be, cut to what a log
// line can hold.
func HeaderOf(frames [][]byte) []byte {
	if len(frames) > 1 && len(frames[0]) == 0 {
		frames = frames[1:]
	}
	if len(frames) == 0 {
		return nil
	}
	return head(frames[0])
}
