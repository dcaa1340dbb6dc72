package httpapi

import (
	"context"
	"sync"
	"time"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/mdp"
)

// How far the reader of a stream may be behind its worker.
const (
	mostBehind      = 256     // frames
	mostBytesBehind = 8 << 20 // of them
)

// A streamQueue stands between a call, whose goroutine must go on reading its
// socket, and a reader who may be slow. Until stop returns, its own goroutine is
// the only one that writes the stream.
//
// What waits is counted in the lease. A reader too far behind ends the call, which
// frees its socket at once; what waits is still written, so that one who is only
// slow learns why, as long as each write is taken in its time.
type streamQueue struct {
	// Set once.
	stream *codec.Stream
	cancel context.CancelCauseFunc // ends the call
	wake   chan struct{}           // there is something to do
	ended  chan struct{}           // closed when the goroutine has returned

	mu sync.Mutex

	// Guarded by mu.
	lease   *budget.Lease // what waits, and in the beginning the request's body
	waiting [][][]byte    // the first is being written
	frames  int           // of all that waits
	bytes   int64
	closed  bool  // nothing more will come
	err     error // of writing
}

// newStreamQueue starts the goroutine that writes. The caller has to call stop;
// until then the lease and the stream belong to the queue. A write that fails
// calls cancel.
func newStreamQueue(s *codec.Stream, lease *budget.Lease, cancel context.CancelCauseFunc) *streamQueue {
	q := &streamQueue{stream: s, lease: lease, cancel: cancel, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go q.run()
	return q
}

// put adds a PARTIAL. It never waits, and keeps the frames. One that is large by
// itself has room if no other waits.
func (q *streamQueue) put(frames [][]byte) error {
	n, size := max(1, len(frames)), framesSize(frames)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	if len(q.waiting) > 0 && (q.frames+n > mostBehind || q.bytes+size > mostBytesBehind) {
		return &mdp.Error{Kind: mdp.ReplyTooLarge, Reason: mdp.ReasonReader, Detail: "the reader is too far behind the service"}
	}
	if err := hold(q.lease, q.bytes+size); err != nil {
		return err
	}
	q.waiting = append(q.waiting, frames)
	q.frames += n
	q.bytes += size
	q.signal()
	return nil
}

// expect counts the last reply, which its owner writes after stop.
func (q *streamQueue) expect(frames [][]byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := framesSize(frames)
	if err := hold(q.lease, q.bytes+size); err != nil {
		return err
	}
	q.bytes += size
	return nil
}

// stop waits until all that waits has been written or, if drop is set, only for
// the write that is under way. It returns the error of writing. It may be called
// again.
func (q *streamQueue) stop(drop bool) error {
	q.mu.Lock()
	q.closed = true
	if drop && len(q.waiting) > 1 {
		q.waiting = q.waiting[:1]
	}
	q.signal()
	q.mu.Unlock()
	<-q.ended
	return q.err
}

// signal tells the goroutine, which may not have noticed the last time yet.
func (q *streamQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run writes what comes, and pings after each time in which nothing did.
func (q *streamQueue) run() {
	defer close(q.ended)
	quiet := time.NewTimer(pingEvery)
	defer quiet.Stop()
	for {
		frames, found, over := q.first()
		switch {
		case found:
			if !q.check(q.stream.Partial(frames)) {
				return
			}
			q.written(frames)
			quiet.Reset(pingEvery)
			continue
		case over:
			return
		}
		select {
		case <-q.wake:
		case <-quiet.C:
			if !q.check(q.stream.Ping()) {
				return
			}
			quiet.Reset(pingEvery)
		}
	}
}

// first returns what is to be written next, or that nothing will be.
func (q *streamQueue) first() (frames [][]byte, found, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		return q.waiting[0], true, false
	}
	return nil, false, q.closed
}

// check notes the error of a write, if there is one, and reports whether there is
// none.
func (q *streamQueue) check(err error) bool {
	if err == nil {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err, q.waiting = err, nil
	q.cancel(mdp.AsError(err).Err) // the bare cause: whether it was sent, the call knows
	return false
}

// written gives back what the part that was first has held.
func (q *streamQueue) written(frames [][]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	q.frames -= max(1, len(frames))
	q.bytes -= framesSize(frames)
	q.lease.Resize(q.bytes)
}
