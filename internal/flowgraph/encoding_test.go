package flowgraph_test

import (
	"errors"
	"strings"
	"testing"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/ijson"
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
			got, err := appendText(encoding, []byte("before "), []byte(tt.object))
			if err != nil || string(got) != "before "+want {
				t.Errorf("%s of %s is %q, %v; want %q", encoding, tt.object, got, err, "before "+want)
			}
		}
	}
}

func TestAppendRefusesNumbersThatNoWorkerHolds(t *testing.T) {
	nines := strings.Repeat("9", 4301)
	for _, tt := range []struct {
		object, want string
	}{
		{`{"n":[1,1e400]}`, "#/n/1: 1e400 is out of a float's range"},
		{`{"n":-1E309}`, "#/n: -1E309 is out of a float's range"},
		{`{"n":1e99999999999999999999}`, "#/n: 1e99999999999999999999 is out of a float's range"},
		{`{"n":` + nines[:309] + `.0}`, "#/n: " + nines[:40] + " is out of a float's range"},
		{`{"n":` + nines + `}`, "#/n: an integer of 4301 digits, want at most 4300"},
		{`{"n":-` + nines + `}`, "#/n: an integer of 4301 digits, want at most 4300"},
	} {
		for _, encoding := range []flowgraph.Encoding{flowgraph.Python, flowgraph.JSON, flowgraph.None} {
			got, err := encoding.Append([]byte("before"), ijson.MustObject(tt.object))
			if _, ok := errors.AsType[*ijson.Error](err); !ok || err.Error() != tt.want || string(got) != "before" {
				t.Errorf("%s of %.80s is %q, %v; want %s", encoding, tt.object, got, err, tt.want)
			}
		}
	}
}

func TestAppendTakesTheLargestThatItMay(t *testing.T) {
	for _, value := range []string{
		strings.Repeat("[", 62) + strings.Repeat("]", 62),
		strings.Repeat("9", 4300),
		"-" + strings.Repeat("9", 4300),
		strings.Repeat("9", 308) + ".0",
		"0." + strings.Repeat("1", 5000),
	} {
		got, err := appendText(flowgraph.Python, nil, []byte(`{"v":`+value+`}`))
		if want := "{'v': " + value + "}"; err != nil || string(got) != want {
			t.Errorf("%.40s… becomes %.60s, %v", value, got, err)
		}
	}
}

func TestAppendDoesNotTouchItsInput(t *testing.T) {
	object := []byte(`{"a":"it's é \u0041","b":[1,{"c":null}]}`)
	before := string(object)
	for _, encoding := range []flowgraph.Encoding{flowgraph.Python, flowgraph.JSON, flowgraph.None} {
		if _, err := appendText(encoding, nil, object); err != nil || string(object) != before {
			t.Errorf("%s: the input is %s, %v", encoding, object, err)
		}
	}
}

// The destination is warm here: what is counted is the work itself.
func TestAllocationsDoNotGrowWithTheSize(t *testing.T) {
	for _, encoding := range []flowgraph.Encoding{flowgraph.Python, flowgraph.JSON} {
		allocations := func(object []byte) float64 {
			dst := make([]byte, 0, 4*len(object))
			checked := ijson.MustObject(string(object))
			return testing.AllocsPerRun(20, func() {
				if _, err := encoding.Append(dst, checked); err != nil {
					t.Fatal(err)
				}
			})
		}
		small, large := allocations(vars(1<<10)), allocations(vars(64<<10))
		if small > 0 || large > 0 {
			t.Errorf("%s: %v allocations for 1 KiB, %v for 64 KiB; want none", encoding, small, large)
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
