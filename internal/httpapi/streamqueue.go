package httpapi

import (
	"context"
	"sync"
	"time"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/mdp"
)

// How far the reader of a stream may be behind its worker, and for how long it may
// be as far behind as that: a worker's burst is no fault of the reader's.
const (
	mostBehind      = 256     // frames
	mostBytesBehind = 8 << 20 // of them
	patience        = time.Second
)

// A streamQueue stands between a call, whose goroutine must go on reading its
// socket, and a reader who may be slow. Until stop returns, its own goroutine is
// the only one that writes the stream.
//
// What waits is counted in the lease beside the request's body, which lives as long
// as the call. A reader too far behind ends the call, which
// frees its socket; what waits is still written, so that one who is only
// slow learns why, as long as each write is taken in its time.
type streamQueue struct {
	// Set once.
	ctx    context.Context // of the call
	stream *codec.Stream
	cancel context.CancelCauseFunc // ends the call
	wake   chan struct{}           // there is something to do
	room   chan struct{}           // there is more room, or the end of writing
	ended  chan struct{}           // closed when the goroutine has returned

	mu sync.Mutex

	// Guarded by mu.
	lease   *budget.Lease // body and bytes
	body    int64         // of the request, until forget
	waiting [][][]byte    // the first is being written
	frames  int           // of all that waits
	bytes   int64
	grace   time.Duration // how long put may wait yet, until nothing waits again
	closed  bool          // nothing more will come
	err     error         // of writing
}

// newStreamQueue starts the goroutine that writes. The caller has to call stop;
// until then the lease and the stream belong to the queue. A write that fails
// calls cancel, which ends ctx.
func newStreamQueue(ctx context.Context, cancel context.CancelCauseFunc, s *codec.Stream, lease *budget.Lease) *streamQueue {
	q := &streamQueue{
		ctx: ctx, cancel: cancel, stream: s, lease: lease, body: lease.Bytes(), grace: patience,
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go q.run()
	return q
}

// put adds a PARTIAL, and keeps its frames. Without room for it, it waits, but no
// longer than patience in all until the reader has caught up.
func (q *streamQueue) put(frames [][]byte) error {
	for {
		full, err := q.add(frames)
		if !full {
			return err
		}
		if err := q.await(); err != nil {
			return err
		}
	}
}

// add adds a PARTIAL, or says that there is no room. One that is large by itself
// has room if no other waits.
func (q *streamQueue) add(frames [][]byte) (full bool, err error) {
	n, size := max(1, len(frames)), mdp.Size(frames)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return false, q.err
	}
	if len(q.waiting) > 0 && (q.frames+n > mostBehind || q.bytes+size > mostBytesBehind) {
		return true, nil
	}
	if err := hold(q.lease, q.body+q.bytes+size); err != nil {
		return false, err
	}
	if len(q.waiting) == 0 {
		q.grace = patience // not where the last is written: put may yet subtract what it waited
	}
	if frames == nil {
		frames = [][]byte{} // a part without frames is one
	}
	q.waiting = append(q.waiting, frames)
	q.frames += n
	q.bytes += size
	signal(q.wake)
	return false, nil
}

// await waits for more room. The error is why it won't be awaited.
func (q *streamQueue) await() error {
	q.mu.Lock()
	grace := q.grace
	q.mu.Unlock()
	start := time.Now()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-q.room:
	case <-timer.C:
		return &gateway.Error{Kind: gateway.ReplyTooLarge, Reason: gateway.ReasonReader, Detail: "the reader is too far behind the service"}
	case <-q.ctx.Done():
		return gateway.Ended(q.ctx, true)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.grace -= time.Since(start)
	return nil
}

// forget gives back what the request's body has held: the call has returned.
func (q *streamQueue) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.body = 0
	q.lease.Resize(q.bytes)
}

// expect counts the last reply, which its owner writes after stop; the
// body is forgotten by then.
func (q *streamQueue) expect(frames [][]byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := mdp.Size(frames)
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
	signal(q.wake)
	q.mu.Unlock()
	<-q.ended
	return q.err
}

// signal tells who waits, who may not have noticed the last time yet.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run writes what comes, and pings after each time in which nothing did. A panic is
// an error of writing: here it would end the process.
func (q *streamQueue) run() {
	defer close(q.ended)
	defer func() {
		if v := recover(); v != nil {
			e := bug(v)
			q.fail(e, e)
		}
	}()
	quiet := time.NewTimer(pingEvery)
	defer quiet.Stop()
	for {
		frames, more, over := q.first()
		switch {
		case frames != nil:
			write := q.stream.Partial
			if more {
				write = q.stream.PartialOfMore
			}
			if !q.check(write(frames)) {
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

// first returns what is to be written next, if anything, and whether more follows;
// or that nothing will come.
func (q *streamQueue) first() (frames [][]byte, more, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		return q.waiting[0], len(q.waiting) > 1, false
	}
	return nil, false, q.closed
}

// check notes the error of a write, if there is one, and reports whether there is
// none.
func (q *streamQueue) check(err error) bool {
	if err == nil {
		return true
	}
	q.fail(err, gateway.AsError(err).Err) // the bare cause: whether it was sent, the call knows
	return false
}

// fail notes an error of writing, and ends the call with that cause.
func (q *streamQueue) fail(err, cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err, q.waiting = err, nil
	signal(q.room)
	q.cancel(cause)
}

// written gives back what the part that was first has held.
func (q *streamQueue) written(frames [][]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	q.frames -= max(1, len(frames))
	q.bytes -= mdp.Size(frames)
	q.lease.Resize(q.body + q.bytes)
	signal(q.room)
}
