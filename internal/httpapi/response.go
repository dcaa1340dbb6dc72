package httpapi

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"mdpgateway/internal/access"
	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
)

// writeChunk is how much of an answer has to be taken within one deadline, so
// that a slow reader of a large reply may be slow but not stand still.
const writeChunk = 256 << 10

// linger is how long a caller whose body was not read to its end may go on
// sending it after the answer. To close at once would reset the connection, and
// the answer with it.
const linger = time.Second

// A response is an answer in the making and what is known of its request. All
// middleware behind record, and every handler, gets one as its ResponseWriter.
// It belongs to the goroutine of the request.
type response struct {
	rw      http.ResponseWriter
	control http.ResponseController
	timeout time.Duration // for each part of the answer to be taken
	expires time.Time     // of the connection; zero is never
	leaving *atomic.Bool  // the gateway wants all connections to end

	// What the log line and the headers tell.
	id      string
	service string
	job     string      // its id, if the request is about one
	queued  bool        // it made one, whose end is recorded on its own
	pass    access.Pass // who calls, and what it may do
	timing  gateway.Timing
	trace   gateway.Trace
	err     *gateway.Error
	status  int   // 0 until the answer has begun
	in, out int64 // bytes of the body, and of the answer's

	// Of the call: here, since what every request has is cheaper in one piece.
	room   budget.Lease // what the call holds for its reply, and then the reply
	call   gateway.Call
	body   *buffer       // what the call's frames and vars are in; nil if nothing was read, or it is forgotten
	share  share         // what the body and the call's frames hold
	events *codec.Stream // what the answer is, if that may end with a problem
	values [2]string     // of headers that are made for each answer

	// Of the call, for a Tracer.
	returned time.Time
	callKind gateway.Kind

	seat    seat   // that the answer needs
	leave   func() // gives back the place of the caller, unless the call has it; may be nil
	crowded bool   // there are MaxRequests without it
	audited bool   // its end is recorded by the Auditor

	unread bool // HTTP/1: some of the body may be still to come
	abort  bool // the answer can't be given, or not to its end
}

func newResponse(rw http.ResponseWriter, r *http.Request, timeout time.Duration) *response {
	return &response{
		rw: rw, control: *http.NewResponseController(rw), timeout: timeout,
		unread: r.ProtoMajor == 1 && r.ContentLength != 0,
	}
}

// Header returns the answer's headers.
func (w *response) Header() http.Header { return w.rw.Header() }

// Unwrap lets http.ResponseController find the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.rw }

// WriteHeader begins the answer. If some of the body has not been read the
// connection is closed after it. net/http would read up to 256 KiB of it, for as
// long as the caller likes, both before the answer, which Connection: close
// prevents, and after it.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if !w.seat.take() {
		w.abort = true
		return
	}
	h := w.Header()
	if w.unread {
		h.Set("Connection", "close")
		_ = w.control.SetReadDeadline(time.Now().Add(linger))
	}
	w.retire()
	if w.timing.Queue > 0 || w.timing.Broker > 0 {
		w.values[1] = serverTiming(w.timing)
		h["Server-Timing"] = w.values[1:2:2]
	}
	w.rw.WriteHeader(status)
}

// Write writes p, with a deadline for each of its parts.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.seat.none {
		return 0, errCrowd
	}
	written := 0
	for {
		w.arm()
		n, err := w.rw.Write(p[written:min(len(p), written+writeChunk)])
		written += n
		w.out += int64(n)
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// FlushError sends what was written. Afterwards there is no deadline: over HTTP/2
// it would end the stream even while there is nothing to write.
func (w *response) FlushError() error {
	if w.seat.none {
		return errCrowd
	}
	w.arm()
	err := w.control.Flush()
	_ = w.control.SetWriteDeadline(time.Time{})
	return err
}

// arm sets the deadline of the next write. A writer without deadlines, such as
// a recorder in a test, is none that anybody waits for.
func (w *response) arm() {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.patience()))
}

// send answers with a whole body.
func (w *response) send(status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		w.abort = true
	}
}

// serverTiming tells a browser's tools where the time went, in milliseconds.
func serverTiming(t gateway.Timing) string {
	b := make([]byte, 0, 48)
	b = appendMillis(append(b, "queue;dur="...), t.Queue)
	b = appendMillis(append(b, ", broker;dur="...), t.Broker)
	return string(b)
}

func appendMillis(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 3, 64)
}
