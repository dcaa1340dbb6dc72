package codec

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

// allocated returns how many bytes f allocates.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// numbered repeats a format with the numbers from 0 to about size bytes.
func numbered(format string, size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestHostileFormsAllocateLittle holds that what a form makes a decoder allocate
// is bounded by its length.
func TestHostileFormsAllocateLittle(t *testing.T) {
	const size = 1 << 20
	for name, body := range map[string]string{
		"parameters":          part("form-data; "+numbered("a%d=1;", size)+"name=frame", "x") + "--b--",
		"RFC 2231 parameters": part("form-data; "+numbered("a%d*=1;", size)+"name=frame", "x") + "--b--",
		"parts of parameters": strings.Repeat(part("form-data; "+numbered("a%d*=1;", 7000)+"name=frame", "x"), size/7000) + "--b--",
		"headers":             "--b\r\n" + strings.Repeat("A:\r\n", size/4) + "\r\nx\r\n--b--",
	} {
		x := mustParse(t, Options{}, "", isForm)
		got := allocated(func() { _ = x.Decode([]byte(body), &gateway.Call{}) })
		if most := 3 * len(body); got > most {
			t.Errorf("%s: %d bytes allocated for a body of %d, want at most %d", name, got, len(body), most)
		}
	}
}
