package tracing

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestHeadersAreReadAsOpenTelemetryHasThem(t *testing.T) {
	for text, want := range map[string]http.Header{
		"authorization=Bearer%20s3cret": {"Authorization": {"Bearer s3cret"}},
		" a = 1 , b=2,, c=x=y ":         {"A": {"1"}, "B": {"2"}, "C": {"x=y"}},
		"a=":                            {"A": {""}},
		"a=1,a=2":                       {"A": {"2"}},
		",":                             {},
	} {
		if got, err := ParseHeaders(text); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"secret":           "header 1 has no name, want name=value, separated by commas",
		"a=1,=secret":      "header 2 has no name, want name=value, separated by commas",
		"a b=secret":       "header 1 has no name, want name=value, separated by commas",
		"a=secret%":        "the value of header a is no text in percent-encoding",
		"a=secret%0d%0ab:": "the value of header a is no text in percent-encoding",
	} {
		if got, err := ParseHeaders(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, %v, want the error %q", text, got, err, want)
		}
	}
}

func TestEveryPostHasTheHeaders(t *testing.T) {
	to := newCollector(t, http.StatusServiceUnavailable)
	u := newUploader(to.URL+"/v1/traces", http.Header{"Authorization": {"Bearer s3cret"}, "Content-Type": {"text/plain"}}, zap.NewNop())
	if err := u.UploadTraces(t.Context(), batch(1)); err != nil {
		t.Error(err)
	}
	if err := u.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got := strings.Join(to.authorized, ", "); got != "Bearer s3cret, Bearer s3cret" {
		t.Errorf("the posts were authorized by %q, want two, each with the header", got)
	}
}
