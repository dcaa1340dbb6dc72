package codec

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"mdpgateway/internal/gateway"
)

// WritePlan answers with the message that a call would send: its frames as hex and,
// where they are UTF-8, as text. It goes out in pieces, as replies do: it is several
// times as long as the frames. The error is one of writing.
func WritePlan(w http.ResponseWriter, service string, plan gateway.Plan) error {
	out := newOutput(piece)
	setType(w.Header(), typeJSON)
	out.w = w
	out.b = append(out.b, `{"service":`...)
	out.string(service)
	out.b = append(out.b, `,"dialect":`...)
	out.string(plan.Dialect.String())
	out.b = append(out.b, `,"timeout_ms":`...)
	out.b = strconv.AppendInt(out.b, plan.Timeout.Milliseconds(), 10)
	out.b = append(out.b, `,"frames":[`...)
	for i, frame := range plan.Frames {
		if i > 0 {
			out.b = append(out.b, ',')
		}
		out.planned(frame)
		out.spill()
	}
	out.b = append(out.b, "]}\n"...)
	if out.flush(); out.err != nil {
		return out.err
	}
	out.free()
	return nil
}

// planned adds the object of a frame that was not sent; without its text if it is no
// UTF-8.
func (o *output) planned(frame []byte) {
	o.b = append(o.b, `{"hex":"`...)
	for part := range slices.Chunk(frame, piece/2) {
		o.b = hex.AppendEncode(o.b, part)
		o.spill()
	}
	o.b = append(o.b, '"')
	if utf8.Valid(frame) {
		o.b = append(o.b, `,"text":`...)
		o.text(frame)
	}
	o.b = append(o.b, `,"bytes":`...)
	o.b = append(strconv.AppendInt(o.b, int64(len(frame)), 10), '}')
}
