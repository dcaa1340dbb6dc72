package broker

import (
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/internal/zsock"
)

// An outbox holds what a client was sent and could not be handed over, because
// ZeroMQ's own queue for its connection is full: a burst of PARTIALs comes faster
// than any client reads. A client that has none reads all it is sent.
type outbox struct {
	// Set once.
	client []byte // routing id

	messages list[outgoing] // never empty
	bytes    int64          // of them
	overrun  bool           // a message was dropped since the client last took one

	level int          // of state.retries that it is in
	retry time.Time    // when the client is tried again
	turn  node[outbox] // in state.retries[level]
	rank  node[outbox] // in state.stalled
}

// An outgoing is one message of a reply on its way to a client.
type outgoing struct {
	frames  [][]byte // the client's routing id first
	size    int64
	request *request // that it answers; nil if the broker did (mmi.*)
	final   bool
	place   node[outgoing] // in outbox.messages
}

// A client that takes nothing is tried again after firstRetry, then after twice
// that time, and so on up to retryLevels steps, 256 ms; one that took something
// begins anew. ZeroMQ tells that there is room, but not for whom.
const (
	firstRetry  = time.Millisecond
	retryLevels = 9
)

// clientShare is which part of Config.OutboxBytes one client may take.
const clientShare = 4

// toClient sends one message of a reply, behind those that wait for the client
// already. The error is zsock.ErrUnreachable if the client is gone, and
// zsock.ErrAgain if it does not read and all that may wait for it does.
func (s *state) toClient(now time.Time, d mdp.Dialect, id, service []byte, r *request, body [][]byte, final bool) error {
	box := s.outboxes[string(id)]
	if box == nil {
		err := s.post(d.AppendReply(append(s.scratch[:0], id), service, body, final))
		if err == nil && final && r != nil {
			s.count.replies++
		}
		if err != zsock.ErrAgain {
			return err
		}
	}
	frames := d.AppendReply(append(make([][]byte, 0, len(body)+6), id), service, body, final)
	return s.keep(now, box, &outgoing{frames: frames, size: sizeOf(frames), request: r, final: final})
}

// keep puts m into its client's outbox, which is nil if there is none yet. If
// that breaks the bound of all, the clients that took nothing for the longest
// time lose theirs.
func (s *state) keep(now time.Time, box *outbox, m *outgoing) error {
	if box != nil && box.bytes+m.size > s.cfg.OutboxBytes/clientShare || m.size > s.cfg.OutboxBytes {
		return s.refuse(box)
	}
	for s.outgoing+m.size > s.cfg.OutboxBytes {
		oldest := s.stalled.front()
		if oldest == box {
			return s.refuse(box)
		}
		s.warn(oldest)
		s.discard(oldest, dropClientSlow)
	}
	if box == nil {
		box = &outbox{client: m.frames[0]}
		s.outboxes[string(box.client)] = box
		s.stalled.pushBack(&box.rank, box)
		s.retryLater(now, box, 0)
	}
	box.messages.pushBack(&m.place, m)
	box.bytes += m.size
	s.outgoing += m.size
	return nil
}

func (s *state) refuse(box *outbox) error {
	if box != nil && !box.overrun {
		box.overrun = true
		s.warn(box)
	}
	return zsock.ErrAgain
}

func (s *state) warn(box *outbox) {
	s.cfg.Log.Warn("a client does not read, replies to it are dropped",
		zap.Binary("peer", box.client), zap.Int("messages", box.messages.len), zap.Int64("bytes", box.bytes))
}

// flush hands over what the client takes now.
func (s *state) flush(now time.Time, box *outbox) {
	before := box.messages.len
	switch err := s.deliver(box); {
	case err == nil:
		s.remove(box)
	case err != zsock.ErrAgain:
		s.discard(box, dropClientGone)
	case box.messages.len == before:
		s.retryLater(now, box, min(box.level+1, retryLevels-1))
	default:
		box.overrun = false
		box.rank.remove()
		s.stalled.pushBack(&box.rank, box)
		s.retryLater(now, box, 0)
	}
}

// deliver sends what is in an outbox until an error says that no more goes.
func (s *state) deliver(box *outbox) error {
	for m := box.messages.front(); m != nil; m = box.messages.front() {
		if err := s.send(m.frames); err != nil {
			return err
		}
		s.take(box, m)
		if m.final && m.request != nil {
			s.count.replies++
		}
	}
	return nil
}

// take removes a message from its outbox.
func (s *state) take(box *outbox, m *outgoing) {
	m.place.remove()
	box.bytes -= m.size
	s.outgoing -= m.size
}

func (s *state) retryLater(now time.Time, box *outbox, level int) {
	box.turn.remove()
	box.level, box.retry = level, now.Add(firstRetry<<level)
	s.retries[level].pushBack(&box.turn, box)
}

// discard removes an outbox and drops what is in it. Replies that lose a message
// here end here, since one with a hole would look whole.
func (s *state) discard(box *outbox, why dropReason) {
	for m := box.messages.front(); m != nil; m = box.messages.front() {
		s.take(box, m)
		if s.drop(why); m.request != nil {
			m.request.torn = true
		}
	}
	s.remove(box)
}

// remove removes an outbox that is empty.
func (s *state) remove(box *outbox) {
	box.turn.remove()
	box.rank.remove()
	delete(s.outboxes, string(box.client))
}
