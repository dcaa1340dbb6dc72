package codec

import (
	"crypto/rand"
	"io"
	"net/http"
	"strconv"

	"mdpgateway/internal/gateway"
)

// writeForm writes a part per frame, named frame, after one per frame of the
// PARTIALs, named partial. Every part has a filename: without one browsers' formData() makes a
// string of it, and of bytes that are no UTF-8 something else.
//
// The boundary is random, with more bits than anybody can guess, so that no frame
// can hold it but by knowing it.
func (e *Exchange) writeForm(w http.ResponseWriter, reply gateway.Reply) error {
	boundary := rand.Text()
	var heads [][]byte
	var frames [][]byte
	size := 0
	add := func(name, file string, frame []byte) {
		head := e.partHead(boundary, name, file, frame)
		heads, frames = append(heads, head), append(frames, frame)
		size += len(head) + len(frame) + 2
	}
	for i, partial := range reply.Partials {
		for j, frame := range partial {
			add("partial", strconv.Itoa(i)+"-"+strconv.Itoa(j), frame)
		}
	}
	for i, frame := range reply.Frames {
		add("frame", strconv.Itoa(i), frame)
	}
	end := "--" + boundary + "--\r\n"
	h := w.Header()
	h.Set("Content-Type", typeForm+"; boundary="+boundary)
	h.Set("Content-Length", strconv.Itoa(size+len(end)))
	for i, frame := range frames {
		for _, b := range [...][]byte{heads[i], frame, []byte("\r\n")} {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	_, err := io.WriteString(w, end)
	return err
}

// partHead returns what goes before a frame.
func (e *Exchange) partHead(boundary, name, file string, frame []byte) []byte {
	contentType := e.raw
	if contentType == typeOctets && isText(frame) {
		contentType = "text/plain; charset=utf-8"
	}
	return []byte("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"" + name + "-" + file +
		"\"\r\nContent-Type: " + contentType + "\r\n\r\n")
}
