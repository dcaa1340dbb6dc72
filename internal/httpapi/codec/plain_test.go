package codec

import (
	"bytes"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

func TestPlainBodiesAreThoseThatTheTokenizerTakes(t *testing.T) {
	long := strings.Repeat("a text of 16 b. ", 5000)
	for _, c := range []struct {
		src   string
		plain bool
	}{
		{`{"body":"hello"}`, true},
		{`{"body":""}`, true},
		{" \t\r\n{ \"body\" :\n\"gr\u00fc\u00dfe, \u4e16\u754c\"\t} \r\n", true},
		{`{"body":"` + long + `"}`, true},
		{"{\"body\":\"\x7f\"}", true},
		{`{"body":"a\nb"}`, false},
		{`{"body":"` + long + `\""}`, false},
		{`{"body":"hello","encoding":"text"}`, false},
		{`{"body":"hello","body":"hello"}`, false},
		{`{"\u0062ody":"hello"}`, false},
		{`{"body":7}`, false},
		{`{"body":"hello"`, false},
		{`{"body":"hello"}}`, false},
		{`{"body":"hello"} x`, false},
		{"{\"body\":\"hello\"}\x00", false},
		{"{\"body\":\"a\tb\"}", false},
		{"{\"body\":\"\xff\"}", false},
		{"{\"body\":\"\xed\xa0\x80\"}", false},
		{"\xef\xbb\xbf{\"body\":\"hello\"}", false},
		{"\v{\"body\":\"hello\"}", false},
		{`{"bodyy":"hello"}`, false},
		{`{"body" "hello"}`, false},
		{`{`, false},
		{``, false},
	} {
		src := []byte(c.src)
		frame, plain := plainBody(src)
		if plain != c.plain {
			t.Errorf("%.40q: plain is %t, want %t", c.src, plain, c.plain)
		}
		var call gateway.Call
		err := readEnvelope(src, "", &call)
		if plain && (err != nil || len(call.Frames) != 1 || !bytes.Equal(call.Frames[0], frame)) {
			t.Errorf("%.40q: plain, and the tokenizer says %q, %v", c.src, call.Frames, err)
		}
	}
}
