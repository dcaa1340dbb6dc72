package catalogue

import (
	"mime"
	"strings"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/yamlnode"
)

// activeParts are in the names of types that a browser, or what it hands them
// to, may run. A worker's bytes must never run with the gateway's origin.
var activeParts = [...]string{
	"html", "xml", "svg", "script", "xsl", "rdf", "pdf", "flash", "java", "wasm", "hta", "css", "manifest", "mathml",
}

// contentType reads the type of raw replies. Refused are types that are active,
// that hold other types, or that a stream has, which a client would take apart.
func contentType(dst *string) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		mediaType, params, err := mime.ParseMediaType(n.Value)
		kind, sub, ok := strings.Cut(mediaType, "/")
		if err != nil || !ok || kind == "" || sub == "" || strings.Contains(mediaType, "*") {
			return yamlnode.Wrong(n, path, "is %s, want a media type such as audio/x-raw", yamlnode.Show(n))
		}
		for _, part := range activeParts {
			if strings.Contains(sub, part) {
				return yamlnode.Wrong(n, path, "is %q, want a type that no browser runs, such as audio/x-raw", n.Value)
			}
		}
		if kind == "multipart" || kind == "message" || sub == "event-stream" || sub == "x-ndjson" {
			return yamlnode.Wrong(n, path, "is %q, want the type of one plain frame, such as audio/x-raw", n.Value)
		}
		*dst = mime.FormatMediaType(mediaType, params)
		return nil
	}
}
