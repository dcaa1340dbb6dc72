package codec

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/gateway"
)

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

// TestDuplicateFindsWhatTheTokenizerFinds compares the two ways to look for
// members that are there twice.
func TestDuplicateFindsWhatTheTokenizerFinds(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	twice := 0
	for range 5000 {
		value := randomValue(nil, rnd, 5)
		at, found := duplicate(value)
		if found {
			twice++
		}
		if found == jsontext.Value(value).IsValid() {
			t.Fatalf("seed %d: %s: found %v at %s", seed, value, found, at)
		}
	}
	if twice < 500 || twice > 4500 {
		t.Errorf("seed %d: %d of 5000 values have duplicates: the values prove little", seed, twice)
	}
}

// longEnvelope is an envelope that is not searched by the tokenizer, with an
// object of at least n bytes.
func longEnvelope(n int, last string) string {
	var b strings.Builder
	b.WriteString(`{"body":{"a":[{},{"":0`)
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `,"%x":0`, i)
	}
	b.WriteString(last + `}]}}`)
	return b.String()
}

func TestLongBodiesAreSearchedForDuplicatesToo(t *testing.T) {
	x := mustParse(t, Options{}, "", isJSON)
	if err := x.Decode([]byte(longEnvelope(2*maxKept, "")), &gateway.Call{}); err != nil {
		t.Error(err)
	}
	long := `"` + strings.Repeat("x", maxKept) + `"`
	for body, pointer := range map[string]string{
		longEnvelope(2*maxKept, `,"\u0061f":1`):                   "#/body/a/1/af",
		`{"body":` + long + `,"body":1}`:                          "#/body",
		`{"vars":{},"body":` + long + `,"vars":{}}`:               "#/vars",
		`{"frames":[{"data":` + long + `,"data":1}]}`:             "#/frames/0/data",
		`{"frames":["x"],"frames":[` + long + `]}`:                "#/frames",
		`{"body":"x","encoding":"text","encoding":` + long + `}`:  "#/encoding",
		`{"body":` + long + `,"vars":{"a":{"b":1},"c":1,"a":{}}}`: "#/vars/a",
	} {
		err := x.Decode([]byte(body), &gateway.Call{})
		wantError(t, err, gateway.BadRequest, pointer, "twice")
	}
	vars := part(`form-data; name="vars"`, `{"a":`+long+`,"a":1}`) + "--b--"
	wantError(t, mustParse(t, Options{}, "", isForm).Decode([]byte(vars), &gateway.Call{}), gateway.BadRequest, "#/vars/a", "twice")
	frame := []byte(`{"a":` + long + `,"a":1}`)
	if got := string(appendFrames(nil, [][]byte{frame}, gateway.JSON)); !strings.HasSuffix(got, `"text"}]`) {
		t.Errorf("a frame with duplicates is given as …%s", got[len(got)-20:])
	}
}

// TestManyMembersCostMemoryInProportion holds that a body of nothing but members
// takes a small multiple of its own size.
func TestManyMembersCostMemoryInProportion(t *testing.T) {
	body := []byte(longEnvelope(8<<20, ""))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := mustParse(t, Options{}, "", isJSON).Decode(body, &gateway.Call{}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	// All that was ever allocated: what was held at once is less.
	if got := after.TotalAlloc - before.TotalAlloc; got > 8*uint64(len(body)) {
		t.Errorf("%d MiB for a body of %d MiB", got>>20, len(body)>>20)
	}
}
