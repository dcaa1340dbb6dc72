package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
)

// numbered repeats a format with the numbers from 0 to about size bytes.
func numbered(format string, size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// filled repeats a text to about size bytes.
func filled(text string, size int) string { return strings.Repeat(text, size/len(text)) }

// decodeBody reads a body of that type as a request does.
func decodeBody(contentType string) func(string) {
	return func(body string) {
		r := httptest.NewRequest(http.MethodPost, "/services/echo", nil)
		r.Header.Set("Content-Type", contentType)
		x, err := codec.Parse(r, codec.Options{})
		if err != nil {
			panic(err)
		}
		_ = x.Decode([]byte(body), new(gateway.Call))
	}
}

// decodeHeader reads a request with that header.
func decodeHeader(name string) func(string) {
	return func(value string) {
		r := httptest.NewRequest(http.MethodPost, "/services/echo", nil)
		r.Header[name] = []string{value}
		_, _ = codec.Parse(r, codec.Options{})
	}
}

func decodeQuery(query string) {
	r := httptest.NewRequest(http.MethodPost, "/services/echo", nil)
	r.URL.RawQuery = query
	_, _ = codec.Parse(r, codec.Options{})
}

// hostile are families of input for every decoder of a request, as long as they may be by
// default or, for bodies, long enough to tell a factor.
func hostile() map[string]struct {
	decode func(string)
	inputs map[string]string
} {
	const body, header = 1 << 20, 64 << 10
	disposition := func(parameters string) string {
		return "--b\r\nContent-Disposition: form-data; " + parameters + "name=frame\r\n\r\nx\r\n"
	}
	objects := func(size int) map[string]string {
		return map[string]string{
			"names": `{` + numbered(`"%x":0,`, size) + `"":0}`, "one name": `{` + filled(`"a":0,`, size) + `"a":0}`,
			"escaped names": `{` + numbered(`"\u0061%x":0,`, size) + `"":0}`, "deep": filled(`{"a":`, size), "deep arrays": `{"a":` + filled("[", size),
			"escapes": `{"a":"` + filled(`\u00e9`, size) + `"}`, "elements": `{"a":[` + filled(`0,`, size) + `0]}`,
			"objects": `{"a":[` + filled(`{"a":0},`, size) + `0]}`, "a long name": `{"` + filled("n", size) + `":{"a":`,
			"fault at the end": `{` + numbered(`"%x":0,`, size) + `"":`, "twice at the end": `{` + numbered(`"%x":0,`, size) + `"1":0}`,
			"bytes": `{"a":"` + filled("\xff", size),
		}
	}
	envelopes := map[string]string{
		"frames": `{"frames":[` + filled(`"",`, body) + `""]}`, "objects as frames": `{"frames":[` + filled(`{"data":""},`, body) + `""]}`,
		"escaped frames": `{"frames":[` + filled(`"\u0041",`, body) + `""]}`, "base64": `{"encoding":"base64","body":"` + filled("AAAA", body) + `"}`,
	}
	vars := objects(header)
	for name, object := range objects(body) {
		envelopes["vars of "+name], envelopes["body of "+name], envelopes[name] = `{"vars":`+object+`}`, `{"body":`+object+`}`, object
	}
	lists := map[string]string{
		"parameters": "a/b;" + numbered("a%d=1;", header), "extended": "a/b;" + numbered("a%d*=utf-8''1;", header), "elements": filled("a/b,", header),
		"commas": filled(",", header), "semicolons": filled(";", header), "quotes": filled(`"`, header), "escapes": `"` + filled(`\"`, header),
		"qualities": filled("a/b;q=0.1,", header), "digits": filled("9", header), "waits": filled("wait=1,", header),
	}
	return map[string]struct {
		decode func(string)
		inputs map[string]string
	}{
		"envelope": {decodeBody("application/json"), envelopes},
		"raw":      {decodeBody("application/octet-stream"), map[string]string{"bytes": filled("\xff", body)}},
		"form": {decodeBody("multipart/form-data; boundary=b"), map[string]string{
			"parameters": disposition(numbered("a%d=1;", body)) + "--b--", "extended": disposition(numbered("a%d*=1;", body)) + "--b--",
			"parts of extended": filled(disposition(numbered("a%d*=1;", 7000)), body) + "--b--", "parts": filled(disposition(""), body) + "--b--",
			"headers": "--b\r\n" + filled("A:\r\n", body) + "\r\nx\r\n--b--", "delimiters": "--b\r\n" + filled("\r\n--b-", body),
			"vars": "--b\r\nContent-Disposition: form-data; name=vars\r\n\r\n" + objects(body)["names"] + "\r\n--b--",
		}},
		"query": {decodeQuery, map[string]string{
			"parameters": numbered("a%d=1&", header), "one parameter": filled("raw=true&", header), "escaped": "vars=" + filled("%7B", header),
			"vars": "vars=" + strings.ReplaceAll(vars["names"], `"`, "%22"), "a long name": filled("raw", header), "bad": filled("a=1&", header) + "%",
		}},
		"vars":         {decodeHeader("Flowgraph-Vars"), vars},
		"Accept":       {decodeHeader("Accept"), lists},
		"Prefer":       {decodeHeader("Prefer"), lists},
		"Content-Type": {decodeHeader("Content-Type"), lists},
	}
}

// cpu returns how much time of CPU f took, of this process.
func cpu(f func()) time.Duration {
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	f()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	return time.Duration(after.Utime.Nano() - before.Utime.Nano())
}

// count reads an input byte by byte, as slowly as the race detector makes it.
func count(input string) (counts [256]int) {
	for i := range len(input) {
		counts[input[i]]++
	}
	return counts
}

// TestNoInputCostsMoreThanAFactorOfItsLength holds bytes allocated and time of CPU for each
// decoder of a request. All that was ever allocated counts: what is held at once is less.
// The time is compared with that of counting the input's bytes in the same run.
func TestNoInputCostsMoreThanAFactorOfItsLength(t *testing.T) {
	const (
		most   = 9        // bytes allocated for one of input, one of which is this test's copy
		least  = 64 << 10 // for any input
		frames = 8 << 20  // for a list of as many frames as there may be
		slow   = 2000     // times the time of counting it
		tick   = 100 * time.Millisecond
	)
	for decoder, d := range hostile() {
		for family, input := range d.inputs {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			took := cpu(func() { d.decode(input) })
			runtime.ReadMemStats(&after)
			limit := uint64(most*len(input) + least)
			if strings.Contains(family, "frames") {
				limit += frames
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > limit {
				t.Errorf("%s, %s: %d bytes allocated for %d, want at most %d", decoder, family, got, len(input), limit)
			}
			baseline := cpu(func() { count(input) })
			if limit := slow*baseline + tick; took > limit {
				t.Errorf("%s, %s: %v of CPU for %d bytes, want at most %v", decoder, family, took, len(input), limit)
			}
		}
	}
}
