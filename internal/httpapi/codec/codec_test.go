package codec

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

// parse parses a POST with a query and headers, given as "Name: value".
func parse(t testing.TB, opt Options, query string, headers ...string) (*Exchange, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/services/echo", nil)
	r.URL.RawQuery = query
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	return Parse(r, opt)
}

func mustParse(t testing.TB, opt Options, query string, headers ...string) *Exchange {
	t.Helper()
	e, err := parse(t, opt, query, headers...)
	if err != nil {
		t.Fatalf("Parse(%q, %q): %v", query, headers, err)
	}
	return e
}

// wantError checks the kind of an error, that its detail says something, and the
// pointer of its fault, if there must be one.
func wantError(t testing.TB, err error, kind gateway.Kind, pointer, detail string) *gateway.Error {
	t.Helper()
	e, ok := errors.AsType[*gateway.Error](err)
	if !ok {
		t.Fatalf("got error %v, want an *gateway.Error of kind %s", err, kind)
	}
	if e.Kind != kind || !strings.Contains(e.Detail, detail) || e.Detail == "" {
		t.Errorf("got %s: %s\nwant %s: …%s…", e.Kind, e.Detail, kind, detail)
	}
	got := ""
	if len(e.Faults) > 0 {
		got = e.Faults[0].Pointer
	}
	if got != pointer {
		t.Errorf("the fault's pointer is %q, want %q (%s)", got, pointer, e.Detail)
	}
	return e
}

// text shows frames in an error message.
func text(frames [][]byte) string {
	var b strings.Builder
	for _, frame := range frames {
		b.WriteString("|")
		b.Write(frame)
	}
	return b.String()
}

// appendFrames appends the JSON array of frames to dst.
func appendFrames(dst []byte, frames [][]byte, as gateway.Encoding) []byte {
	out := output{b: dst}
	out.frames(frames, as)
	return out.b
}
