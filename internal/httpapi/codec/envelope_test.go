package codec

import (
	"bytes"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

const isJSON = "Content-Type: application/json"

func TestEnvelopeBecomesFramesAndVars(t *testing.T) {
	for _, tt := range []struct{ body, frames, vars string }{
		{`{"body":"hello","vars":{"sf":7,"has_crc":false}}`, "|hello", `{"sf":7,"has_crc":false}`},
		{`{"vars":{ "a": 1.0 },"body":"x"}`, "|x", `{ "a": 1.0 }`},
		{`{"body":"AAEC","encoding":"base64"}`, "|\x00\x01\x02", ""},
		{`{"encoding":"base64","body":"\u0041AEC"}`, "|\x00\x01\x02", ""},
		{`{"body":"\/\/\/\/","encoding":"base64"}`, "|\xff\xff\xff", ""},
		{`{"body":"AAE=","encoding":"base64"}`, "|\x00\x01", ""},
		{`{"body":"","encoding":"base64"}`, "|", ""},
		{`{"body":{"any": [ "js on" , 1 ]}}`, `|{"any":["js on",1]}`, ""},
		{`{"body": {"z":1e400,"a":0.10,"m":123456789012345678901} }`, `|{"z":1e400,"a":0.10,"m":123456789012345678901}`, ""},
		{`{"body":{"q\" :":"\\ \" {\u00e9 é"}}`, `|{"q\" :":"\\ \" {\u00e9 é"}`, ""},
		{`{"body":null}`, "|null", ""},
		{`{"body":-0.0}`, "|-0.0", ""},
		{`{"body":"text","encoding":"text"}`, "|text", ""},
		{`{"body":"text","encoding":"json"}`, `|"text"`, ""},
		{`{"body":"line\nbreak \u00e9\ud83d\ude00\u0000"}`, "|line\nbreak é😀\x00", ""},
		{`{"body":""}`, "|", ""},
		{`{}`, "|", ""},
		{` { "vars" : {} } `, "|", `{}`},
		{`{"frames":["first",{"data":"AAEC","encoding":"base64"},{"data":{"x": 1},"encoding":"json"}],"vars":{}}`,
			"|first|\x00\x01\x02|" + `{"x":1}`, `{}`},
		{`{"frames":[{"data":"a"},{"data":[1, 2]},{"encoding":"json","data":"s"},""]}`, `|a|[1,2]|"s"|`, ""},
		{`{"\u0062ody":"escaped name"}`, "|escaped name", ""},
	} {
		var call gateway.Call
		if err := mustParse(t, Options{}, "", isJSON).Decode([]byte(tt.body), &call); err != nil {
			t.Errorf("%s: %v", tt.body, err)
			continue
		}
		if got := text(call.Frames); got != tt.frames {
			t.Errorf("%s: frames %q, want %q", tt.body, got, tt.frames)
		}
		if got := string(call.Vars.Text()); got != tt.vars || call.Vars.IsZero() != (tt.vars == "") {
			t.Errorf("%s: vars %q, want %q", tt.body, got, tt.vars)
		}
	}
}

func TestEnvelopeThatIsMalformedSaysWhere(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tt := range []struct{ body, pointer, detail string }{
		{``, "#", "empty"},
		{`  `, "#", "empty"},
		{`hello`, "#", "invalid character"},
		{`"hello"`, "#", `the body is a string, want an object: put the payload in "body"`},
		{`[1]`, "#", "an array"},
		{`null`, "#", "null"},
		{`{`, "#", "too early"},
		{`{"body":"x"`, "#", "too early"},
		{`{"body":"x"} {}`, "#", "more text"},
		{`{"body":"x",}`, "#", "invalid character"},
		{`{"body":x}`, "#/body", "invalid character"},
		{`{1:2}`, "#", "string"},
		{`{"text":"x"}`, "#/text", `put the payload in "body", or post with ?raw=true`},
		{`{"body":"x","body":"y"}`, "#/body", "twice"},
		{`{"body":{"a":{"b":1,"b":2}}}`, "#/body/a/b", "twice"},
		{`{"vars":{"sf":7,"s\u0066":8}}`, "#/vars/sf", "twice"},
		{"{\"body\":\"\xff\"}", "#/body", "UTF-8"},
		{`{"body":"\ud800"}`, "#/body", "surrogate"},
		{`{"vars":{"a":["\udc00x"]}}`, "#/vars/a/0", "surrogate"},
		{`{"body":01}`, "#", "invalid character"},
		{`{"body":` + deep(64) + `}`, "#/body" + strings.Repeat("/0", 63), "more than 64 levels"},
		{`{"body":` + deep(9999) + `}`, "#/body" + strings.Repeat("/0", 63), "more than 64 levels"},
		{`{"body":` + deep(20000) + `}`, "#/body" + strings.Repeat("/0", 63), "more than 64 levels"},
		{`{"body":` + strings.Repeat("[", 100), "#/body" + strings.Repeat("/0", 63), "more than 64 levels"},
		{`{"frames":[{"data":` + deep(62) + `}]}`, "#/frames/0/data" + strings.Repeat("/0", 61), "more than 64 levels"},
		{`{"vars":{"a":` + deep(63) + `}}`, "#/vars/a" + strings.Repeat("/0", 62), "more than 64 levels"},
		{`{"body":[` + deep(63) + `,[]]}`, "#/body" + strings.Repeat("/0", 63), "more than 64 levels"},
		{`{"` + strings.Repeat("n", 300) + `":1}`, "#", "unknown member"},
		{`{"vars":{"` + strings.Repeat("n", 300) + `":{"a":1,"a":2}}}`, "#/vars", "twice"},
		{`{"body":"x","frames":["y"]}`, "#/frames", "one of them"},
		{`{"frames":["y"],"body":"x"}`, "#/frames", "one of them"},
		{`{"frames":[]}`, "#/frames", "empty"},
		{`{"frames":{"0":"x"}}`, "#/frames", "an object, want an array"},
		{`{"frames":null}`, "#/frames", "null, want an array"},
		{`{"frames":["a",1]}`, "#/frames/1", "a number"},
		{`{"frames":[["a"]]}`, "#/frames/0", "an array"},
		{`{"frames":[{}]}`, "#/frames/0", "data is missing"},
		{`{"frames":[{"encoding":"text"}]}`, "#/frames/0", "data is missing"},
		{`{"frames":["a",{"data":"x","name":"y"}]}`, "#/frames/1/name", "a frame has data and encoding"},
		{`{"frames":["a",{"data":"x","data":"y"}]}`, "#/frames/1/data", "twice"},
		{`{"frames":["a","b"`, "#/frames", "too early"},
		{`{"frames":["a" "b"]}`, "#/frames", "invalid character"},
		{`{"frames":[{"data":"$","encoding":"base64"}]}`, "#/frames/0/data", "base64 from byte 0"},
		{`{"frames":[{"data":"x","encoding":"hex"}]}`, "#/frames/0/encoding", `"hex", want text, json or base64`},
		{`{"frames":["x"],"encoding":"text"}`, "#/encoding", "give each frame its own"},
		{`{"encoding":"base64"}`, "#/encoding", "without body"},
		{`{"body":"x","encoding":"latin1"}`, "#/encoding", `"latin1"`},
		{`{"body":"x","encoding":"auto"}`, "#/encoding", `"auto"`},
		{`{"body":"x","encoding":null}`, "#/encoding", "null"},
		{`{"body":1,"encoding":"text"}`, "#/body", "a number, and the encoding text wants a string"},
		{`{"body":{},"encoding":"base64"}`, "#/body", "an object"},
		{`{"body":"AAE","encoding":"base64"}`, "#/body", "padding"},
		{`{"body":"AA-_","encoding":"base64"}`, "#/body", "from byte 2"},
		{`{"body":"AAEC\n","encoding":"base64"}`, "#/body", "from byte 4"},
		{`{"body":"AAF=","encoding":"base64"}`, "#/body", "base64"},
		{`{"vars":[]}`, "#/vars", "an array, want an object"},
		{`{"vars":null}`, "#/vars", "null, want an object"},
		{`{"vars":{},"vars":{}}`, "#/vars", "twice"},
		{`{"a b%":1}`, "#/a%20b%25", "unknown member"},
		{`{"a/b~":1}`, "#/a~1b~0", "unknown member"},
	} {
		var call gateway.Call
		err := mustParse(t, Options{}, "", isJSON).Decode([]byte(tt.body), &call)
		if err == nil {
			t.Errorf("%.200s: no error, want %s", tt.body, tt.detail)
			continue
		}
		if !t.Run("", func(t *testing.T) { wantError(t, err, gateway.BadRequest, tt.pointer, tt.detail) }) {
			t.Logf("of %.200s", tt.body)
		}
	}
}

func TestEnvelopeMayHave64Levels(t *testing.T) {
	for _, body := range []string{
		`{"body":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`,
		`{"vars":{"a":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `}}`,
		`{"frames":[{"data":` + strings.Repeat("[", 61) + strings.Repeat("]", 61) + `}]}`,
		`{"body":["` + strings.Repeat("[", 100) + `"]}`,
	} {
		var call gateway.Call
		if err := mustParse(t, Options{}, "", isJSON).Decode([]byte(body), &call); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestEnvelopeOfTooManyFramesIsRefused(t *testing.T) {
	body := func(n int) []byte { return []byte(`{"frames":[` + strings.Repeat(`"",`, n-1) + `""]}`) }
	var call gateway.Call
	x := mustParse(t, Options{}, "", isJSON)
	if err := x.Decode(body(maxFrames), &call); err != nil || len(call.Frames) != maxFrames {
		t.Errorf("%d frames: got %d, error %v", maxFrames, len(call.Frames), err)
	}
	wantError(t, x.Decode(body(maxFrames+1), &gateway.Call{}), gateway.InvalidVars, "#/frames", "65536")
}

func TestStringsWithoutEscapesAreNotCopied(t *testing.T) {
	body := []byte(`{"body":"hello","vars":{"sf":7}}`)
	var call gateway.Call
	if err := mustParse(t, Options{}, "", isJSON).Decode(body, &call); err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(body, []byte("hello")); &call.Frames[0][0] != &body[i] {
		t.Error("the frame is a copy")
	}
	if string(body) != `{"body":"hello","vars":{"sf":7}}` {
		t.Errorf("Decode has written to the body: %s", body)
	}
}
