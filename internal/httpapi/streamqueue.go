package httpapi

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/mdp"
)

// How far the reader of a stream may be behind its worker, and for how long the worker
// waits beyond that: a burst of the worker's is no fault of the reader's.
const (
	mostBehind      = 256     // frames
	mostBytesBehind = 8 << 20 // of them
	patience        = time.Second
)

// A streamQueue stands between a call, whose goroutine must go on reading its socket,
// and a reader who may be slow. Until stop returns, its own goroutine is the only one
// that writes the stream.
//
// A reader too far behind ends the call, which frees its socket. What waits is still
// written, so that a slow reader learns why, as long as each write is taken in its time.
type streamQueue struct {
	// Set once.
	ctx    context.Context         // of the call
	cancel context.CancelCauseFunc // ends the call
	stream *codec.Stream
	budget *budget.Budget      // of the parts that wait
	frames *semaphore.Weighted // of mostBehind
	bytes  *semaphore.Weighted // of mostBytesBehind
	parts  chan [][]byte       // has room for mostBehind, so that who has taken frames never waits
	ended  chan struct{}       // closed when the goroutine has returned

	behind  atomic.Int64 // parts that are not written yet
	held    atomic.Int64 // of the budget
	dropped atomic.Bool  // of what waits, only the first is to be written
	stopped sync.Once

	grace time.Duration // how long put may wait yet; owned by the call's goroutine
	err   error         // of writing; owned by run until ended is closed
}

// newStreamQueue starts the goroutine that writes. The caller has to call stop. A write
// that fails calls cancel, which ends ctx.
func newStreamQueue(ctx context.Context, cancel context.CancelCauseFunc, s *codec.Stream, b *budget.Budget) *streamQueue {
	q := &streamQueue{
		ctx: ctx, cancel: cancel, stream: s, budget: b, grace: patience,
		frames: semaphore.NewWeighted(mostBehind), bytes: semaphore.NewWeighted(mostBytesBehind),
		parts: make(chan [][]byte, mostBehind), ended: make(chan struct{}),
	}
	go q.run()
	return q
}

// put adds a PARTIAL, and keeps its frames. Without room for it, it waits, but no
// longer than patience in all until the reader has caught up. Only the call's goroutine
// may use it, and not after stop.
func (q *streamQueue) put(part [][]byte) error {
	if q.behind.Load() == 0 {
		q.grace = patience
	}
	if err := q.await(weights(part)); err != nil {
		return err
	}
	size := mdp.Size(part)
	if !q.budget.Take(size) {
		return replyTooLarge(gateway.ReasonMemory, gateway.NoMemory)
	}
	q.held.Add(size)
	q.behind.Add(1)
	q.parts <- part
	return nil
}

// weights returns how much room a part takes. One that is larger than all the room
// takes all of it.
func weights(part [][]byte) (frames, bytes int64) {
	return min(max(1, int64(len(part))), mostBehind), min(mdp.Size(part), mostBytesBehind)
}

// await takes room. The error is why there won't be any.
func (q *streamQueue) await(frames, bytes int64) error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(q.ctx, q.grace)
	defer cancel()
	err := q.frames.Acquire(ctx, frames)
	if err == nil {
		err = q.bytes.Acquire(ctx, bytes)
	}
	q.grace -= time.Since(start)
	switch {
	case q.ctx.Err() != nil:
		return gateway.Ended(q.ctx, true)
	case err != nil:
		return replyTooLarge(gateway.ReasonReader, "the reader is too far behind the service")
	}
	return nil
}

// stop waits until all that waits has been written or, if drop is set, only the first
// of it. It returns the error of writing. It may be called again.
func (q *streamQueue) stop(drop bool) error {
	if drop {
		q.dropped.Store(true)
	}
	q.stopped.Do(func() { close(q.parts) })
	<-q.ended
	q.budget.Release(q.held.Swap(0))
	return q.err
}

// run writes what comes, and pings after each time in which nothing did. A panic is
// an error of writing: here it would end the process.
func (q *streamQueue) run() {
	defer close(q.ended)
	defer func() {
		if v := recover(); v != nil {
			q.err = bug(v)
			q.cancel(q.err)
		}
	}()
	quiet := time.NewTimer(pingEvery)
	defer quiet.Stop()
	for q.err == nil {
		select {
		case part, more := <-q.parts:
			if !more {
				return
			}
			q.err = q.write(part)
			if q.err == nil && q.dropped.Load() {
				return
			}
		case <-quiet.C:
			q.err = q.stream.Ping()
		}
		quiet.Reset(pingEvery)
	}
	q.cancel(gateway.AsError(q.err).Err) // the bare cause: whether it was sent, the call knows
}

// write writes a part and gives back its room. A part that another follows at once is
// flushed with that.
func (q *streamQueue) write(part [][]byte) error {
	write := q.stream.Partial
	if len(q.parts) > 0 {
		write = q.stream.PartialOfMore
	}
	err := write(part)
	frames, bytes := weights(part)
	size := mdp.Size(part)
	q.held.Add(-size)
	q.budget.Release(size)
	q.behind.Add(-1)
	q.frames.Release(frames)
	q.bytes.Release(bytes)
	return err
}
