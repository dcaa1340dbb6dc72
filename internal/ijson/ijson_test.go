package ijson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/ijson"
)

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestWhatIsWrongWithAnObjectIsSaidWithItsPlace(t *testing.T) {
	const tooDeep = ": more than 64 levels of objects and arrays"
	for object, want := range map[string]string{
		``:                         "#: the JSON is empty",
		` `:                        "#: the JSON is empty",
		`[1]`:                      "#: it is an array, want an object",
		`"sf"`:                     "#: it is a string, want an object",
		`null`:                     "#: it is null, want an object",
		`true`:                     "#: it is a boolean, want an object",
		`7`:                        "#: it is a number, want an object",
		`{} {}`:                    "#: more text follows the value",
		`{}x`:                      "#: more text follows the value",
		`{`:                        "#: the JSON ends too early",
		`{"a":[1,{"b":`:            "#/a/1/b: the JSON ends too early",
		`{"sf":7,}`:                `#: invalid character ',' at start of value, at byte 7`,
		`{sf:7}`:                   `#: invalid character 's' at start of value, at byte 1`,
		`{"sf":True}`:              "#/sf: invalid character 'T' at start of value, at byte 6",
		`{"sf":[1,07]}`:            "#/sf: invalid character '7' after array element (expecting ',' or ']'), at byte 10",
		`{"sf":-}`:                 "#/sf: invalid character '}' in number (expecting digit), at byte 7",
		"{\"s\":\"a\nb\"}":         `#/s: invalid character '\n' in string (expecting non-control character), at byte 7`,
		"{\"s\":\"\xff\"}":         "#/s: invalid UTF-8, at byte 6",
		"{\"s\":\"\xed\xa0\x80\"}": "#/s: invalid UTF-8, at byte 6",
		`{"s":["","\ud800"]}`:      "#/s/1: invalid surrogate pair `\\ud800\"]}` in string, at byte 10",
		`{"s":"\x41"}`:             "#/s: invalid escape sequence `\\x` in string, at byte 6",

		`{"a":1,"a":2}`: "#/a: " + ijson.Twice,
		`{"x":[{},{"a":1,"b":{"a":1},"\u0061":2}]}`:           "#/x/1/a: " + ijson.Twice,
		`{"\ud83d\ude00":1,"😀":2}`:                            "#/%F0%9F%98%80: " + ijson.Twice,
		`{"a/b~c d%":1,"a/b~c d%":2}`:                         "#/a~1b~0c%20d%25: " + ijson.Twice,
		`{"` + strings.Repeat("n", 300) + `":{"a":{},"a":1}}`: "#: " + ijson.Twice,

		`{"` + strings.Repeat("n", 1<<16) + `":1}`: "#: a name of 65538 bytes, want at most 65536",

		`{"d":` + deep(63) + `}`:                              "#/d" + strings.Repeat("/0", 62) + tooDeep,
		`{"d":` + strings.Repeat("[", 20000) + `}`:            "#/d" + strings.Repeat("/0", 62) + tooDeep,
		strings.Repeat(`{"a":`, 64) + strings.Repeat("}", 64): "#" + strings.Repeat("/a", 63) + tooDeep,
	} {
		got, err := ijson.ParseObject([]byte(object))
		if _, ok := errors.AsType[*ijson.Error](err); !ok || err.Error() != want || !got.IsZero() {
			t.Errorf("%.80s: %v, want %s", object, err, want)
		}
	}
}

func TestAnObjectIsTheTextWithoutTheSpaceAroundIt(t *testing.T) {
	for text, want := range map[string]string{
		"{}": "{}", " \t\r\n{ \n} ": "{ \n}", `{"a":{"b":["[{",{}]},"c":-1e5}`: `{"a":{"b":["[{",{}]},"c":-1e5}`,
		`{"d":` + deep(62) + `}`: `{"d":` + deep(62) + `}`,
	} {
		before := strings.Clone(text)
		if got, err := ijson.ParseObject([]byte(text)); err != nil || string(got.Text()) != want || text != before {
			t.Errorf("%q: got %q, %v, want %q", text, got.Text(), err, want)
		}
	}
}

func TestPointerAtIsWhereTheTokenIs(t *testing.T) {
	o := ijson.MustObject(` {"a": [1, {"b": 7}], "c": 8}`)
	for token, want := range map[string]jsontext.Pointer{"1": "/a/0", "7": "/a/1/b", "8": "/c", "{": ""} {
		if got := o.PointerAt(bytes.Index(o.Text(), []byte(token))); got != want {
			t.Errorf("%s is at %q, want %q", token, got, want)
		}
	}
}

func TestFragmentsAreEscapedAndBounded(t *testing.T) {
	for p, want := range map[jsontext.Pointer]string{
		"": "#", "/": "#/", "/vars/sync_words/0": "#/vars/sync_words/0", "/a~1b/~0/é %\"": "#/a~1b/~0/%C3%A9%20%25%22",
		"/vars/" + jsontext.Pointer(strings.Repeat("n", 300)) + "/a": "#/vars",
	} {
		if got := ijson.Fragment(p); got != want {
			t.Errorf("%.80s: got %s, want %s", p, got, want)
		}
	}
}

// randomValue appends a JSON value with few names, so that many are there twice.
func randomValue(b []byte, rnd *rand.Rand, depth int) []byte {
	kind := rnd.IntN(4)
	if depth == 0 || kind < 2 {
		return append(b, [...]string{`"a,{\"b\":1"`, "1e5", "null", " true ", `"a"`}[rnd.IntN(5)]...)
	}
	brackets := [...]string{"{}", "[]"}[kind-2]
	b = append(b, brackets[0])
	for i := range rnd.IntN(5) {
		if i > 0 {
			b = append(b, ", "...)
		}
		if kind == 2 {
			b = append(b, [...]string{`"a"`, `"\u0061"`, `"b\"{"`, `"b\u0022{"`, `"c,"`, `""`, `"é"`, `"d"`, `"e"`}[rnd.IntN(9)]...)
			b = append(b, " : "...)
		}
		b = randomValue(b, rnd, depth-1)
	}
	return append(b, brackets[1])
}

// TestValidIsWhatTheTokenizerAloneFindsValid compares our search for duplicate names with
// the tokenizer's own.
func TestValidIsWhatTheTokenizerAloneFindsValid(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	twice := 0
	for range 5000 {
		value := randomValue(nil, rnd, 5)
		want := jsontext.Value(value).IsValid()
		if got := ijson.Valid(value); got != want {
			t.Fatalf("seed %d: %s: valid is %v, want %v", seed, value, got, want)
		}
		if !want {
			twice++
		}
	}
	if twice < 500 || twice > 4500 {
		t.Errorf("seed %d: %d of 5000 values have duplicates: the values prove little", seed, twice)
	}
}

// many returns an object of about size bytes that is nothing but members.
func many(size int, last string) []byte {
	var b strings.Builder
	b.WriteString(`{"":0`)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `,"%x":0`, i)
	}
	return []byte(b.String() + last + "}")
}

func TestADuplicateIsFoundAmongManyNames(t *testing.T) {
	if !ijson.Valid(many(1<<20, "")) {
		t.Error("an object without duplicates is not valid")
	}
	_, err := ijson.ParseObject(many(1<<20, `,"\u0061f":1`))
	if want := "#/af: " + ijson.Twice; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestManyMembersCostMemoryInProportion holds that an object of nothing but members takes
// a small multiple of its own size, also to say that one is there twice.
func TestManyMembersCostMemoryInProportion(t *testing.T) {
	for _, last := range []string{"", `,"af":1`} {
		object := many(8<<20, last)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ijson.ParseObject(object)
		runtime.ReadMemStats(&after)
		if (err == nil) != (last == "") {
			t.Errorf("with %q: %v", last, err)
		}
		// All that was ever allocated: what was held at once is less.
		if got := after.TotalAlloc - before.TotalAlloc; got > 8*uint64(len(object)) {
			t.Errorf("%d MiB for an object of %d MiB", got>>20, len(object)>>20)
		}
	}
}

// FuzzObject holds that what we take the tokenizer alone takes, and encoding/json.
func FuzzObject(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"a":1,"\u0061":2}`, `{"a":[{"b":null},"\ud83d\ude00"]} `, `{"\ud800":0}`, "{\"\xff\":0}", `[[[`, deep(70)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		o, err := ijson.ParseObject(text)
		if !bytes.Equal(text, before) {
			t.Fatalf("%q was made of %q", text, before)
		}
		good := jsontext.Value(text).IsValid() && jsontext.Value(text).Kind() == jsontext.KindBeginObject
		if err == nil && (!good || !json.Valid(o.Text())) {
			t.Errorf("%q is taken", text)
		}
		if err != nil && good && !strings.Contains(err.Error(), "more than 64 levels") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
