package broker

import (
	"slices"
	"time"

	"go.uber.org/zap"
)

// An outbox holds the messages for a client that ZeroMQ could not take, because its own
// queue for the client's connection is full: a burst of PARTIALs comes faster than any
// client reads. A client without an outbox reads all that it is sent.
type outbox struct {
	client   []byte         // routing id
	messages list[outgoing] // never empty
	bytes    int64          // of them
	overrun  bool           // a message was dropped since the client last took one
	rank     node[outbox]   // in state.stalled
}

// An outgoing is one message of a reply on its way to a client.
type outgoing struct {
	frames  [][]byte // the client's routing id first
	size    int64
	request *request // that it answers; nil if the broker did (mmi.*)
	final   bool
	place   node[outgoing] // in outbox.messages
}

// ZeroMQ tells that there is room for a message, but not for whom, so one timer tries all
// outboxes: after firstRetry, or longer where there are so many that trying them would
// take more than a tenth of a CPU; and as long as no client takes a message, after twice
// the time before, up to maxRetry.
const (
	firstRetry = time.Millisecond
	maxRetry   = 256 * time.Millisecond
	perOutbox  = 10 * time.Microsecond
)

// clientShare is which part of Config.OutboxBytes one client may take.
const clientShare = 4

// toClient sends one message to a client, behind those that wait for it already, and
// reports whether it is on its way. It is not if the client is gone, or if the client does
// not read and all that may wait for it does; that is counted, and ends a mux. The frames are
// from begin; r is the request that they are an answer to, or nil; final says that they are
// its FINAL.
func (s *state) toClient(now time.Time, frames [][]byte, r *request, final bool) bool {
	defer s.end(frames)
	box := s.outboxes[string(frames[0])]
	err := errSlow
	if box == nil {
		err = s.send(frames)
	}
	if err == errSlow {
		err = s.keep(now, box, &outgoing{frames: frames, size: sizeOf(frames), request: r, final: final})
	} else if err == nil && final && r != nil {
		s.count.replies++
	}
	if err != nil {
		s.drop(clientFault(err))
		if x := s.muxes[string(frames[0])]; x != nil {
			s.hangUp(x, clientFault(err))
		}
	}
	return err == nil
}

// keep puts m, whose frames it copies, into its client's outbox, which is nil if there is none yet. If
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
	m.frames = owned(m.frames)
	if box == nil {
		box = &outbox{client: m.frames[0]}
		s.outboxes[string(box.client)] = box
		s.stalled.pushBack(&box.rank, box)
		s.scheduleRetry(now, firstRetry)
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
	return errSlow
}

func (s *state) warn(box *outbox) {
	s.cfg.Log.Warn("a client does not read, replies to it are dropped",
		zap.Binary("routing_id", box.client), zap.Int("messages", box.messages.len), zap.Int64("bytes", box.bytes))
}

// flush hands over what the clients with outboxes take now.
func (s *state) flush(now time.Time) {
	delay := 2 * s.retryDelay
	for _, box := range slices.Collect(s.stalled.all) {
		before := box.messages.len
		switch err := s.deliver(box); {
		case err == nil:
			s.remove(box)
			delay = firstRetry
		case err != errSlow:
			s.discard(box, dropClientGone)
		case box.messages.len < before:
			box.overrun = false
			box.rank.remove()
			s.stalled.pushBack(&box.rank, box)
			delay = firstRetry
		}
	}
	s.scheduleRetry(now, delay)
}

func (s *state) scheduleRetry(now time.Time, delay time.Duration) {
	s.retryDelay = min(max(delay, time.Duration(s.stalled.len)*perOutbox), maxRetry)
	s.retry = now.Add(s.retryDelay)
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

// discard removes an outbox and drops what is in it. Replies that lose a message
// here end here, since one with a hole would look whole.
func (s *state) discard(box *outbox, why dropReason) {
	for m := box.messages.front(); m != nil; m = box.messages.front() {
		s.take(box, m)
		if s.drop(why); m.request != nil {
			m.request.over = true
		}
	}
	s.remove(box)
	if x := s.muxes[string(box.client)]; x != nil {
		s.hangUp(x, why)
	}
}

// remove removes an outbox that is empty.
func (s *state) remove(box *outbox) {
	box.rank.remove()
	delete(s.outboxes, string(box.client))
}
