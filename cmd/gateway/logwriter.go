package main

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// mostWaiting bounds the bytes of the lines that wait for a slow reader of the log.
const mostWaiting = 4 << 20

// A logWriter is a zapcore.WriteSyncer that never blocks: a goroutine of its own writes. The
// lines that find no room, and those of a write that failed, are dropped and counted; a line
// says how many once a write succeeds.
type logWriter struct {
	// Set once.
	to   io.Writer
	tell func(dropped int) []byte // returns that line
	wake chan struct{}            // has room for one
	stop chan struct{}            // closed by close
	done chan struct{}            // closed when run has returned

	// Guarded by mu.
	mu      sync.Mutex
	waiting []byte
	full    bool // a line was dropped since run took what waited: all are, which keeps the order
	dropped int  // lines since then
}

// newLogWriter starts the goroutine that writes, which close ends.
func newLogWriter(to io.Writer, tell func(dropped int) []byte) *logWriter {
	w := &logWriter{to: to, tell: tell, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes whole lines.
func (w *logWriter) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.full = w.full || len(w.waiting)+len(lines) > mostWaiting; w.full {
		w.dropped += countLines(lines)
	} else {
		w.waiting = append(w.waiting, lines...)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return len(lines), nil
}

// Sync does nothing: what was taken is written as soon as possible.
func (w *logWriter) Sync() error { return nil }

// drops reports whether a line that matters little is dropped, which it counts then: half of
// the room is kept for the others.
func (w *logWriter) drops() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) <= mostWaiting/2 {
		return false
	}
	w.dropped++
	return true
}

func (w *logWriter) run() {
	defer close(w.done)
	failed := 0 // lines of the writes that failed since one succeeded
	var spare []byte
	for more := true; more; {
		select {
		case <-w.wake:
		case <-w.stop:
			more = false
		}
		lines, dropped := w.take(spare)
		text := lines
		if failed > 0 {
			text = append(w.tell(failed), lines...)
		}
		if dropped > 0 {
			text = append(text, w.tell(dropped)...)
		}
		if len(text) > 0 {
			if _, err := w.to.Write(text); err != nil {
				failed += countLines(lines) + dropped
			} else {
				failed = 0
			}
		}
		if spare = lines[:0]; cap(lines) > 4*flushSize { // it grew while the reader was slow
			spare = nil
		}
	}
}

// take takes out what waits, and leaves an empty buffer in its place.
func (w *logWriter) take(spare []byte) (lines []byte, dropped int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, dropped = w.waiting, w.dropped
	w.waiting, w.dropped, w.full = spare, 0, false
	return lines, dropped
}

// close writes what waits, and waits for that until lastWords have passed. It is called once.
func (w *logWriter) close() {
	close(w.stop)
	select {
	case <-w.done:
	case <-time.After(lastWords):
	}
}

func countLines(text []byte) int { return bytes.Count(text, []byte{'\n'}) }
