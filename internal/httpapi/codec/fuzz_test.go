package codec

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"mdpgateway/internal/gateway"
)

// FuzzEnvelope holds that what we take encoding/json takes too, that frames and
// vars are what it reads, and that a refusal says where.
func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{
		`{"body":"hello","vars":{"sf":7,"has_crc":false}}`, `{"body":"AAEC","encoding":"base64"}`, `{"body":{"any":["json",1]}}`,
		`{"frames":["first",{"data":"AAEC","encoding":"base64"},{"data":{"x": 1},"encoding":"json"}],"vars":{}}`,
		`{"body":"\ud800"}`, `{"a":1,"a":2}`, `[[[`, "{\"body\":\"\xff\"}", `{"body":1e999,"encoding":"json"}`, `{"\u0062ody":"\/"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		var call gateway.Call
		err := mustParse(t, Options{}, "", isJSON).Decode(body, &call)
		if !bytes.Equal(body, before) {
			t.Fatalf("Decode made %q of %q", body, before)
		}
		if err != nil {
			e := gateway.AsError(err)
			if e.Kind != gateway.BadRequest || len(e.Faults) != 1 || !strings.HasPrefix(e.Faults[0].Pointer, "#") || !utf8.ValidString(e.Detail) {
				t.Errorf("%q: %v, faults %q", body, err, e.Faults)
			}
			return
		}
		compareEnvelope(t, body, call)
	})
}

// compareEnvelope compares a call with what encoding/json makes of the body.
func compareEnvelope(t *testing.T, body []byte, call gateway.Call) {
	t.Helper()
	type value struct {
		Data     json.RawMessage
		Encoding string
	}
	var want map[string]json.RawMessage
	if err := json.Unmarshal(body, &want); err != nil {
		t.Fatalf("%q is taken, but %v", body, err)
	}
	if !bytes.Equal(call.Vars.Text(), want["vars"]) {
		t.Errorf("%q: vars %q, want %q", body, call.Vars.Text(), want["vars"])
	}
	values := []value{{Data: []byte(`""`)}}
	if frames, ok := want["frames"]; ok {
		var elements []json.RawMessage
		if err := json.Unmarshal(frames, &elements); err != nil {
			t.Fatal(err)
		}
		values = make([]value, len(elements))
		for i, element := range elements {
			if element[0] == '"' {
				values[i].Data = element
			} else if err := json.Unmarshal(element, &values[i]); err != nil {
				t.Fatal(err)
			}
		}
	} else if data, ok := want["body"]; ok {
		values[0].Data = data
		if encoding, ok := want["encoding"]; ok {
			if err := json.Unmarshal(encoding, &values[0].Encoding); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(values) != len(call.Frames) {
		t.Fatalf("%q: %d frames, want %d", body, len(call.Frames), len(values))
	}
	for i, v := range values {
		if got, want := call.Frames[i], plainly(t, v.Data, v.Encoding); !bytes.Equal(got, want) {
			t.Errorf("%q: frame %d is %q, want %q", body, i, got, want)
		}
	}
}

// plainly decodes one frame by encoding/json alone.
func plainly(t *testing.T, data json.RawMessage, encoding string) []byte {
	t.Helper()
	var err error
	switch {
	case encoding == "base64":
		var b []byte
		if err = json.Unmarshal(data, &b); err == nil {
			return b
		}
	case encoding == "text" || encoding == "" && data[0] == '"':
		var s string
		if err = json.Unmarshal(data, &s); err == nil {
			return []byte(s)
		}
	default:
		var b bytes.Buffer
		if err = json.Compact(&b, data); err == nil {
			return b.Bytes()
		}
	}
	t.Fatalf("%q as %q: %v", data, encoding, err)
	return nil
}

// FuzzReply holds that every frame survives in every encoding, as one line of
// JSON.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"hello", "\x00\xff", "{\"a\": [1]}", "\xed\xa0\x80", "\xc2\x85", "\"\\\n", "12345678\x1f"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, as := range []gateway.Encoding{gateway.Auto, gateway.Text, gateway.Base64, gateway.JSON} {
			list := appendFrames(nil, [][]byte{frame}, as)
			got, want := readBack(t, list)[0], frame
			if strings.HasSuffix(string(list), `"json"}]`) {
				want = plainly(t, frame, "json")
			}
			if !bytes.Equal(got, want) {
				t.Errorf("as %s: %q came back as %q", as, frame, got)
			}
		}
		text := string(appendFrames(nil, [][]byte{frame}, gateway.Auto))
		readable := utf8.Valid(frame) && !strings.ContainsFunc(string(frame), func(r rune) bool {
			return r < ' ' && !strings.ContainsRune("\t\n\r", r) || r >= 0x7f && r < 0xa0
		})
		if got := strings.HasSuffix(text, `"text"}]`); got != readable {
			t.Errorf("%q is given as %s, readable: %v", frame, text, readable)
		}
	})
}

// FuzzQuery holds that what a query says is either taken or refused as malformed.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"raw=true&frame=1&reply=json&timeout=1s", "vars=%7B%22a%22%3A1%7D", "vars={&frame=-1", "%", ";", "timeout=1e9s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		e, err := parse(t, Options{}, query)
		switch {
		case err != nil && gateway.AsError(err).Kind != gateway.BadRequest:
			t.Errorf("?%s: %v", query, err)
		case err == nil && (e.frame < -1 || e.Timeout < 0 || (e.Timeout > 0) != (e.TimeoutBy != "") || !e.vars.IsZero() && !json.Valid(e.vars.Text())):
			t.Errorf("?%s: %+v", query, e)
		}
	})
}
