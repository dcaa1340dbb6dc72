package flowgraph_test

import (
	"errors"
	"strings"
	"testing"

	"mdpgateway/internal/flowgraph"
)

func TestAppendWritesWhatWorkersRead(t *testing.T) {
	for _, tt := range []struct{ object, python, json string }{
		{`{}`, `{}`, `{}`},
		{" \t\r\n{ \n} ", `{}`, `{}`},
		{`{"sf": 7, "samp_rate": 250000, "has_crc": false, "impl_head": true, "sync_words": [8, 16]}`,
			`{'sf': 7, 'samp_rate': 250000, 'has_crc': False, 'impl_head': True, 'sync_words': [8, 16]}`,
			`{"sf":7,"samp_rate":250000,"has_crc":false,"impl_head":true,"sync_words":[8,16]}`},
		{`{"z":null,"a":[],"b":{},"c":[[],[{}]]}`, `{'z': None, 'a': [], 'b': {}, 'c': [[], [{}]]}`, ""},
		{`{"":""}`, `{'': ''}`, ""},
		{`{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}`, `{'a': {'a': {'a': 1}}, 'b': [{'a': 1}, {'a': 1}]}`, ""},

		{`{"n":[7,7.0,-1,-0,-0.0,1E5,1e+5,1e-400,0e9]}`, `{'n': [7, 7.0, -1, -0, -0.0, 1E5, 1e+5, 1e-400, 0e9]}`, ""},
		{`{"n":[1.7976931348623157e308,0.00001e312]}`, `{'n': [1.7976931348623157e308, 0.00001e312]}`, ""},
		{`{"n":123456789012345678901234567890}`, `{'n': 123456789012345678901234567890}`, ""},

		{`{"s":"it's"}`, `{'s': "it's"}`, ""},
		{`{"s":"say \"hi\""}`, `{'s': 'say "hi"'}`, ""},
		{`{"s":"it's \"hi\""}`, `{'s': 'it\'s "hi"'}`, ""},
		{`{"s":"\u0027\u0022"}`, `{'s': '\'"'}`, ""},
		{`{"s":"\u0027"}`, `{'s': "'"}`, ""},
		{`{"it's":"\\"}`, `{"it's": '\\'}`, ""},
		{`{"s":"\/\b\f\n\r\t\u0000\u001f` + "\x7f" + `"}`, `{'s': '/\x08\x0c\n\r\t\x00\x1f\x7f'}`, ""},
		{`{"s":"\u00e9é\u20AC€😀\ud83d\ude00\uD83D\uDE00"}`,
			`{'s': '\xe9\xe9\u20ac\u20ac\U0001f600\U0001f600\U0001f600'}`, ""},
		{`{"s":"\u0041\\u0041\uffff\u2028"}`, `{'s': 'A\\u0041\uffff\u2028'}`, ""},
	} {
		if tt.json == "" {
			tt.json = strings.TrimSpace(tt.object) // it is compact already
		}
		for encoding, want := range map[flowgraph.Encoding]string{
			flowgraph.Python: tt.python, flowgraph.JSON: tt.json, flowgraph.None: "",
		} {
			got, err := encoding.Append([]byte("before "), []byte(tt.object))
			if err != nil || string(got) != "before "+want {
				t.Errorf("%s of %s is %q, %v; want %q", encoding, tt.object, got, err, "before "+want)
			}
		}
	}
}

func TestAppendRefusesWithThePlace(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	nines := strings.Repeat("9", 4301)
	for _, tt := range []struct {
		object, pointer, detail string
		outOfRange              bool
	}{
		{``, "#", "not a JSON object: it is empty", false},
		{` `, "#", "not a JSON object: it is empty", false},
		{`[1]`, "#", "not a JSON object", false},
		{`"sf"`, "#", "not a JSON object", false},
		{`null`, "#", "not a JSON object", false},
		{`7`, "#", "not a JSON object", false},
		{`{} {}`, "#", "more text follows the object", false},
		{`{}x`, "#", "more text follows the object", false},
		{`{`, "#", "the text ends too early", false},
		{`{"sf":7,}`, "#", "invalid character '}' at start of string (expecting '\"')", false},
		{`{sf:7}`, "#", "invalid character 's' at start of string (expecting '\"')", false},
		{`{"sf":True}`, "#/sf", "invalid character 'T' at start of value", false},
		{`{"sf":[1,07]}`, "#/sf", "invalid character '7' after array element (expecting ',' or ']')", false},
		{`{"sf":NaN}`, "#/sf", "invalid character 'N' at start of value", false},
		{`{"sf":-}`, "#/sf", "invalid character '}' in number (expecting digit)", false},
		{`{"sf":1.}`, "#/sf", "invalid character '}' in number (expecting digit)", false},
		{"{\"s\":\"a\nb\"}", "#/s", `invalid character '\n' in string (expecting non-control character)`, false},
		{"{\"s\":\"\xff\"}", "#/s", "invalid UTF-8", false},
		{"{\"s\":\"\xed\xa0\x80\"}", "#/s", "invalid UTF-8", false},
		{`{"s":["","\ud800"]}`, "#/s/1", "invalid surrogate pair `\\ud800\"]}` in string", false},
		{`{"s":"\udc00\ud800"}`, "#/s", "invalid surrogate pair `\\udc00\\ud800` in string", false},
		{`{"s":"\x41"}`, "#/s", "invalid escape sequence `\\x` in string", false},

		{`{"a":1,"a":2}`, "#/a", "duplicate member name", false},
		{`{"x":[{},{"a":1,"b":{"a":1},"\u0061":2}]}`, "#/x/1/a", "duplicate member name", false},
		{`{"\ud83d\ude00":1,"😀":2}`, "#/%F0%9F%98%80", "duplicate member name", false},
		{`{"a/b~c d%":1,"a/b~c d%":2}`, "#/a~1b~0c%20d%25", "duplicate member name", false},

		{`{"d":` + deep(64) + `}`, "#/d" + strings.Repeat("/0", 63), "more than 64 levels of objects and arrays", false},
		{`{"d":` + strings.Repeat("[", 20000) + `}`, "#/d" + strings.Repeat("/0", 63), "more than 64 levels of objects and arrays", false},

		{`{"n":[1,1e400]}`, "#/n/1", "1e400 is out of a float's range", true},
		{`{"n":-1E309}`, "#/n", "-1E309 is out of a float's range", true},
		{`{"n":1e99999999999999999999}`, "#/n", "1e99999999999999999999 is out of a float's range", true},
		{`{"n":` + nines[:309] + `.0}`, "#/n", nines[:40] + " is out of a float's range", true},
		{`{"n":` + nines + `}`, "#/n", "an integer of 4301 digits, want at most 4300", true},
		{`{"n":-` + nines + `}`, "#/n", "an integer of 4301 digits, want at most 4300", true},
	} {
		for _, encoding := range []flowgraph.Encoding{flowgraph.Python, flowgraph.JSON, flowgraph.None} {
			got, err := encoding.Append([]byte("before"), []byte(tt.object))
			var e *flowgraph.Error
			if !errors.As(err, &e) || string(got) != "before" {
				t.Errorf("%s of %.80s is %q, %v; want an *Error", encoding, tt.object, got, err)
				continue
			}
			if want := (flowgraph.Error{Pointer: tt.pointer, Detail: tt.detail, Range: tt.outOfRange}); *e != want {
				t.Errorf("%s of %.80s fails with %+v, want %+v", encoding, tt.object, *e, want)
			}
			if e.Error() != e.Pointer+": "+e.Detail {
				t.Errorf("text of the error is %q", e.Error())
			}
		}
	}
}

func TestAppendTakesTheLargestThatItMay(t *testing.T) {
	for _, value := range []string{
		strings.Repeat("[", 63) + strings.Repeat("]", 63),
		strings.Repeat("9", 4300),
		"-" + strings.Repeat("9", 4300),
		strings.Repeat("9", 308) + ".0",
		"0." + strings.Repeat("1", 5000),
	} {
		got, err := flowgraph.Python.Append(nil, []byte(`{"v":`+value+`}`))
		if want := "{'v': " + value + "}"; err != nil || string(got) != want {
			t.Errorf("%.40s… becomes %.60s, %v", value, got, err)
		}
	}
}

func TestAppendRefusesATextOverItsLimit(t *testing.T) {
	object := []byte(`{"s":"` + strings.Repeat("x", flowgraph.MaxSize-8) + `"}`)
	if _, err := flowgraph.JSON.Append(nil, object); err != nil {
		t.Errorf("%d bytes fail: %v", len(object), err)
	}
	_, err := flowgraph.JSON.Append(nil, append(object, ' '))
	e, ok := errors.AsType[*flowgraph.Error](err)
	if want := "#: a text of 16777217 bytes, want at most 16777216"; !ok || !e.Range || e.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAppendFindsADuplicateAmongManyNames(t *testing.T) {
	object := vars(1 << 20)
	if _, err := flowgraph.Python.Append(nil, object); err != nil {
		t.Fatalf("an object without duplicates fails: %v", err)
	}
	object = append(object[:len(object)-1], `,"gain77":1}`...)
	_, err := flowgraph.Python.Append(nil, object)
	if want := "#/gain77: duplicate member name"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAppendDoesNotTouchItsInput(t *testing.T) {
	object := []byte(`{"a":"it's é \u0041","b":[1,{"c":null}]}`)
	before := string(object)
	for _, encoding := range []flowgraph.Encoding{flowgraph.Python, flowgraph.JSON, flowgraph.None} {
		if _, err := encoding.Append(nil, object); err != nil || string(object) != before {
			t.Errorf("%s: the input is %s, %v", encoding, object, err)
		}
	}
}

// The destination is warm here: what is counted is the work itself.
func TestAllocationsDoNotGrowWithTheSize(t *testing.T) {
	for _, encoding := range []flowgraph.Encoding{flowgraph.Python, flowgraph.JSON} {
		allocations := func(object []byte) float64 {
			dst := make([]byte, 0, 4*len(object))
			return testing.AllocsPerRun(20, func() {
				if _, err := encoding.Append(dst, object); err != nil {
					t.Fatal(err)
				}
			})
		}
		small, large := allocations(vars(1<<10)), allocations(vars(64<<10))
		if small > 2 || large > small {
			t.Errorf("%s: %v allocations for 1 KiB, %v for 64 KiB; want at most 2, and no more for more", encoding, small, large)
		}
	}
}

func TestEncodingNames(t *testing.T) {
	for encoding, name := range map[flowgraph.Encoding]string{
		flowgraph.Python: "python", flowgraph.JSON: "json", flowgraph.None: "none",
	} {
		text, err := encoding.MarshalText()
		if encoding.String() != name || string(text) != name || err != nil {
			t.Errorf("encoding %d is %s, %s, %v; want %s", encoding, encoding, text, err, name)
		}
		got := flowgraph.Encoding(-1)
		if err := got.UnmarshalText([]byte(name)); err != nil || got != encoding {
			t.Errorf("%s is read as %d, %v", name, got, err)
		}
	}
	got := flowgraph.JSON
	err := got.UnmarshalText([]byte("pickle"))
	if want := `vars is "pickle", want one of python, json, none`; err == nil || err.Error() != want || got != flowgraph.JSON {
		t.Errorf("pickle is read as %s, %v; want %s and no change", got, err, want)
	}
}

func TestPointerIsAFragment(t *testing.T) {
	for want, tokens := range map[string][]string{
		"#":                         nil,
		"#/":                        {""},
		"#/vars/sync_words/0":       {"vars", "sync_words", "0"},
		"#/a~1b/~0/%C3%A9%20%25%22": {"a/b", "~", `é %"`},
	} {
		if got := flowgraph.Pointer(tokens...); got != want {
			t.Errorf("pointer to %q is %s, want %s", tokens, got, want)
		}
	}
}
