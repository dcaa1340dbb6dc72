package catalogue_test

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
)

func TestMatchFindsTheFirstRuleThatHolds(t *testing.T) {
	s, _ := mustParse(t, `
services:
  lora:
    errors:
      - {frame: 1, equals: late, reason: late}
      - {equals: "\u0006", reason: failed}
      - {equals: "\u0006", reason: never}
      - {equals: "", reason: empty}
      - {equals: !!binary "/wA=", reason: raw}
`).Get("lora")
	for _, tt := range []struct {
		frames []string
		want   string
	}{
		{nil, ""},
		{[]string{"fine"}, ""},
		{[]string{"\x06"}, "failed"},
		{[]string{"\x06\x06"}, ""},
		{[]string{"\x06", "pickle"}, "failed"},
		{[]string{"\x06", "late"}, "late"},
		{[]string{"late"}, ""},
		{[]string{""}, "empty"},
		{[]string{"\xff\x00"}, "raw"},
	} {
		var frames [][]byte
		for _, frame := range tt.frames {
			frames = append(frames, []byte(frame))
		}
		got := ""
		if rule := s.Match(frames); rule != nil {
			got = rule.Reason
		}
		if got != tt.want {
			t.Errorf("%q matches %q, want %q", tt.frames, got, tt.want)
		}
	}
}

func TestCheckVarsPointsToWhatIsWrong(t *testing.T) {
	s, _ := mustParse(t, `
services:
  lora:
    vars_schema:
      required: [sf]
      additionalProperties: false
      properties:
        sf: {type: integer, minimum: 7, maximum: 12}
        bw: {enum: [125000, 250000]}
        gain: {multipleOf: 0.1}
        words: {type: array, maxItems: 2, items: {$ref: "#/$defs/byte"}}
        mode: {anyOf: [{type: "null"}, {const: fast}]}
        "a/b": {type: boolean}
        big: {type: integer}
      $defs: {byte: {type: integer, minimum: 0, maximum: 255}}
`).Get("lora")
	fault := func(pointer, detail string) []gateway.Fault {
		return []gateway.Fault{{Pointer: pointer, Detail: detail}}
	}
	for _, tt := range []struct {
		vars string
		want []gateway.Fault
	}{
		{`{"sf":7,"bw":125000,"gain":0.3,"words":[8,16],"mode":"fast","a/b":true}`, nil},
		{`{"sf":7.0,"gain":30e-1,"mode":null}`, nil},
		{`{"sf":7,"big":` + strings.Repeat("9", 4300) + `}`, nil},
		{`{}`, fault("#/vars", "missing property 'sf'")},
		{`{"sf":13}`, fault("#/vars/sf", "maximum: got 13, want 12")},
		{`{"sf":"7"}`, fault("#/vars/sf", "got string, want integer")},
		{`{"sf":7.5}`, fault("#/vars/sf", "got number, want integer")},
		{`{"sf":7,"bw":1}`, fault("#/vars/bw", "value must be one of 125000, 250000")},
		{`{"sf":7,"gain":0.35}`, fault("#/vars/gain", "multipleOf: got 0.35, want 0.1")},
		{`{"sf":7,"words":[8,256]}`, fault("#/vars/words/1", "maximum: got 256, want 255")},
		{`{"sf":7,"mode":7}`, fault("#/vars/mode", "fits none of the alternatives: got number, want null; value must be 'fast'")},
		{`{"sf":7,"a/b":0}`, fault("#/vars/a~1b", "got number, want boolean")},
		{`{"sf":7,"fs":1}`, fault("#/vars", "additional properties 'fs' not allowed")},
		{`{"sf":6,"words":[-1,0,1]}`, []gateway.Fault{
			{Pointer: "#/vars/sf", Detail: "minimum: got 6, want 7"},
			{Pointer: "#/vars/words", Detail: "maxItems: got 3, want 2"},
			{Pointer: "#/vars/words/0", Detail: "minimum: got -1, want 0"},
		}},
		{`{"sf":1e400}`, fault("#/vars", "1e400 is out of a float's range")},
	} {
		if got := s.CheckVars(ijson.MustObject(tt.vars)); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%.80s:\ngot  %+v\nwant %+v", tt.vars, got, tt.want)
		}
	}
}

// A number of a few bytes may stand for one of gigabytes, if it is unfolded. The
// validator calculates exactly, so it must not be given such a number.
func TestCheckVarsIsNotSlowedByExponents(t *testing.T) {
	s, _ := mustParse(t, `services: {a: {vars_schema: {properties: {n: {type: integer, multipleOf: 7}}}}}`).Get("a")
	want := []gateway.Fault{{Pointer: "#/vars/n", Detail: "got number, want integer"}}
	if got := s.CheckVars(ijson.MustObject(`{"n":1e-300}`)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, zero := range []string{"1e-99999999", "1e-99999999999"} {
		if got := s.CheckVars(ijson.MustObject(`{"n":` + zero + `}`)); got != nil { // to Python it is 0.0, and so a whole number
			t.Errorf("%s: got %+v, want none", zero, got)
		}
	}
}

func TestCheckVarsBoundsItsAnswer(t *testing.T) {
	s, _ := mustParse(t, `services: {a: {vars_schema: {properties: {n: {items: {type: "null"}}, s: {maxLength: 1}}, additionalProperties: false}}}`).Get("a")
	got := s.CheckVars(ijson.MustObject(`{"n":[1` + strings.Repeat(",1", 1000) + `]}`))
	if len(got) != 20 {
		t.Errorf("%d faults, want 20", len(got))
	}
	got = s.CheckVars(ijson.MustObject(`{"` + strings.Repeat("é", 1000) + `":1}`))
	if len(got) != 1 || len(got[0].Detail) > 305 || !strings.HasSuffix(got[0].Detail, "é…") {
		t.Errorf("got %+v", got)
	}
}

func TestCheckVarsWithoutSchemaTakesAnything(t *testing.T) {
	s, _ := mustParse(t, "services: {a: }").Get("a")
	if got := s.CheckVars(ijson.MustObject(`{"x":1}`)); got != nil {
		t.Errorf("got %+v", got)
	}
}

func TestStoreIsEmptyUntilItIsFilled(t *testing.T) {
	s := new(catalogue.Store)
	if _, ok := s.Get("echo"); ok || len(s.Names()) != 0 || s.Catalogue() == nil {
		t.Errorf("a new store has %q", s.Names())
	}
}

func TestNamesMayBeChangedByWhoGetsThem(t *testing.T) {
	c := mustParse(t, "services: {a: , b: }")
	c.Names()[0] = "x"
	if got := fmt.Sprint(c.Names()); got != "[a b]" {
		t.Errorf("names are %s after a caller changed its copy", got)
	}
}

// A reader sees one catalogue or the other, whole.
func TestStoreSwapsWhole(t *testing.T) {
	one, two := mustParse(t, "services: {a: , b: }"), mustParse(t, "services: {c: , d: }")
	s := catalogue.NewStore(one)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 10_000 {
				if got := fmt.Sprint(s.Names()); got != "[a b]" && got != "[c d]" {
					t.Errorf("names are %s", got)
					return
				}
			}
		})
	}
	for range 1000 {
		s.Swap(two)
		s.Swap(one)
	}
	s.Swap(two)
	readers.Wait()
	_, old := s.Get("a")
	if c, ok := s.Get("c"); old || !ok || c.Name != "c" {
		t.Errorf("after the swap a is there: %v, c is %+v", old, c)
	}
}
