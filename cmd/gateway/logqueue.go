package main

import (
	"io"
	"sync"
	"time"
)

const (
	// flushEvery is the longest that a line waits for others to be written together
	// with, and flushSize how much of them does.
	flushEvery = 200 * time.Millisecond
	flushSize  = 64 << 10

	// mostWaiting bounds what waits because it can't be written.
	mostWaiting = 4 << 20
)

// A logQueue writes lines on a goroutine of its own. What they go to may stall, as
// a pipe does that nobody reads: who logs, perhaps under a mutex, does not wait for
// it. The lines that find no room then are dropped, and a line says how many.
//
// It has no other place to complain to, so it does not say what fails. A disk that
// was full for a moment loses the lines of that moment.
type logQueue struct {
	// Set once.
	to      io.Writer
	tell    func(lost int) []byte // the line that says it
	ticks   <-chan time.Time      // every flushEvery
	wake    chan struct{}         // lines should be written at once
	stop    chan struct{}         // closed by close
	stopped sync.Once
	done    chan struct{} // closed when run has returned

	// Owned by run.
	spare []byte // an empty buffer

	// Guarded by mu.
	mu      sync.Mutex
	waiting []byte
	lost    int  // lines that came since waiting is full
	direct  bool // run has returned: who logs writes
}

// newLogQueue starts the goroutine that writes, which close ends.
func newLogQueue(to io.Writer, ticks <-chan time.Time, tell func(lost int) []byte) *logQueue {
	q := &logQueue{
		to: to, tell: tell, ticks: ticks,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go q.run()
	return q
}

// Write adds one line. It is of zapcore.WriteSyncer, like Sync.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.direct:
		_, _ = q.to.Write(line)
	case q.lost > 0 || len(q.waiting)+len(line) > mostWaiting:
		q.lost++ // once one is lost, all are until there is room: the order stays
	default:
		q.waiting = append(q.waiting, line...)
		if len(q.waiting) >= flushSize {
			q.signal()
		}
	}
	return len(line), nil
}

// Sync has what waits written at once. It does not wait for that.
func (q *logQueue) Sync() error {
	q.signal()
	return nil
}

func (q *logQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *logQueue) run() {
	defer close(q.done)
	for more := true; more; {
		select {
		case <-q.ticks:
		case <-q.wake:
		case <-q.stop:
			more = false
		}
		q.write(q.take())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.direct = true
	q.write(q.taken())
}

// take takes out what waits.
func (q *logQueue) take() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken()
}

// taken is take for who holds the mutex.
func (q *logQueue) taken() []byte {
	text := q.waiting
	if q.lost > 0 {
		text = append(text, q.tell(q.lost)...)
	}
	q.waiting, q.lost, q.spare = q.spare, 0, nil
	return text
}

func (q *logQueue) write(text []byte) {
	if len(text) > 0 {
		_, _ = q.to.Write(text)
	}
	if cap(text) <= 4*flushSize { // a larger one was for a stall
		q.spare = text[:0]
	}
}

// close has what waits written, and waits for that, but no longer than lastWords.
// What is logged afterwards is still written, unless it took longer.
func (q *logQueue) close() {
	q.stopped.Do(func() { close(q.stop) })
	select {
	case <-q.done:
	case <-time.After(lastWords):
	}
}
