package codec

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"mdpgateway/internal/gateway"
)

// FuzzVars holds that vars are one JSON object that encoding/json reads alike, or
// are refused with a pointer into them, from wherever they come.
func FuzzVars(f *testing.F) {
	for _, s := range []string{`{}`, `{"sf":7}`, ` {"a":[1,{"b":null}]} `, `[]`, `{"a":1,"a":2}`, `{"a":1}x`, `{"a":"\ud800"}`, "{\"\xff\":1}", `{"n":1e999}`, "", "null"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, vars string) {
		e, err := parse(t, Options{}, "", "Flowgraph-Vars: "+vars)
		if err != nil {
			fault := gateway.AsError(err)
			if fault.Kind != gateway.BadRequest || len(fault.Faults) != 1 || !strings.HasPrefix(fault.Faults[0].Pointer, "#/vars") || !utf8.ValidString(fault.Detail) {
				t.Errorf("%q: %v, faults %q", vars, err, fault.Faults)
			}
			return
		}
		if len(vars) > 6 && strings.EqualFold(vars[:7], "UTF-8''") || len(vars) > 2 && strings.EqualFold(vars[:3], "%7B") {
			return // it is percent-encoded, which no body is
		}
		if string(e.vars.Text()) != strings.Trim(vars, " \t\r\n") {
			t.Errorf("%q became %q", vars, e.vars.Text())
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(e.vars.Text(), &object); err != nil || object == nil {
			t.Errorf("%q is taken as vars: %v", vars, err)
		}
		var call gateway.Call
		if err := mustParse(t, Options{}, "", isJSON).Decode([]byte(`{"vars":`+vars+`}`), &call); err != nil || string(call.Vars.Text()) != string(e.vars.Text()) {
			t.Errorf("%q is taken from the header, and from a body it is %q, %v", vars, call.Vars.Text(), err)
		}
	})
}

// FuzzContentType holds that a type is refused, or read as the body that another
// parser too finds it to name.
func FuzzContentType(f *testing.F) {
	for _, s := range []string{"application/json", "Application/JSON; charset=UTF-8", "application/json; charset=latin1", "multipart/form-data; boundary=b", "multipart/form-data", "application/x-www-form-urlencoded", "text/plain; =", "", "a/b; c=\"d", "multipart/form-data; boundary=" + strings.Repeat("x", 71)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, contentType string) {
		kind, boundary, err := parseContent(http.Header{"Content-Type": {contentType}}, false)
		media, _, malformed := mime.ParseMediaType(contentType)
		switch {
		case err != nil:
			if e := gateway.AsError(err); e.Kind != gateway.UnsupportedMedia || !utf8.ValidString(e.Detail) {
				t.Errorf("%q: %v", contentType, err)
			}
		case malformed != nil && contentType != "":
			t.Errorf("%q is taken as %v, and is malformed: %v", contentType, kind, malformed)
		case (kind == jsonBody) != (media == typeJSON), (kind == formBody) != (media == typeForm), (kind == formBody) != (boundary != ""):
			t.Errorf("%q is taken as %v with the boundary %q", contentType, kind, boundary)
		}
		if raw, _, err := parseContent(http.Header{"Content-Type": {contentType}}, true); raw != rawBody || err != nil {
			t.Errorf("%q with ?raw is %v, %v", contentType, raw, err)
		}
	})
}
