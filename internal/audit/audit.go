// Package audit writes who called what: a JSON line for each call, in a file of its own or on
// stderr. It is not the log, which drops lines that nobody takes.
//
// By default it fails closed: while a line can't be written, Ready says so, and the caller of this
// package refuses calls. The lines of the calls that are open then wait, and none is dropped. With
// BestEffort calls go on, and the lines that can't be written are counted.
package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Stderr is the name of stderr, in place of a file's.
const Stderr = "stderr"

// mostWaiting bounds the bytes that wait to be written before Ready says no.
const mostWaiting = 1 << 20

// patience is how long Close waits for lines to be written.
const patience = 2 * time.Second

// A Line is one call.
type Line struct {
	Time      time.Time `json:"time"` // when it ended
	RequestID string    `json:"request_id"`
	Principal string    `json:"principal,omitempty"` // who called; empty where anyone may
	Subject   string    `json:"subject,omitempty"`   // of its token, or the name in its certificate
	Peer      string    `json:"peer"`                // the caller's address
	Service   string    `json:"service"`
	Outcome   string    `json:"outcome"`  // ok or the code of the problem
	Executed  string    `json:"executed"` // no, maybe or yes
	In        int64     `json:"in"`       // bytes of the request's body
	Out       int64     `json:"out"`      // bytes of the answer's
}

// A Log is an audit log. Its methods are safe for concurrent use and never block, but Close.
type Log struct {
	// Set once.
	name       string
	stderr     io.Writer
	bestEffort bool
	wake       chan struct{} // has room for one
	stop       chan struct{} // closed by Close
	done       chan struct{} // closed when run has returned

	// Owned by run.
	to io.Writer // nil after a failed Reopen

	// Guarded by mu.
	mu      sync.Mutex
	waiting []byte
	failing bool
	reopen  bool
	dropped int64
}

// New opens the file of that name to append to it, or uses stderr. Close ends the log.
func New(name string, stderr io.Writer, bestEffort bool) (*Log, error) {
	l := &Log{
		name: name, stderr: stderr, bestEffort: bestEffort,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := l.open(); err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

func (l *Log) open() error {
	if l.name == Stderr {
		l.to = l.stderr
		return nil
	}
	file, err := os.OpenFile(l.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	l.to = file
	return nil
}

// Reopen closes the file and opens that of its name, which another program may have moved away.
func (l *Log) Reopen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reopen = l.name != Stderr
	l.signal()
}

// Ready reports whether a call may be made: with BestEffort always, else while lines are written.
// If they are not, it has that tried again.
func (l *Log) Ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bestEffort || !l.failing && len(l.waiting) < mostWaiting {
		return true
	}
	l.signal()
	return false
}

// Record writes a line, soon.
func (l *Log) Record(line Line) {
	text, _ := json.Marshal(line) // which can't fail: strings, numbers and a time of this age
	text = append(text, '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bestEffort && len(l.waiting)+len(text) > mostWaiting {
		l.dropped++
		return
	}
	l.waiting = append(l.waiting, text...)
	l.signal()
}

// Dropped returns how many lines were not written, which is 0 but with BestEffort.
func (l *Log) Dropped() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Close writes what waits, for as long as patience, and closes the file. It is called once.
func (l *Log) Close() error {
	close(l.stop)
	select {
	case <-l.done:
	case <-time.After(patience):
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if lost := bytes.Count(l.waiting, []byte{'\n'}); lost > 0 {
		return fmt.Errorf("audit log: %d lines were not written", lost)
	}
	return nil
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Log) run() {
	defer close(l.done)
	defer l.closeFile()
	for {
		select {
		case <-l.wake:
			l.write()
		case <-l.stop:
			l.write()
			return
		}
	}
}

// write writes what waits. What was not written waits on, or is dropped with BestEffort.
func (l *Log) write() {
	l.mu.Lock()
	reopen, text := l.reopen, l.waiting
	l.reopen = false
	l.mu.Unlock()
	if reopen {
		l.closeFile()
	}
	var err error
	if l.to == nil {
		err = l.open()
	}
	n := 0
	if err == nil && len(text) > 0 {
		n, err = l.to.Write(text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = l.waiting[n:] // what came meanwhile is behind text
	if l.failing = err != nil; l.failing && l.bestEffort {
		l.dropped += int64(bytes.Count(l.waiting, []byte{'\n'}))
		l.waiting = nil
	}
}

func (l *Log) closeFile() {
	if file, ok := l.to.(*os.File); ok && l.name != Stderr {
		_ = file.Close()
	}
	l.to = nil
}
