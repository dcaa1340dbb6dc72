package codec

import (
	"fmt"
	"mime"
	"net/http"
	"strings"

	"mdpgateway/internal/gateway"
)

// A bodyKind is how a request's body becomes frames.
type bodyKind int

const (
	rawBody  bodyKind = iota // it is one
	jsonBody                 // an envelope
	formBody                 // its parts are
)

// maxType bounds what mime.ParseMediaType is given: it allocates for every parameter.
const maxType = 1 << 10

const (
	typeJSON   = "application/json"
	typeForm   = "multipart/form-data"
	typeOctets = "application/octet-stream"
	typeText   = "text/plain"
	typeSSE    = "text/event-stream"
	typeNDJSON = "application/x-ndjson"
)

// parseContent tells from the headers how the body becomes frames. With raw the
// type does not matter. The boundary is that of a form.
//
// A form as HTML pages and curl -d send it is refused: it is the type that curl
// gives to all that is posted without one, and a worker would get JSON or samples
// that were meant otherwise.
func parseContent(h http.Header, raw bool) (kind bodyKind, boundary string, err error) {
	for _, value := range h["Content-Encoding"] {
		for coding := range split(value, ',') {
			if !strings.EqualFold(coding, "identity") {
				return 0, "", unsupported("Content-Encoding is %.64q, want none: send the body as it is", coding)
			}
		}
	}
	types := h["Content-Type"]
	if raw || len(types) == 0 || types[0] == "" && len(types) == 1 {
		return rawBody, "", nil
	}
	if len(types) > 1 {
		return 0, "", unsupported("Content-Type is given %d times, want once", len(types))
	}
	if len(types[0]) > maxType {
		return 0, "", unsupported("Content-Type has %d bytes, want at most %d", len(types[0]), maxType)
	}
	if types[0] == typeJSON {
		return jsonBody, "", nil
	}
	return parseType(types[0])
}

func parseType(value string) (kind bodyKind, boundary string, err error) {
	media, params, err := mime.ParseMediaType(value)
	if err != nil {
		return 0, "", unsupported("Content-Type is %.64q, which is malformed", value)
	}
	switch media {
	case "application/x-www-form-urlencoded":
		return 0, "", unsupported("curl -d sends this; use --json, or -H 'Content-Type: application/octet-stream'")
	case typeJSON:
		// RFC 8259 knows no charset: JSON is UTF-8. Many name it, which is harmless.
		if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
			return 0, "", unsupported("the charset is %.64q, want none: JSON is UTF-8", charset)
		}
		return jsonBody, "", nil
	case typeForm:
		boundary = params["boundary"]
		if len(boundary) < 1 || len(boundary) > 70 {
			return 0, "", unsupported("the boundary has %d bytes, want 1 to 70 (RFC 2046 §5.1.1)", len(boundary))
		}
		return formBody, boundary, nil
	}
	return rawBody, "", nil
}

func unsupported(format string, args ...any) error {
	return &gateway.Error{Kind: gateway.UnsupportedMedia, Detail: fmt.Sprintf(format, args...)}
}
