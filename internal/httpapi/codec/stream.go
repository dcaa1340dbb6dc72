package codec

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"

	"mdpgateway/internal/mdp"
)

// A Stream writes a reply as events, as they come: server-sent events or lines of
// JSON, as Parse decided. Each event is flushed. The status line goes out with
// the first event or ping, so that until then an error can be an ordinary
// problem.
//
// Its methods may be called by several goroutines, such as the call's own and
// one that pings: events do not mix, and seq follows the order in which they are
// written. A method returns when the bytes were written, so a reader who is slow holds its caller
// up; who must not wait puts a queue before it. After an error no more is
// written, and every method returns that error.
type Stream struct {
	// Set once.
	w     http.ResponseWriter
	flush func() error
	sse   bool
	as    Encoding

	mu sync.Mutex

	// Guarded by mu.
	started bool
	seq     int64
	buf     []byte
	err     error
}

// NewStream returns a stream on w. Nothing is written yet. It must not be called
// if e.Stream is not set.
func (e *Exchange) NewStream(w http.ResponseWriter) *Stream {
	return &Stream{w: w, flush: http.NewResponseController(w).Flush, sse: e.reply == sseReply, as: e.as}
}

// Started reports whether the status line has gone out.
func (s *Stream) Started() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

// Partial writes the frames of a PARTIAL. It fits mdp.Request.Partial.
func (s *Stream) Partial(frames [][]byte) error { return s.event("partial", frames, nil) }

// Final writes the frames of the last reply. Nothing but the end of the body
// should follow.
func (s *Stream) Final(frames [][]byte) error { return s.event("final", frames, nil) }

// Problem writes the problem, a JSON object, that ends a stream which has begun.
// It is named so, and not error: EventSource fires that itself.
func (s *Stream) Problem(problem []byte) error { return s.event("problem", nil, problem) }

// Ping writes what keeps an idle connection open and readers ignore.
func (s *Stream) Ping() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sse {
		s.buf = append(s.buf[:0], ": ping\n\n"...)
	} else {
		s.buf = append(s.buf[:0], `{"event":"ping"}`+"\n"...)
	}
	return s.send()
}

// event writes an event of frames or, if that is not nil, of a problem.
//
//	event: partial                                    SSE alone
//	data: {"event":"partial","seq":0,"frames":[…]}
func (s *Stream) event(name string, frames [][]byte, problem []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buf[:0]
	if s.sse {
		b = append(append(append(b, "event: "...), name...), "\ndata: "...)
	}
	b = append(append(append(b, `{"event":"`...), name...), `","seq":`...)
	b = strconv.AppendInt(b, s.seq, 10)
	s.seq++
	if problem != nil {
		b = append(b, `,"problem":`...)
		b = appendDense(b, bytes.TrimSpace(problem))
	} else {
		b = append(b, `,"frames":`...)
		b = AppendFrames(b, frames, s.as)
	}
	b = append(b, "}\n"...)
	if s.sse {
		b = append(b, '\n')
	}
	s.buf = b
	return s.send()
}

// send writes and flushes what is in buf. A buffer that a large event has grown is
// given up.
func (s *Stream) send() error {
	if s.err != nil {
		return s.err
	}
	if !s.started {
		s.started = true
		s.begin()
	}
	_, err := s.w.Write(s.buf)
	if err == nil {
		err = s.flush()
	}
	if err != nil {
		s.err = &mdp.Error{Kind: mdp.Canceled, Sent: true, Err: err}
	}
	if cap(s.buf) > 64<<10 {
		s.buf = nil
	}
	return s.err
}

func (s *Stream) begin() {
	h := s.w.Header()
	if s.sse {
		h.Set("Content-Type", typeSSE)
	} else {
		h.Set("Content-Type", typeNDJSON)
	}
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	s.w.WriteHeader(http.StatusOK)
}
