package flowgraph_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"mdpgateway/internal/flowgraph"
)

func TestParseReadsWhatPythonPrints(t *testing.T) {
	for frame, want := range map[string]string{
		`{}`: `{}`,
		`{'sf': 7, 'samp_rate': 250000, 'has_crc': False, 'impl_head': True, 'none': None, 'sync_words': [8, 16]}`: `{"sf":7,"samp_rate":250000,"has_crc":false,"impl_head":true,"none":null,"sync_words":[8,16]}`,
		`{'a': (1, 2), 'b': (1,), 'c': (), 'd': ((), [(2, {'x': ()})])}`:                                           `{"a":[1,2],"b":[1],"c":[],"d":[[],[[2,{"x":[]}]]]}`,
		`{'gain': 1e-05, 'big': 1e+16, 'neg': -0.5, 'zero': -0.0}`:                                                 `{"gain":1e-05,"big":1e+16,"neg":-0.5,"zero":-0.0}`,
		`{"it's": 'a "b"', 'c\'"d': '\\ \n\r\t\x00\xe9\u20ac\U0001f600 é€😀'}`:                                      `{"it's":"a \"b\"","c'\"d":"\\ \n\r\t\u0000é€😀 é€😀"}`,
		"{'a': 1,\n 'b': [1, 2,],}": `{"a":1,"b":[1,2]}`,
		`{'True': 'None'}`:          `{"True":"None"}`,
	} {
		got, err := flowgraph.Python.Parse([]byte(frame))
		if err != nil || got.String() != want {
			t.Errorf("%s\ngot  %s, %v\nwant %s", frame, got, err, want)
		}
	}
}

func TestParseRefusesWhatVarsCanNotHold(t *testing.T) {
	for _, frame := range []string{
		``, `7`, `[]`, `None`, `{`, `}`, `{'a': 1`, `{'a': 1}}`, `{'a': 1} x`, `{'a': (1}`, `{'a': (1)}`, `{'a': [1)}`, `{'a': 1)`, `{,}`, `{'a': (,)}`, `{'a': [,]}`,
		`{'a': 1, 'a': 2}`, `{7: 1}`, `{'a'}`, `{'a': b'x'}`, `{'a': 1j}`, `{'a': inf}`, `{'a': nan}`, `{'a': 0x10}`, `{'a': 1_000}`, `{'a': 1.}`, `{'a': true}`,
		`{'a': 'x}`, `{'a': '\`, `{'a': '\ud800'}`, `{'a': '\q'}`, `{'a': '\x0'}`, `{'a': '\U00110000'}`, `{'a': '\UFFFFFFFF'}`, "{'a': '\xff'}", "{'a': '\n'}", `{'a': 'b' 'c'}`, `{'a': __import__('os')}`,
	} {
		if got, err := flowgraph.Python.Parse([]byte(frame)); err == nil {
			t.Errorf("%s becomes %s, want an error", frame, got)
		}
	}
	if _, err := flowgraph.JSON.Parse([]byte(`{'a': 1}`)); err == nil {
		t.Error("JSON reads Python")
	}
	if _, err := flowgraph.None.Parse([]byte(`{}`)); err == nil {
		t.Error("none reads vars")
	}
}

// What Append writes Parse reads, and means the same to Python.
func TestParseReadsWhatAppendWrites(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	python := startPython(t)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), numbers: anyNumber, characters: anyCharacter}
	for range 500 {
		frame := mustAppend(t, flowgraph.Python, g.object())
		got, err := flowgraph.Python.Parse(frame)
		if err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
		python.judge(t, "value", got.Text(), frame)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{'a': (1,), "b": [True, None, '\xe9']}`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		object, err := flowgraph.Python.Parse(frame)
		if err != nil {
			return
		}
		again, err := flowgraph.Python.Append(nil, object)
		if err != nil {
			return // a number that is out of range
		}
		back, err := flowgraph.Python.Parse(again)
		if err != nil {
			t.Fatalf("%q becomes %s, written %q: %v", frame, object, again, err)
		}
		if third, _ := flowgraph.JSON.Append(nil, back); string(third) != string(must(flowgraph.JSON.Append(nil, object))) {
			t.Fatalf("%q becomes %s, and then %s", frame, object, back)
		}
	})
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}
