package mdp

import (
	"bytes"
	"fmt"
)

// A Command is what a message between a broker and a worker asks for.
type Command int

// The commands. Partial exists in V02 alone; in the other dialects the one reply
// is the Final.
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
//	PARTIAL     header \x03 client '' body…                (0.2 alone)
//	FINAL       [''] header \x03 client '' body…           (\x04 in 0.2)
//	HEARTBEAT   [''] header \x04                           (\x05 in 0.2)
//	DISCONNECT  [''] header \x05                           (\x06 in 0.2)
func (d Dialect) AppendWorker(dst [][]byte, m WorkerMessage) [][]byte {
	l := d.layout()
	if l.worker == nil || l.workerCommands[m.Command] == 0 {
		panic(fmt.Sprintf("mdp: the dialect %s has no worker command %s", d, m.Command))
	}
	if l.delimiter {
		dst = append(dst, nil)
	}
	dst = append(dst, l.worker, l.workerCommands[m.Command:m.Command+1])
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
func (d Dialect) ParseWorker(frames [][]byte) (WorkerMessage, error) {
	var m WorkerMessage
	l := d.layout()
	rest, err := l.afterHeader(frames, l.worker)
	if err != nil {
		return m, err
	}
	if len(rest) == 0 || len(rest[0]) != 1 || rest[0][0] == 0 {
		return m, malformed("a worker's message without command")
	}
	command := bytes.IndexByte(l.workerCommands, rest[0][0])
	if command < 0 {
		return m, malformed("a worker's message with command %x", rest[0])
	}
	m.Command, rest = Command(command), rest[1:]
	switch m.Command {
	case Ready:
		if len(rest) != 1 {
			return m, malformed("READY with %d frames after the command, want 1", len(rest))
		}
		m.Service = rest[0]
	case Work, Partial, Final:
		if len(rest) < 2 || len(rest[1]) != 0 {
			return m, malformed("%s without a client and an empty frame", m.Command)
		}
		m.Client, m.Body = rest[0], rest[2:]
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
// dialect. It knows the dialects that have workers.
func Identify(frames [][]byte) (Dialect, Peer) {
	for d := range layouts {
		l := &layouts[d]
		if l.worker == nil {
			continue
		}
		switch header := l.header(frames); {
		case header == nil:
		case bytes.Equal(header, l.client):
			return Dialect(d), Client
		case bytes.Equal(header, l.worker):
			return Dialect(d), Worker
		}
	}
	return 0, Unknown
}
