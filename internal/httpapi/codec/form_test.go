package codec

import (
	"bytes"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

// crlf makes HTTP's line ends of Go's.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// part is a part of a form with the boundary b.
func part(disposition, content string) string {
	return "--b\r\nContent-Disposition: " + disposition + "\r\n\r\n" + content + "\r\n"
}

func frame(content string) string { return part(`form-data; name="frame"`, content) }

func TestFormBecomesFramesAndVars(t *testing.T) {
	for name, tt := range map[string]struct{ body, frames, vars string }{
		"no parts":     {"--b--\r\n", "|", ""},
		"none by Go":   {"\r\n--b--\r\n", "|", ""},
		"line before":  {"\r\n" + frame("x") + "--b--", "|x", ""},
		"one frame":    {frame("hello") + "--b--\r\n", "|hello", ""},
		"several":      {frame("1") + part(`form-data; name="vars"`, `{"sf": 7}`) + frame("2") + "--b--", "|1|2", `{"sf": 7}`},
		"only vars":    {part(`form-data; name="vars"`, `{}`) + "--b--", "|", `{}`},
		"bytes":        {frame("\x00\xff\x80A\r\n") + "--b--\r\n", "|\x00\xff\x80A\r\n", ""},
		"empty frames": {frame("") + frame("") + "--b--\r\n", "||", ""},
		"a file":       {part(`form-data; name="frame"; filename="a \"b\".bin"`, "x") + "--b--\r\n", "|x", ""},
		"a bad name":   {part(`form-data; name="frame"; filename="C:\q"é"`, "x") + "--b--\r\n", "|x", ""},
		"other order":  {part(`form-data; filename=f; name=frame`, "x") + "--b--\r\n", "|x", ""},
		"other case":   {"--b\r\ncontent-disposition:FORM-DATA;NAME=frame\r\n\r\nx\r\n--b--", "|x", ""},
		"more headers": {"--b\r\nContent-Type: a/b\r\nContent-Disposition: form-data; name=\"frame\"\r\nContent-Transfer-Encoding: binary\r\n\r\nx\r\n--b--", "|x", ""},
		"epilogue":     {frame("x") + "--b--\r\nepilogue\r\n--b\r\n", "|x", ""},
		"padding":      {strings.Replace(frame("x"), "--b", "--b \t", 1) + "--b-- \r\n", "|x", ""},
		"like the end": {frame("x\r\n--bc\r\n--b-\r\n--b --\r\n--b\n\r\n --b--\r\n--b--x\r\n-") + "--b--", "|x\r\n--bc\r\n--b-\r\n--b --\r\n--b\n\r\n --b--\r\n--b--x\r\n-", ""},
	} {
		var call gateway.Call
		if err := mustParse(t, Options{}, "", isForm).Decode([]byte(tt.body), &call); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := text(call.Frames); got != tt.frames || string(call.Vars.Text()) != tt.vars {
			t.Errorf("%s: frames %q, vars %q, want %q, %q", name, got, call.Vars, tt.frames, tt.vars)
		}
	}
}

func TestFormThatIsMalformedIsRefused(t *testing.T) {
	for _, tt := range []struct{ body, pointer, detail string }{
		{"", "", `not begin with a line that is its boundary "--b"`},
		{"x", "", "boundary"},
		{"--b", "", "boundary"},
		{"--c\r\n", "", "boundary"},
		{"--bc\r\n" + frame("x") + "--b--", "", "boundary"},
		{"preamble\r\n" + frame("x") + "--b--", "", "boundary"},
		{"\r\n\r\n" + frame("x") + "--b--", "", "boundary"},
		{frame("x"), "", "closing boundary"},
		{frame("x") + "--b", "", "closing boundary"},
		{strings.ReplaceAll(frame("x")+"--b--\r\n", "\r\n", "\n"), "", "boundary"},
		{"--b\r\nContent-Disposition: form-data; name=frame\r\n--b--\r\n", "", "empty line"},
		{"--b\r\n\r\nx\r\n--b--\r\n", "", "empty line"},
		{"--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--\r\n", "", `a part ""`},
		{part(`form-data`, "x") + "--b--", "", `a part ""`},
		{"--b\r\nContent-Disposition: form-data;\r\n name=frame\r\n\r\nx\r\n--b--\r\n", "", "malformed header"},
		{"--b\r\nContent-Disposition: form-data; name=frame\n\r\n\r\nx\r\n--b--\r\n", "", "malformed header"},
		{"--b\r\nform-data\r\n\r\nx\r\n--b--\r\n", "", "malformed header"},
		{part(`attachment; name="frame"`, "x") + "--b--", "", "want form-data with a name"},
		{part(`form-data; name="fra`, "x") + "--b--", "", `a part "\"fra`},
		{part(`name=frame`, "x") + "--b--", "", "want form-data with a name"},
		{part("form-data; name=frame\r\nContent-Disposition: form-data; name=vars", "{}") + "--b--", "", "two headers Content-Disposition"},
		{part(`form-data; filename*=utf-8''x; name*=frame`, "x") + "--b--", "", `a part ""`},
		{"--b\r\nA: " + strings.Repeat("x", maxPartHead-2) + "\r\n\r\nx\r\n--b--", "", "8193 bytes of headers"},
		{part(`form-data; name="file"`, "x") + "--b--", "", `a part "file", want parts named frame`},
		{part(`form-data; name="Frame"`, "x") + "--b--", "", `"Frame"`},
		{"--b\r\nContent-Disposition: form-data; name=\"frame\"\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n--b--", "", `"base64"`},
		{"--b\r\nContent-Disposition: form-data; name=\"frame\"\r\nFlowgraph-Var: {}\r\n\r\nx\r\n--b--", "", `the header "Flowgraph-Var", want the vars in a part named vars`},
		{"--b\r\nflowgraph_vars: {}\r\nContent-Disposition: form-data; name=\"frame\"\r\n\r\nx\r\n--b--", "", `"flowgraph_vars"`},
		{part(`form-data; name="vars"`, "[]") + "--b--", "#/vars", "an array"},
		{part(`form-data; name="vars"`, "") + "--b--", "#/vars", "empty"},
		{part(`form-data; name="vars"`, `{"a":{"b":1,"b":1}}`) + "--b--", "#/vars/a/b", "twice"},
	} {
		err := mustParse(t, Options{}, "", isForm).Decode([]byte(tt.body), &gateway.Call{})
		if !t.Run("", func(t *testing.T) { wantError(t, err, gateway.BadRequest, tt.pointer, tt.detail) }) {
			t.Logf("of %q", tt.body)
		}
	}
}

func TestFormOfTooManyFramesIsRefused(t *testing.T) {
	body := strings.Repeat(frame(""), maxFrames+1) + "--b--"
	err := mustParse(t, Options{}, "", isForm).Decode([]byte(body), &gateway.Call{})
	wantError(t, err, gateway.InvalidVars, "", "65536")
}

func TestPartsAreNotCopied(t *testing.T) {
	body := []byte(frame("hello") + "--b--")
	var call gateway.Call
	if err := mustParse(t, Options{}, "", isForm).Decode(body, &call); err != nil {
		t.Fatal(err)
	}
	if at := bytes.Index(body, []byte("hello")); &call.Frames[0][0] != &body[at] {
		t.Error("the frame is a copy")
	}
}

// TestFormsOfRealClientsAreRead has what curl -F frame=@a -F 'vars={"sf":7}' and
// fetch with a FormData send.
func TestFormsOfRealClientsAreRead(t *testing.T) {
	for boundary, body := range map[string]string{
		"------------------------d74496d66958873e": crlf("--------------------------d74496d66958873e\n" +
			"Content-Disposition: form-data; name=\"frame\"; filename=\"a\"\nContent-Type: application/octet-stream\n\n\x00\xff\x80A\n" +
			"--------------------------d74496d66958873e\n" +
			"Content-Disposition: form-data; name=\"vars\"\n\n{\"sf\":7}\n--------------------------d74496d66958873e--\n"),
		"----formdata-undici-074360244521": crlf("------formdata-undici-074360244521\n" +
			"Content-Disposition: form-data; name=\"frame\"; filename=\"a %22b%22.bin\"\nContent-Type: application/octet-stream\n\n\x00\xff\x80A\n" +
			"------formdata-undici-074360244521\nContent-Disposition: form-data; name=\"vars\"\n\n{\"sf\":7}\n" +
			"------formdata-undici-074360244521--\n"),
	} {
		var call gateway.Call
		if err := mustParse(t, Options{}, "", "Content-Type: multipart/form-data; boundary="+boundary).Decode([]byte(body), &call); err != nil {
			t.Errorf("%s: %v", boundary, err)
		}
		if text(call.Frames) != "|\x00\xff\x80A" || string(call.Vars.Text()) != `{"sf":7}` {
			t.Errorf("%s: frames %q, vars %s", boundary, text(call.Frames), call.Vars.Text())
		}
	}
}

// FuzzForm holds that whatever we read as a form mime/multipart reads too, and
// alike.
func FuzzForm(f *testing.F) {
	for _, s := range []string{
		frame("x") + "--b--\r\n", "--b--", frame("") + frame("\r\n--b") + part(`form-data; name="vars"`, "{}") + "--b--",
		"preamble\r\n" + frame("x") + "--b-- \r\nepilogue", crlf("--b\nContent-Disposition: form-data; name=frame; filename*=utf-8''x\n\n\n--b--"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var call gateway.Call
		if mustParse(t, Options{}, "", isForm).Decode(body, &call) != nil {
			return
		}
		var want [][]byte
		for r := multipart.NewReader(bytes.NewReader(body), "b"); ; {
			p, err := r.NextRawPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Skipf("mime/multipart: %v", err) // it bounds headers, and knows fewer forms of names
			}
			content, err := io.ReadAll(p)
			if err != nil {
				t.Skipf("mime/multipart: %v", err)
			}
			switch p.FormName() {
			case "frame":
				want = append(want, content)
			case "vars":
				if !bytes.Equal(bytes.Trim(content, " \t\r\n"), call.Vars.Text()) {
					t.Errorf("vars %q, want %q but for white space around it", call.Vars, content)
				}
			default:
				t.Skipf("mime/multipart: name %q", p.FormName())
			}
		}
		if len(want) == 0 {
			want = [][]byte{nil}
		}
		if got := text(call.Frames); got != text(want) {
			t.Errorf("frames %q, want %q", got, text(want))
		}
	})
}
