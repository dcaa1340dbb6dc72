package codec

import (
	"bytes"
	"strings"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
	"mdpgateway/internal/nearest"
)

// maxPartHead bounds the headers of one part of a form.
const maxPartHead = 8 << 10

// A form takes a multipart/form-data body (RFC 7578) apart where it is, without
// copying. With b for the boundary (RFC 2046 §5.1.1):
//
//	[CRLF] --b CRLF headers CRLF CRLF content CRLF
//	--b CRLF headers CRLF CRLF content CRLF
//	--b-- [CRLF epilogue]
//
// mime/multipart copies every part. It also takes a text before the first part and
// line feeds as line ends, which no client sends; in a body that mixes line ends,
// one rule would lose what the other takes for a part.
type form struct {
	delimiter []byte // CRLF--b
	rest      []byte // what follows the last delimiter
	closed    bool   // the last delimiter was the closing one
}

// decodeForm reads the parts of a form into call: frame, as often as there are
// frames, in their order, and vars.
func decodeForm(body []byte, boundary, varsBy string, call *gateway.Call, h *held) error {
	f, err := newForm(body, boundary)
	if err != nil {
		return err
	}
	for !f.closed {
		name, content, err := f.part()
		if err != nil {
			return err
		}
		switch name {
		case "frame":
			if len(call.Frames) == maxFrames {
				return tooManyFrames("")
			}
			if err := h.take(frameCost); err != nil {
				return err
			}
			call.Frames = append(call.Frames, content)
		case "vars":
			if varsBy != "" {
				return badTwice(varsBy, "the part vars")
			}
			varsBy = "the part vars"
			if call.Vars, err = ijson.ParseObjectIn(content, h); err != nil {
				return badJSON(atVars, err)
			}
		default:
			return bad("the form has a part %.64q, want parts named frame, and one named vars", name)
		}
	}
	return nil
}

// newForm reads the line that a form begins with. Before it may be an empty one: Go's
// multipart.Writer makes it for a form without parts.
func newForm(body []byte, boundary string) (*form, error) {
	f := &form{delimiter: []byte("\r\n--" + boundary)}
	after, ok := bytes.CutPrefix(bytes.TrimPrefix(body, []byte("\r\n")), f.delimiter[2:])
	if !ok || !f.endLine(after) {
		return nil, bad("the form does not begin with a line that is its boundary %q and ends with CR LF", "--"+boundary)
	}
	return f, nil
}

// next returns what precedes the next delimiter, and goes behind that.
func (f *form) next() (before []byte, ok bool) {
	body := f.rest
	for from := 0; ; {
		at := bytes.Index(body[from:], f.delimiter)
		if at < 0 {
			return nil, false
		}
		from += at + 1
		if f.endLine(body[from-1+len(f.delimiter):]) {
			return body[:from-1], true
		}
	}
}

// endLine goes behind the line of a delimiter, and reports false if more than
// padding is left of it: then it is content that only begins like a delimiter.
func (f *form) endLine(after []byte) bool {
	after, closed := bytes.CutPrefix(after, []byte("--"))
	after = bytes.TrimLeft(after, blanks)
	after, whole := bytes.CutPrefix(after, []byte("\r\n"))
	if !whole && (!closed || len(after) > 0) {
		return false
	}
	f.rest, f.closed = after, closed
	return true
}

// part returns the name and the content of the next part.
func (f *form) part() (name string, content []byte, err error) {
	part, ok := f.next()
	if !ok {
		return "", nil, bad("the form ends within a part: its closing boundary is missing")
	}
	head, content, ok := bytes.Cut(part, []byte("\r\n\r\n"))
	if !ok {
		return "", nil, bad("the form has a part without an empty line after its headers")
	}
	if len(head) > maxPartHead {
		return "", nil, bad("the form has a part with %d bytes of headers, want at most %d", len(head), maxPartHead)
	}
	for named := false; len(head) > 0; {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		field, value, ok := bytes.Cut(line, []byte(":"))
		value = bytes.Trim(value, blanks)
		switch {
		case !ok || bytes.ContainsAny(line, "\r\n") || line[0] <= ' ':
			return "", nil, bad("the form has a part with the malformed header %.64q", line)
		case bytes.EqualFold(field, []byte("Content-Disposition")):
			if named {
				return "", nil, bad("the form has a part with two headers Content-Disposition, want one")
			}
			named = true
			if name, err = partName(string(value)); err != nil {
				return "", nil, err
			}
		case bytes.EqualFold(field, []byte("Content-Transfer-Encoding")) && !untransformed(value):
			return "", nil, bad("the form has a part with Content-Transfer-Encoding %.64q, want none (RFC 7578 §4.7)", value)
		case meansVars(field):
			return "", nil, bad("the form has a part with the header %.64q, want the vars in a part named vars", field)
		}
	}
	return name, content, nil
}

// partName returns the name that a Content-Disposition gives to its part. The first
// parameter called name counts and what follows is not read: some clients do not
// escape the file's name. mime.ParseMediaType would allocate for every parameter.
func partName(disposition string) (string, error) {
	kind, _, _ := strings.Cut(disposition, ";")
	if !strings.EqualFold(strings.Trim(kind, blanks), "form-data") {
		return "", bad("the form has a part with Content-Disposition %.64q, want form-data with a name", disposition)
	}
	return parameter(disposition, "name"), nil
}

// meansVars reports whether a header is Flowgraph-Vars, or spelt so nearly: vars that are passed over in silence would
// be missed.
func meansVars(field []byte) bool {
	const name = "flowgraph-vars"
	if len(field) > 2*len(name) {
		return false
	}
	lower := strings.ToLower(string(field))
	return lower == name || nearest.Of(lower, []string{name}) != ""
}

func untransformed(encoding []byte) bool {
	switch strings.ToLower(string(encoding)) {
	case "binary", "8bit", "7bit":
		return true
	}
	return false
}
