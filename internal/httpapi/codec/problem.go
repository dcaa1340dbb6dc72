package codec

import (
	"net/http"
	"strconv"

	"mdpgateway/internal/gateway"
)

const typeProblem = "application/problem+json"

// WriteProblem answers with a problem, a JSON object. If frames is not nil, a member
// of that name follows the others. A long answer goes out in pieces, and without
// Content-Length. The error is one of writing.
func WriteProblem(w http.ResponseWriter, status int, object []byte, frames [][]byte) error {
	size := len(object) + framesHint(frames)
	out := newOutput(size)
	h := w.Header()
	h.Set("Content-Type", typeProblem)
	if size > piece {
		w.WriteHeader(status)
		out.w = w
	}
	out.problem(object, frames)
	out.b = append(out.b, '\n')
	if out.flush(); out.w == nil {
		h.Set("Content-Length", strconv.Itoa(len(out.b)))
		w.WriteHeader(status)
		_, out.err = w.Write(out.b)
	}
	if out.err != nil {
		return out.err
	}
	out.free()
	return nil
}

// problem adds a JSON object with at least one member and, unless that is nil,
// frames as its last.
func (o *output) problem(object []byte, frames [][]byte) {
	var dense compactor
	o.b = dense.append(o.b, object)
	if frames == nil {
		return
	}
	o.b = append(o.b[:len(o.b)-1], `,"frames":`...) // in place of the brace
	o.frames(frames, gateway.Auto)
	o.b = append(o.b, '}')
}
