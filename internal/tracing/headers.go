package tracing

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ParseHeaders reads headers as OTEL_EXPORTER_OTLP_HEADERS has them:
//
//	name=value,name=value
//
// with values percent-encoded where need be. They are most often credentials, so
// an error says which one is wrong and never what it is.
func ParseHeaders(text string) (http.Header, error) {
	all := make(http.Header)
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, value, found := strings.Cut(item, "=")
		name = strings.TrimSpace(name)
		if !found || !isToken(name) {
			return nil, fmt.Errorf("header %d has no name, want name=value, separated by commas", len(all)+1)
		}
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil || strings.ContainsFunc(value, isControl) {
			return nil, fmt.Errorf("the value of header %s is no text in percent-encoding", name)
		}
		all.Set(name, value)
	}
	return all, nil
}

// isToken reports whether s may be a header's name (RFC 9110 §5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// isControl reports whether a header's value can't have a character.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
