package codec

import (
	"net/http"
	"strconv"
	"sync"

	"mdpgateway/internal/gateway"
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
	as    gateway.Encoding
	ids   bool // parts have ids, after which a reader may resume

	mu sync.Mutex

	// Guarded by mu.
	started bool
	seq     int64
	out     output
}

// NewStream returns a stream on w. Nothing is written yet. It must not be called
// if e.Stream is not set.
func (e *Exchange) NewStream(w http.ResponseWriter) *Stream {
	return &Stream{w: w, flush: http.NewResponseController(w).Flush, sse: e.reply == sseReply, as: e.as, out: output{w: w}}
}

// Started reports whether the status line has gone out.
func (s *Stream) Started() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

// Partial writes the frames of a PARTIAL. It fits gateway.Request.Partial.
func (s *Stream) Partial(frames [][]byte) error { return s.event("partial", frames, nil, s.flush) }

// PartialOfMore writes the frames of a PARTIAL that another event follows at once,
// with which it is flushed: of many parts, each would cost a system call.
func (s *Stream) PartialOfMore(frames [][]byte) error {
	return s.event("partial", frames, nil, func() error { return nil })
}

// Final writes the frames of the last reply. Nothing but the end of the body
// should follow.
func (s *Stream) Final(frames [][]byte) error { return s.event("final", frames, nil, s.flush) }

// Problem writes the problem, as WriteProblem does, that ends a stream which has
// begun. It is named so, and not error: EventSource fires that itself.
func (s *Stream) Problem(object []byte, frames [][]byte) error {
	return s.event("problem", frames, object, s.flush)
}

// Ping writes what keeps an idle connection open and readers ignore.
func (s *Stream) Ping() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
	if s.sse {
		s.out.b = append(s.out.b, ": ping\n\n"...)
	} else {
		s.out.b = append(s.out.b, `{"event":"ping"}`+"\n"...)
	}
	return s.send(s.flush)
}

// event writes an event of frames or, if that is not nil, of a problem with them.
//
//	event: partial                                    SSE alone
//	data: {"event":"partial","seq":0,"frames":[…]}
func (s *Stream) event(name string, frames [][]byte, problem []byte, flush func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
	out := &s.out
	if s.sse {
		if s.ids && name == "partial" {
			out.b = append(strconv.AppendInt(append(out.b, "id: "...), s.seq, 10), '\n')
		}
		out.b = append(append(append(out.b, "event: "...), name...), "\ndata: "...)
	}
	out.b = append(append(append(out.b, `{"event":"`...), name...), `","seq":`...)
	out.b = strconv.AppendInt(out.b, s.seq, 10)
	s.seq++
	if problem != nil {
		out.b = append(out.b, `,"problem":`...)
		out.problem(problem, frames)
	} else {
		out.b = append(out.b, `,"frames":`...)
		out.frames(frames, s.as)
	}
	out.b = append(out.b, "}\n"...)
	if s.sse {
		out.b = append(out.b, '\n')
	}
	return s.send(flush)
}

// begin sends the status line, once.
func (s *Stream) begin() {
	if s.started {
		return
	}
	s.started = true
	h := s.w.Header()
	if s.sse {
		h.Set("Content-Type", typeSSE)
	} else {
		h.Set("Content-Type", typeNDJSON)
	}
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	s.w.WriteHeader(http.StatusOK)
}

// send writes and flushes the event.
func (s *Stream) send(flush func() error) error {
	s.out.flush()
	if s.out.err == nil {
		s.out.err = flush()
	}
	if s.out.err == nil {
		return nil
	}
	return &gateway.Error{Kind: gateway.Canceled, Sent: true, Err: s.out.err}
}
