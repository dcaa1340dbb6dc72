package catalogue

import (
	"errors"
	"mime"
	"strings"
)

// activeParts are in the names of types that a browser, or what it hands them
// to, may run. A worker's bytes must never run with the gateway's origin.
var activeParts = [...]string{
	"html", "xml", "svg", "script", "xsl", "rdf", "pdf", "flash", "java", "wasm", "hta", "css", "manifest", "mathml",
}

// parseContentType reads the type of raw replies. Refused are types that are active,
// that hold other types, or that a stream has, which a client would take apart.
func parseContentType(text string) (string, error) {
	mediaType, params, err := mime.ParseMediaType(text)
	kind, sub, ok := strings.Cut(mediaType, "/")
	if err != nil || !ok || kind == "" || sub == "" || strings.Contains(mediaType, "*") {
		return "", errors.New("a media type such as audio/x-raw")
	}
	for _, part := range activeParts {
		if strings.Contains(sub, part) {
			return "", errors.New("a type that no browser runs, such as audio/x-raw")
		}
	}
	if kind == "multipart" || kind == "message" || sub == "event-stream" || sub == "x-ndjson" {
		return "", errors.New("the type of one plain frame, such as audio/x-raw")
	}
	return mime.FormatMediaType(mediaType, params), nil
}
