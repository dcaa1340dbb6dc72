package codec

import (
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"mdpgateway/internal/gateway"
)

func TestBodyIsReadAsItsTypeSays(t *testing.T) {
	for _, tt := range []struct {
		headers []string
		query   string
		want    bodyKind
	}{
		{nil, "", rawBody},
		{[]string{"Content-Type: "}, "", rawBody},
		{[]string{"Content-Type: application/json"}, "", jsonBody},
		{[]string{"Content-Type: APPLICATION/JSON ; Charset=\"UTF-8\""}, "", jsonBody},
		{[]string{"Content-Type: application/json; charset=utf8"}, "", jsonBody},
		{[]string{"Content-Type: application/json"}, "raw=true", rawBody},
		{[]string{"Content-Type: application/json"}, "raw=false", jsonBody},
		{[]string{"Content-Type: application/x-www-form-urlencoded"}, "raw=true", rawBody},
		{[]string{"Content-Type: ///"}, "raw=true", rawBody},
		{[]string{"Content-Type: application/problem+json"}, "", rawBody},
		{[]string{"Content-Type: text/plain; charset=latin1"}, "", rawBody},
		{[]string{"Content-Type: multipart/mixed; boundary=b"}, "", rawBody},
		{[]string{"Content-Type: multipart/form-data; boundary=b"}, "", formBody},
		{[]string{"Content-Type: multipart/form-data"}, "raw=true", rawBody},
		{[]string{"Content-Encoding: identity"}, "", rawBody},
	} {
		if e := mustParse(t, Options{}, tt.query, tt.headers...); e.body != tt.want {
			t.Errorf("%q ?%s: body kind %d, want %d", tt.headers, tt.query, e.body, tt.want)
		}
	}
}

func TestBodyThatCanNotBeReadIsRefused(t *testing.T) {
	for _, tt := range []struct {
		headers []string
		query   string
		detail  string
	}{
		{[]string{"Content-Type: application/x-www-form-urlencoded"}, "", "curl -d sends this; use --json, or -H 'Content-Type: application/octet-stream'"},
		{[]string{"Content-Type: application/json", "Content-Encoding: gzip"}, "", `"gzip"`},
		{[]string{"Content-Encoding: identity, br"}, "raw=true", `"br"`},
		{[]string{"Content-Type: application/json; charset=iso-8859-1"}, "", "JSON is UTF-8"},
		{[]string{"Content-Type: application/json; charset"}, "", "malformed"},
		{[]string{"Content-Type: application/json", "Content-Type: text/plain"}, "", "2 times"},
		{[]string{"Content-Type: multipart/form-data"}, "", "boundary"},
		{[]string{"Content-Type: multipart/form-data; boundary=" + strings.Repeat("b", 71)}, "", "71 bytes"},
	} {
		_, err := parse(t, Options{}, tt.query, tt.headers...)
		wantError(t, err, gateway.UnsupportedMedia, "", tt.detail)
	}
}

func TestParametersThatAreMalformedAreRefused(t *testing.T) {
	for _, tt := range []struct{ query, detail string }{
		{"raw", `raw is ""`},
		{"raw=1", "true or false"},
		{"frame=", "number of a frame"},
		{"frame=-1", "number of a frame"},
		{"frame=1.5", "number of a frame"},
		{"frame=99999999999999999999", "number of a frame"},
		{"reply=auto", "text, json, base64 or raw"},
		{"reply=", "text, json, base64 or raw"},
		{"timeout=", "500ms or 10s"},
		{"timeout=10", `timeout is "10", want a time such as 500ms or 10s`},
		{"timeout=0s", "500ms"},
		{"timeout=-1s", "500ms"},
		{"timeout=9999999h", "500ms"},
		{"timeout=1s&timeout=2s", "timeout is given twice"},
		{"raw=true&raw=true", "raw is given twice"},
		{"timout=1s", `no parameter "timout", did you mean timeout?`},
		{"raw=true&fram=1", "did you mean frame?"},
		{"%6fther", `no parameter "other", want one of raw, frame, reply, timeout, vars`},
		{"frame=%zz", "percent-encoded"},
		{"frame=1;raw=true", "percent-encoded"},
	} {
		_, err := parse(t, Options{}, tt.query)
		wantError(t, err, gateway.BadRequest, "", tt.detail)
	}
}

func TestTimeoutOfTheQueryWinsOverPrefer(t *testing.T) {
	for _, tt := range []struct {
		query  string
		prefer []string
		want   time.Duration
		by     string
	}{
		{"", nil, 0, ""},
		{"timeout=500ms", nil, 500 * time.Millisecond, ByQuery},
		{"", []string{"Prefer: wait=10"}, 10 * time.Second, ByPrefer},
		{"timeout=1m0.5s", []string{"Prefer: wait=10"}, time.Minute + 500*time.Millisecond, ByQuery},
		{"", []string{"Prefer: wait=ten"}, 0, ""},
		{"", []string{"Prefer: return=minimal", "Prefer: wait=7"}, 7 * time.Second, ByPrefer},
	} {
		e := mustParse(t, Options{}, tt.query, tt.prefer...)
		if e.Timeout != tt.want || e.TimeoutBy != tt.by {
			t.Errorf("?%s %q: %v by %q, want %v by %q", tt.query, tt.prefer, e.Timeout, e.TimeoutBy, tt.want, tt.by)
		}
	}
}

func TestAnExchangeThatForgotDoesNotKeepTheBody(t *testing.T) {
	e := mustParse(t, Options{}, "")
	body := func() weak.Pointer[byte] {
		var call gateway.Call
		body := make([]byte, 100_000)
		if err := e.Decode(body, &call); err != nil {
			t.Fatal(err)
		}
		return weak.Make(&body[0])
	}()
	if runtime.GC(); body.Value() == nil {
		t.Error("the body is gone before it was forgotten: this test proves nothing")
	}
	e.DropBody()
	if runtime.GC(); body.Value() != nil {
		t.Error("the body is kept")
	}
	runtime.KeepAlive(e)
}

func TestRawBodyIsOneFrameAndNotCopied(t *testing.T) {
	body := []byte("\x00\xff\x80A")
	var call gateway.Call
	e := mustParse(t, Options{}, "", `Flowgraph-Vars: {"sf": 7, "é": null}`)
	if err := e.Decode(body, &call); err != nil {
		t.Fatal(err)
	}
	if len(call.Frames) != 1 || &call.Frames[0][0] != &body[0] || len(call.Frames[0]) != 4 {
		t.Errorf("frames %q, want the body itself", text(call.Frames))
	}
	if got, want := string(call.Vars.Text()), `{"sf": 7, "é": null}`; got != want {
		t.Errorf("vars %s, want %s", got, want)
	}
	for _, header := range []string{`UTF-8''%7B%22%C3%A9%22%3A1%7D`, `utf-8''{"%c3%a9":1}`, `%7B%22%C3%A9%22%3A1%7D`, `%7b"%c3%a9":1}`} {
		if got := mustParse(t, Options{}, "", "Flowgraph-Vars: "+header).vars; got.String() != `{"é":1}` {
			t.Errorf("%s: vars %s", header, got)
		}
	}
	if err := mustParse(t, Options{}, "vars=%7B%22a%22:1%7D").Decode(nil, &call); err != nil {
		t.Fatal(err)
	}
	if len(call.Frames) != 1 || len(call.Frames[0]) != 0 || string(call.Vars.Text()) != `{"a":1}` {
		t.Errorf("an empty body: frames %q, vars %s", call.Frames, call.Vars.Text())
	}
}

func TestVarsThatAreMalformedOrTwiceAreRefused(t *testing.T) {
	const header, object = "Flowgraph-Vars: {}", "vars=%7B%7D"
	for _, tt := range []struct {
		query, pointer, detail string
		headers                []string
	}{
		{"vars=", "#/vars", "empty", nil},
		{"", "#/vars", "empty", []string{"Flowgraph-Vars: "}},
		{"vars=[1]", "#/vars", "an array, want an object", nil},
		{"vars=sf%3D7", "#/vars", "invalid character", nil},
		{"", "#/vars/a/b", "twice", []string{`Flowgraph-Vars: {"a":{"b":1,"b":2}}`}},
		{"", "#/vars/a", "surrogate", []string{`Flowgraph-Vars: {"a":"\ud800"}`}},
		{"", "#/vars", "Latin-1", []string{"Flowgraph-Vars: {\"a\":\"\xe9\"}"}},
		{"", "#/vars", "invalid percent-encoding", []string{"Flowgraph-Vars: UTF-8''%7"}},
		{"", "#/vars", "invalid percent-encoding", []string{"Flowgraph-Vars: %7B%7"}},
		{"", "#/vars/a", "UTF-8", []string{"Flowgraph-Vars: %7B%22a%22:%22%E9%22}"}},
		{"", "#/vars/a", "UTF-8", []string{"Flowgraph-Vars: UTF-8''{%22a%22:%22%E9%22}"}},
		{"", "#/vars", "empty", []string{"Flowgraph-Vars: utf-8''"}},
		{"", "#/vars", "more text", []string{`Flowgraph-Vars: {}{}`}},
		{"", "#/vars", "too early", []string{`Flowgraph-Vars: {`}},
		{object, "#/vars", "twice, by ?vars and by Flowgraph-Vars", []string{header}},
		{"", "#/vars", "twice", []string{header, header}},
	} {
		_, err := parse(t, Options{}, tt.query, tt.headers...)
		wantError(t, err, gateway.BadRequest, tt.pointer, tt.detail)
	}
	form := "--b\r\nContent-Disposition: form-data; name=\"vars\"\r\n\r\n{}\r\n"
	for _, tt := range []struct{ query, contentType, body, detail string }{
		{object, isJSON, `{"vars":{}}`, "by ?vars and by the body"},
		{object, isForm, form + "--b--", "by ?vars and by the part vars"},
		{"", isForm, form + form + "--b--", "by the part vars and by the part vars"},
	} {
		err := mustParse(t, Options{}, tt.query, tt.contentType).Decode([]byte(tt.body), &gateway.Call{})
		wantError(t, err, gateway.BadRequest, "#/vars", tt.detail)
	}
}

func TestVarsOfTheQueryGoWithEveryBody(t *testing.T) {
	for contentType, body := range map[string]string{isJSON: `{"body":"x"}`, isForm: "--b--", "Accept: */*": "x"} {
		var call gateway.Call
		err := mustParse(t, Options{}, `vars={"a":1}`, contentType).Decode([]byte(body), &call)
		if err != nil || string(call.Vars.Text()) != `{"a":1}` {
			t.Errorf("%s: vars %s, error %v", contentType, call.Vars, err)
		}
	}
}

func TestDecodeLeavesTheRestOfTheCallAlone(t *testing.T) {
	call := gateway.Call{Timeout: time.Second, TimeoutBy: "me"}
	call.Service, call.Reuse = "echo", gateway.ReuseNever
	if err := mustParse(t, Options{}, "").Decode([]byte("x"), &call); err != nil {
		t.Fatal(err)
	}
	if call.Timeout != time.Second || call.TimeoutBy != "me" || call.Service != "echo" || call.Reuse != gateway.ReuseNever {
		t.Errorf("the call is now %+v", call)
	}
}
