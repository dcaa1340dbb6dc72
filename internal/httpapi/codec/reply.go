package codec

import (
	"net/http"
	"strconv"
	"unicode/utf8"

	"mdpgateway/internal/gateway"
)

// WriteReply writes a reply: its headers, status 200 and its body. It keeps
// nothing of reply. It must not be called if e.Stream is set.
//
// An *gateway.Error of kind NotAcceptable means that the reply can't be given as asked
// for and that nothing was written; its Frames hold the reply, so that a problem
// can give them and nothing is lost. Any other error is one of writing.
func (e *Exchange) WriteReply(w http.ResponseWriter, service, requestID string, reply gateway.Reply) error {
	if e.frame >= len(reply.Frames) {
		return notAcceptable(service, reply, "?frame is "+strconv.Itoa(e.frame)+", and the reply has "+count(len(reply.Frames)))
	}
	if e.frame >= 0 {
		reply = gateway.Reply{Frames: reply.Frames[e.frame : e.frame+1]}
	}
	switch e.kindOf(reply) {
	case rawReply:
		return e.writeRaw(w, service, reply)
	case formReply:
		return e.writeForm(w, reply)
	default:
		return e.writeJSON(w, service, requestID, reply)
	}
}

// kindOf returns how a reply is given: as decided by Parse, but that what nobody
// asked to be raw is JSON if it does not fit into one raw frame.
func (e *Exchange) kindOf(reply gateway.Reply) replyKind {
	if e.reply == rawReply && e.mirrored && !single(reply) {
		return jsonReply
	}
	return e.reply
}

// single reports whether a reply is one frame or none, all in all.
func single(reply gateway.Reply) bool {
	return len(reply.Partials) == 0 && len(reply.Frames) <= 1
}

// writeRaw writes one frame as it is.
func (e *Exchange) writeRaw(w http.ResponseWriter, service string, reply gateway.Reply) error {
	if !single(reply) {
		return notAcceptable(service, reply, "the reply has "+count(len(reply.Frames))+partials(reply)+": pick one with ?frame, or ask for application/json")
	}
	var frame []byte
	if len(reply.Frames) == 1 {
		frame = reply.Frames[0]
	}
	contentType := e.raw
	h := w.Header()
	if contentType != typeText {
		// What is opened in a browser must be saved, not shown.
		h["Content-Disposition"] = attachment
	} else if utf8.Valid(frame) {
		contentType = "text/plain; charset=utf-8"
	}
	return write(w, contentType, frame)
}

// notAcceptable returns the error of a reply that came and can't be given. The
// frames of its PARTIALs, if any, follow those of the final one, which ?frame
// counts.
func notAcceptable(service string, reply gateway.Reply, detail string) error {
	frames := append(make([][]byte, 0, len(reply.Frames)), reply.Frames...)
	for _, partial := range reply.Partials {
		frames = append(frames, partial...)
	}
	return &gateway.Error{Kind: gateway.NotAcceptable, Service: service, Detail: detail, Frames: frames}
}

func count(frames int) string {
	if frames == 1 {
		return "1 frame"
	}
	return strconv.Itoa(frames) + " frames"
}

func partials(reply gateway.Reply) string {
	if len(reply.Partials) == 0 {
		return ""
	}
	return " and " + strconv.Itoa(len(reply.Partials)) + " partial replies before it"
}

// writeJSON writes all frames as one JSON object, which ends with a line feed for
// those who read it in a terminal. A long one goes out in pieces, and without
// Content-Length.
func (e *Exchange) writeJSON(w http.ResponseWriter, service, requestID string, reply gateway.Reply) error {
	size := 64 + len(service) + len(requestID) + sizeHint(reply)
	out := newOutput(size)
	if size > piece {
		setType(w.Header(), typeJSON)
		out.w = w
	}
	out.b = append(out.b, `{"service":`...)
	out.string(service)
	out.b = append(out.b, `,"frames":`...)
	out.frames(reply.Frames, e.as)
	for i, partial := range reply.Partials {
		if i == 0 {
			out.b = append(out.b, `,"partials":[`...)
		} else {
			out.b = append(out.b, ',')
		}
		out.frames(partial, e.as)
	}
	if len(reply.Partials) > 0 {
		out.b = append(out.b, ']')
	}
	out.b = append(out.b, `,"request_id":`...)
	out.string(requestID)
	out.b = append(out.b, "}\n"...)
	if out.flush(); out.w == nil {
		out.err = write(w, typeJSON, out.b)
	}
	if out.err != nil {
		return out.err
	}
	out.free()
	return nil
}

// sizeHint returns about how long the frames of a reply are in JSON: base64 takes
// four bytes for three.
func sizeHint(reply gateway.Reply) int {
	n := framesHint(reply.Frames)
	for _, partial := range reply.Partials {
		n += framesHint(partial)
	}
	return n
}

func framesHint(frames [][]byte) int {
	n := 0
	for _, frame := range frames {
		n += 40 + len(frame) + len(frame)/3
	}
	return n
}

// write answers 200 with a whole body.
func write(w http.ResponseWriter, contentType string, body []byte) error {
	h := w.Header()
	setType(h, contentType)
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, err := w.Write(body)
	return err
}

// The values of headers that most answers share. Nobody may write to them in place.
var (
	attachment = []string{"attachment"}
	jsonValue  = []string{typeJSON}
	octetValue = []string{typeOctets}
)

func setType(h http.Header, contentType string) {
	switch contentType {
	case typeJSON:
		h["Content-Type"] = jsonValue
	case typeOctets:
		h["Content-Type"] = octetValue
	default:
		h["Content-Type"] = []string{contentType}
	}
}
