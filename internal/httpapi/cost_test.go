package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdpgateway/internal/access"
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

// A gauge is a Room that has all that it is asked for.
type gauge struct{ most int64 }

func (g *gauge) Resize(n int64) bool {
	g.most = max(g.most, n)
	return true
}

// decodeBody reads a body of that type as a request does, and returns what it held beside the body.
func decodeBody(contentType string) func(string) int {
	return func(body string) int {
		r := httptest.NewRequest(http.MethodPost, "/services/echo", nil)
		r.Header.Set("Content-Type", contentType)
		x, err := codec.Parse(r, codec.Options{})
		if err != nil {
			panic(err)
		}
		beside := new(gauge)
		x.Room = beside
		_ = x.Decode([]byte(body), new(gateway.Call))
		return int(beside.most)
	}
}

// decodeHeader reads a request with that header.
func decodeHeader(name string) func(string) int {
	return func(value string) int {
		r := httptest.NewRequest(http.MethodPost, "/services/echo", nil)
		r.Header[name] = []string{value}
		_, _ = codec.Parse(r, codec.Options{})
		return headerFactor * len(value)
	}
}

// decodeQuery reads a request with that query.
func decodeQuery(query string) int {
	r := httptest.NewRequest(http.MethodPost, "/services/echo", nil)
	r.URL.RawQuery = query
	_, _ = codec.Parse(r, codec.Options{})
	return headerFactor * len(query)
}

// answerTo gives a whole request with that header to a gateway with a key.
func answerTo(t *testing.T, name string) func(string) int {
	secret, hash := access.NewKey()
	keys, err := access.ParseList("keys", fmt.Appendf(nil, "- {id: web, sha256: %x, services: [echo]}\n", hash), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{Caller: never(t), Health: health{}, Access: access.NewStore(keys, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return func(value string) int {
		r := httptest.NewRequest(http.MethodGet, "/version", nil)
		r.Header["Authorization"] = []string{"Bearer " + secret}
		r.Header[name] = []string{value}
		a.ServeHTTP(httptest.NewRecorder(), r)
		return headerFactor * len(value)
	}
}

// decodeKeys reads a keys file, which an operator writes.
func decodeKeys(file string) int {
	_, _ = access.ParseList("keys", []byte(file), nil)
	return keysFactor * len(file)
}

const (
	headerFactor = 3  // bytes held for one of a header or of the query
	keysFactor   = 75 // bytes held for one of the keys file: a node of YAML for two bytes
)

// hostile are families of input for every decoder of a request, as long as they may be by
// default or, for bodies, long enough to tell a factor.
func hostile(t *testing.T) map[string]struct {
	decode func(string) int // returns what it may allocate beside the input
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
		decode func(string) int
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
		"traceparent": {answerTo(t, "Traceparent"), map[string]string{
			"dashes": filled("-", header), "zeros": "00-" + filled("0", header), "parts": filled("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-", header),
			"capitals": "00-" + filled("F", header),
		}},
		"Authorization": {answerTo(t, "Authorization"), map[string]string{
			"a token": "Bearer " + filled("a", header), "tokens": "Bearer " + filled("a,Bearer ", header), "blanks": "Bearer" + filled(" ", header) + "a",
			"no scheme": filled("a", header), "parameters": "Digest " + numbered("a%d=1,", header), "bytes": "Bearer " + filled("\xff", header),
		}},
		"keys file": {decodeKeys, map[string]string{
			"keys": numbered("- {id: k%x}\n", header), "one key": filled("- {id: a}\n", header), "members": "- {" + numbered("a%x: 1, ", header) + "}",
			"deep": filled("[", header), "deep lists": filled("- ", header), "globs": "- {id: a, services: [" + filled("'*', ", header) + "]}",
			"stars": "- {id: a, services: ['" + filled("*", header) + "']}", "anchors": numbered("- &a%x {id: a}\n", header),
			"aliases": "- &a {id: a}\n" + filled("- *a\n", header), "nested aliases": bomb(), "comments": filled("#\n", header), "escapes": `"` + filled(`\u00e9`, header) + `"`,
			"documents": filled("---\n", header), "tags": filled("- !!str a\n", header), "indented": indented(header), "fault at the end": numbered("- {id: k%x}\n", header) + "}",
		}},
	}
}

// bomb is YAML whose aliases stand for 9 to the 9th strings.
func bomb() string {
	var b strings.Builder
	b.WriteString("- &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "- &a%d [%s]\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	return b.String()
}

// indented is YAML each of whose lines is a level deeper.
func indented(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%s- a:\n", strings.Repeat(" ", i))
	}
	return b.String()
}

// cpu returns how much time of CPU f took on its thread: what else the machine, this process and the
// collector do does not count.
func cpu(t *testing.T, f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &before); err != nil {
		t.Fatal(err)
	}
	f()
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &after)
	return time.Duration(after.Nano() - before.Nano())
}

// count reads an input byte by byte, as slowly as the race detector makes it.
func count(input string) (counts [256]int) {
	for i := range len(input) {
		counts[input[i]]++
	}
	return counts
}

// TestNoInputCostsMoreThanAFactorOfItsLength holds bytes allocated and time of CPU for each
// decoder. All that was ever allocated counts: what is held at once is less. What is allocated beside
// a body is at most what was held of the budget, twice: names are let go before frames are made.
//
// The time is compared with that of counting the input's bytes in the same run. The factor is wide:
// it tells what is quadratic, for which it is over 50,000.
func TestNoInputCostsMoreThanAFactorOfItsLength(t *testing.T) {
	const (
		least = 256 << 10 // bytes allocated for any input
		slow  = 15_000    // times the time of counting it
		tick  = 10 * time.Millisecond
	)
	for decoder, d := range hostile(t) {
		for family, input := range d.inputs {
			var before, after runtime.MemStats
			var most int
			runtime.ReadMemStats(&before)
			took := cpu(t, func() { most = d.decode(input) })
			runtime.ReadMemStats(&after)
			limit := uint64(3*len(input) + 2*most + least) // one of them is the test's copy
			if got := after.TotalAlloc - before.TotalAlloc; got > limit {
				t.Errorf("%s, %s: %d bytes allocated for %d, want at most %d", decoder, family, got, len(input), limit)
			}
			baseline := cpu(t, func() { count(input) })
			if limit := slow*baseline + tick; took > limit {
				t.Errorf("%s, %s: %v of CPU for %d bytes, want at most %v", decoder, family, took, len(input), limit)
			}
			if testing.Verbose() {
				t.Logf("%s, %s: %.1f bytes allocated for each, %.1f held; CPU of counting it times %d", decoder, family,
					float64(after.TotalAlloc-before.TotalAlloc)/float64(len(input)), float64(most)/float64(len(input)), took/max(baseline, 1))
			}
		}
	}
}
