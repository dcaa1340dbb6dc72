package codec

import (
	"net/http"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
)

// AcceptPost is what a problem of kind gateway.UnsupportedMedia should name in the
// header Accept-Post: the bodies that Decode reads. Others than these are raw.
const AcceptPost = "application/json, multipart/form-data, application/octet-stream"

// What may have set an Exchange's Timeout.
const (
	ByQuery  = "?timeout"
	ByPrefer = "Prefer: wait"
)

// Options is what a service's configuration says of its replies.
type Options struct {
	ContentType string           // of raw replies; default: application/octet-stream
	Reply       gateway.Encoding // of frames within JSON; default: Auto
	Async       bool             // the request is for a job: Prefer's wait is no timeout, and it may expire
}

// An Exchange is what one request's headers and query say of its body and of the
// reply. It belongs to one request.
type Exchange struct {
	Timeout   time.Duration // as asked for, not yet cut to any maximum; 0 if nothing was
	TimeoutBy string        // ByQuery, ByPrefer or empty
	Stream    bool          // the reply is a Stream: WriteReply does not apply
	Async     bool          // Options.Async

	// Of a request for a job.
	Wait    time.Duration // for its end; 0: not at all
	Expires time.Duration // in the queue; 0 if nothing was asked for

	// Room, if set before Decode, holds what Decode makes beside the body: copies of frames that are not
	// parts of it, the lists of frames, the frame that vars become. It is the caller's to release.
	Room gateway.Room

	// The request.
	body     bodyKind
	boundary string    // of a form
	few      [4][]byte // where the frames of a usual call are
	held     held
	vars     ijson.Object // from the query or a header
	varsBy   string       // where they are from, for people

	// The reply.
	reply    replyKind
	raw      string           // Content-Type of a raw reply
	mirrored bool             // nobody asked for a raw reply, the request was one
	frame    int              // which frame of the reply is given, as if there were no other; -1 if not asked for
	as       gateway.Encoding // of frames within JSON
}

// Parse reads everything but the body: Content-Type and Content-Encoding, Accept,
// Prefer, Flowgraph-Vars, and of the query raw, frame, reply, timeout and vars.
// Its error is an *gateway.Error of kind BadRequest, UnsupportedMedia or
// NotAcceptable; nothing has been read or sent then.
func Parse(r *http.Request, opt Options) (*Exchange, error) {
	names := parameters
	if opt.Async {
		names = jobParameters
	}
	q, err := parseQuery(r.URL.RawQuery, names)
	if err != nil {
		return nil, err
	}
	e := &Exchange{Timeout: q.timeout, Async: opt.Async, Expires: q.expires, frame: q.frame, as: opt.Reply}
	wait, ok := ParsePrefer(r.Header["Prefer"])
	switch {
	case q.timeout > 0:
		e.TimeoutBy = ByQuery
	case ok && !opt.Async:
		e.Timeout, e.TimeoutBy = wait, ByPrefer
	}
	if ok && opt.Async {
		e.Wait = wait
	}
	if e.body, e.boundary, err = parseContent(r.Header, q.raw); err != nil {
		return nil, err
	}
	if e.vars, e.varsBy, err = parseVars(q, r.Header["Flowgraph-Vars"]); err != nil {
		return nil, err
	}
	if err := e.negotiate(r.Header["Accept"], q.reply, opt.ContentType); err != nil {
		return nil, err
	}
	return e, nil
}

// Decode makes frames and vars of a whole body and puts them into call. It leaves
// the rest of call alone.
//
// The frames share memory with body wherever it holds them as they are: a raw
// body always, the parts of a form, JSON strings without escapes. Body must not
// change while the call is used. The error is an *gateway.Error of kind BadRequest,
// InvalidVars for more frames than any service takes, or Busy if Room has no more.
func (e *Exchange) Decode(body []byte, call *gateway.Call) error {
	call.Vars = e.vars
	call.Frames = e.few[:0]
	e.held = held{room: e.Room}
	var err error
	switch e.body {
	case jsonBody:
		err = decodeEnvelope(body, e.varsBy, call, &e.held)
	case formBody:
		err = decodeForm(body, e.boundary, e.varsBy, call, &e.held)
	default:
		call.Frames = append(call.Frames, body)
	}
	if err == nil {
		err = e.held.forVars(len(call.Vars.Text()))
	}
	e.held.end()
	if err == nil && len(call.Frames) == 0 {
		// Said here, since a vars frame may follow: alone it would pass for the body.
		call.Frames = append(call.Frames, nil)
	}
	return err
}

// DropBody lets go of the frames that Decode made, and with them of its body. To
// write a reply takes neither.
func (e *Exchange) DropBody() { clear(e.few[:]) }
