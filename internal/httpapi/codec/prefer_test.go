package codec

import (
	"strings"
	"testing"
	"time"
)

func TestParsePreferFindsWait(t *testing.T) {
	const none = -1
	for _, tt := range []struct {
		values string // separated by |
		want   int    // seconds
	}{
		{"wait=10", 10},
		{"Wait = 10", 10},
		{`wait="10"`, 10},
		{"wait=010", 10},
		{"respond-async, wait=100", 100},
		{"respond-async|wait=5", 5},
		{"wait=5; x=y", 5},
		{"foo; wait=7", none},
		{`foo="a, wait=1", wait=2`, 2},
		{`foo="\", wait=1", wait=2`, 2},
		{"wait=1, wait=2", 1},
		{"wait=x, wait=2", none},
		{",, wait=3 ,", 3},
		{"wait=99999999999999999999", maxWait},
		{"wait=9999999999", maxWait},
		{"wait", none},
		{"wait=", none},
		{"wait=0", none},
		{"wait=-1", none},
		{"wait=+1", none},
		{"wait=1.5", none},
		{"wait=1 0", none},
		{"wait=10s", none},
		{"waits=1", none},
		{`wait="10`, none},
		{"", none},
	} {
		wait, ok := ParsePrefer(strings.Split(tt.values, "|"))
		if !ok && wait == 0 && tt.want == none || ok && wait == time.Duration(tt.want)*time.Second {
			continue
		}
		t.Errorf("%q: got %v, %v, want %d s", tt.values, wait, ok, tt.want)
	}
	if _, ok := ParsePrefer(nil); ok {
		t.Error("no header asks for a wait")
	}
}

func FuzzPrefer(f *testing.F) {
	for _, s := range []string{"wait=1", `a;b="c,\"";d, wait="9"`, ",=;", `"`, "wait=99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		wait, ok := ParsePrefer([]string{value})
		if ok != (wait > 0) || wait > maxWait*time.Second || wait%time.Second != 0 {
			t.Errorf("%q: %v, %v", value, wait, ok)
		}
		if again, _ := ParsePrefer([]string{"a=b, " + value}); again != wait && strings.Trim(value, " \t,;") != "" && wait != 0 {
			t.Errorf("%q: %v alone, %v after another", value, wait, again)
		}
	})
}
