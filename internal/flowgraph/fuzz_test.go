package flowgraph_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/ijson"
)

// FuzzAppend holds the writer against the tokenizer's own idea of good and
// compact JSON.
func FuzzAppend(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, ` {"a" : [1 , -0.0e-5, true,false,null ] }x`, `{"a":1,"\u0061":2}`, `{"it's":"\ud83d\ude00\"é` + "\x7f" + `"}`,
		`{"n":1e309}`, `[{}]`, `{"\ud800":0}`, strings.Repeat(`{"a":[`, 33) + strings.Repeat(`]}`, 33), "{\"\xff\":0}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		value := jsontext.Value(object)
		good := value.IsValid() && value.Kind() == jsontext.KindBeginObject
		python, err := appendText(flowgraph.Python, nil, object)
		if e, ok := errors.AsType[*ijson.Error](err); ok {
			expected := strings.HasPrefix(e.Detail, "more than 64 levels") || strings.HasPrefix(e.Detail, "an integer of") || strings.HasSuffix(e.Detail, "float's range")
			if good && !expected {
				t.Errorf("%q is good, but fails: %v", object, err)
			}
			return
		}
		if err != nil || !good {
			t.Fatalf("%q is bad, but %q, %v comes out", object, python, err)
		}
		if i := bytes.IndexFunc(python, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			t.Errorf("%q becomes %q, which is not printable ASCII at %d", object, python, i)
		}
		got, err := appendText(flowgraph.JSON, nil, object)
		want := value.Clone()
		if e := want.Compact(); e != nil || err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q becomes %q, %v; want %q, %v", object, got, err, want, e)
		}
	})
}
