package gateway_test

import (
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

func TestAWorkersReasonIsTextOnOneLineOfItsSecondFrame(t *testing.T) {
	long := strings.Repeat("ö", 200)
	for _, c := range []struct {
		frames []string
		want   string
	}{
		{nil, ""},
		{[]string{"\x06"}, ""},
		{[]string{"\x06", ""}, ""},
		{[]string{"no", "reason"}, ""},
		{[]string{"\x06", "exit status 3"}, "exit status 3"},
		{[]string{"\x06", "Frequenz außerhalb\n", "more"}, "Frequenz außerhalb"},
		{[]string{"\x06", long}, long},
		{[]string{"\x06", long + "x"}, long + "…"},
		{[]string{"\x06", "two\nlines"}, ""},
		{[]string{"\x06", "gr\xfcn"}, ""},
		{[]string{"\x06", "\x1b[31mred"}, ""},
		{[]string{"\x06", "\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00\x8c\x03why\x94."}, ""}, // pickle.dumps("why")
		{[]string{"\x06", "Vwhy\np0\n."}, ""},                                                  // pickle.dumps("why", 0)
		{[]string{"\x06", "X\x03\x00\x00\x00whyq\x00."}, ""},                                   // pickle.dumps("why", 1)
	} {
		var frames [][]byte
		for _, f := range c.frames {
			frames = append(frames, []byte(f))
		}
		if got := gateway.WorkerDetail(frames); got != c.want {
			t.Errorf("%q: got %q, want %q", c.frames, got, c.want)
		}
	}
}
