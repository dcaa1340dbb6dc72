package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

func reply(frames ...string) gateway.Reply { return gateway.Reply{Frames: framesOf(frames)} }

func framesOf(frames []string) [][]byte {
	var b [][]byte
	for _, frame := range frames {
		b = append(b, []byte(frame))
	}
	return b
}

// written returns what WriteReply wrote, and checks what always holds.
func written(t *testing.T, e *Exchange, r gateway.Reply) (http.Header, string) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := e.WriteReply(w, "echo", "r-1", r); err != nil {
		t.Fatalf("WriteReply: %v", err)
	}
	h := w.Result().Header
	if n := h.Get("Content-Length"); n != "" && n != fmt.Sprint(w.Body.Len()) {
		t.Errorf("Content-Length is %s, the body has %d bytes", n, w.Body.Len())
	}
	return h, w.Body.String()
}

func TestJSONReply(t *testing.T) {
	partials := reply("last")
	partials.Partials = [][][]byte{framesOf([]string{"a", "\xff"}), nil}
	for _, tt := range []struct {
		as    gateway.Encoding
		reply gateway.Reply
		want  string // between service and request_id
	}{
		{"", reply("hello"), `"frames":[{"data":"hello","encoding":"text"}]`},
		{gateway.Auto, reply(), `"frames":[]`},
		{gateway.Auto, reply(""), `"frames":[{"data":"","encoding":"text"}]`},
		{gateway.Auto, reply("\x00\xff\x80A"), `"frames":[{"data":"AP+AQQ==","encoding":"base64"}]`},
		{gateway.Auto, reply("\x06"), `"frames":[{"data":"Bg==","encoding":"base64"}]`},
		{gateway.Auto, reply("a\tb\r\nc \"d\" \\ é 😀 </script>"), `"frames":[{"data":"a\tb\r\nc \"d\" \\ é 😀 </script>","encoding":"text"}]`},
		{gateway.Auto, reply("12345678\x7f"), `"frames":[{"data":"MTIzNDU2Nzh/","encoding":"base64"}]`},
		{gateway.Auto, reply("é\u0085"), `"frames":[{"data":"w6nChQ==","encoding":"base64"}]`},
		{gateway.Auto, reply(`{"a":1}`), `"frames":[{"data":"{\"a\":1}","encoding":"text"}]`},
		{gateway.Text, reply("\x06\x00\x7f"), `"frames":[{"data":"\u0006\u0000` + "\x7f" + `","encoding":"text"}]`},
		{gateway.Text, reply("\xff"), `"frames":[{"data":"/w==","encoding":"base64"}]`},
		{gateway.Base64, reply("hello", ""), `"frames":[{"data":"aGVsbG8=","encoding":"base64"},{"data":"","encoding":"base64"}]`},
		{gateway.JSON, reply("{ \"b\" : [1e400, \"x y\\u00e9\"],\n\"a\":0.10 }\n"), `"frames":[{"data":{"b":[1e400,"x y\u00e9"],"a":0.10},"encoding":"json"}]`},
		{gateway.JSON, reply("7", "null", "seven", "\xff"), `"frames":[{"data":7,"encoding":"json"},{"data":null,"encoding":"json"},{"data":"seven","encoding":"text"},{"data":"/w==","encoding":"base64"}]`},
		{gateway.JSON, reply(`{"a":1,"a":2}`), `"frames":[{"data":"{\"a\":1,\"a\":2}","encoding":"text"}]`},
		{gateway.JSON, reply("1 2", ""), `"frames":[{"data":"1 2","encoding":"text"},{"data":"","encoding":"text"}]`},
		{gateway.Auto, partials, `"frames":[{"data":"last","encoding":"text"}],"partials":[[{"data":"a","encoding":"text"},{"data":"/w==","encoding":"base64"}],[]]`},
	} {
		h, got := written(t, mustParse(t, Options{Reply: tt.as}, "", isJSON), tt.reply)
		if want := `{"service":"echo",` + tt.want + `,"request_id":"r-1"}` + "\n"; got != want {
			t.Errorf("as %q:\ngot  %swant %s", tt.as, got, want)
		}
		if h.Get("Content-Type") != "application/json" || h.Get("Content-Length") == "" || h.Get("Content-Disposition") != "" {
			t.Errorf("headers %v", h)
		}
	}
}

func TestTooDeepFramesAreNotGivenAsJSON(t *testing.T) {
	for levels, want := range map[int]string{64: `"json"`, 65: `"text"`} {
		deep := strings.Repeat("[", levels) + strings.Repeat("]", levels)
		if got := string(appendFrames(nil, [][]byte{[]byte(deep)}, gateway.JSON)); !strings.Contains(got, want) {
			t.Errorf("%d levels: %s, want %s", levels, got, want)
		}
	}
}

func TestNamesInTheReplyAreEscaped(t *testing.T) {
	w := httptest.NewRecorder()
	if err := mustParse(t, Options{}, "", isJSON).WriteReply(w, `a"b\`, "é\"", reply()); err != nil {
		t.Fatal(err)
	}
	if want := `{"service":"a\"b\\","frames":[],"request_id":"é\""}` + "\n"; w.Body.String() != want {
		t.Errorf("got %s, want %s", w.Body, want)
	}
}

func TestRawReplyOrOneFrame(t *testing.T) {
	partials := reply("0")
	partials.Partials = [][][]byte{framesOf([]string{"p"})}
	for _, tt := range []struct {
		query, accept, own        string
		reply                     gateway.Reply
		body, contentType, attach string
	}{
		{"", "", "", reply("\x00\xff"), "\x00\xff", "application/octet-stream", "attachment"},
		{"", "", "", reply(), "", "application/octet-stream", "attachment"},
		{"", "", "audio/x-raw", reply("x"), "x", "audio/x-raw", "attachment"},
		{"frame=1", "", "", reply("0", "1"), "1", "application/octet-stream", "attachment"},
		{"frame=0", "", "", partials, "0", "application/octet-stream", "attachment"},
		{"frame=1", "text/plain", "", reply("0", "é"), "é", "text/plain; charset=utf-8", ""},
		{"frame=1", "application/json", "", reply("0", "1"), `{"service":"echo","frames":[{"data":"1","encoding":"text"}],"request_id":"r-1"}` + "\n", "application/json", ""},
		{"frame=0&reply=base64", "", "", partials, `{"service":"echo","frames":[{"data":"MA==","encoding":"base64"}],"request_id":"r-1"}` + "\n", "application/json", ""},
		{"", "text/plain", "", reply("\xff"), "\xff", "text/plain", ""},
		{"", "text/plain", "", reply(), "", "text/plain; charset=utf-8", ""},
		{"reply=raw", "application/json", "", reply("x"), "x", "application/octet-stream", "attachment"},
		{"", "", "", reply("0", "1"), `{"service":"echo","frames":[{"data":"0","encoding":"text"},{"data":"1","encoding":"text"}],"request_id":"r-1"}` + "\n", "application/json", ""},
		{"", "", "", partials, `{"service":"echo","frames":[{"data":"0","encoding":"text"}],"partials":[[{"data":"p","encoding":"text"}]],"request_id":"r-1"}` + "\n", "application/json", ""},
	} {
		h, body := written(t, mustParse(t, Options{ContentType: tt.own}, tt.query, "Accept: "+tt.accept), tt.reply)
		if body != tt.body || h.Get("Content-Type") != tt.contentType || h.Get("Content-Disposition") != tt.attach {
			t.Errorf("?%s Accept %q: %q, %v\nwant %q, %s, %s", tt.query, tt.accept, body, h, tt.body, tt.contentType, tt.attach)
		}
	}
}

func TestRawReplyThatCanNotBeGivenKeepsItsFrames(t *testing.T) {
	partials := reply("last")
	partials.Partials = [][][]byte{framesOf([]string{"p", "q"})}
	for _, tt := range []struct {
		query, accept string
		reply         gateway.Reply
		detail        string
		frames        string
	}{
		{"", "application/octet-stream", reply("0", "1"), "the reply has 2 frames: pick one with ?frame, or ask for application/json", "|0|1"},
		{"reply=raw", "", reply("0", "1"), "2 frames", "|0|1"},
		{"", "text/plain", partials, "1 frame and 1 partial replies", "|last|p|q"},
		{"frame=2", "application/octet-stream", reply("0", "1"), "?frame is 2, and the reply has 2 frames", "|0|1"},
		{"frame=1", "", reply("0"), "?frame is 1, and the reply has 1 frame", "|0"},
		{"frame=0", "", reply(), "0 frames", ""},
		{"frame=1", "application/json", partials, "?frame is 1, and the reply has 1 frame", "|last|p|q"},
		{"frame=1", "multipart/form-data", reply("0"), "?frame is 1", "|0"},
	} {
		w := httptest.NewRecorder()
		err := mustParse(t, Options{}, tt.query, "Accept: "+tt.accept).WriteReply(w, "echo", "r-1", tt.reply)
		e := wantError(t, err, gateway.NotAcceptable, "", tt.detail)
		if text(e.Frames) != tt.frames || e.Executed() != gateway.Yes {
			t.Errorf("?%s: frames %q, executed %s, want %q, yes", tt.query, text(e.Frames), e.Executed(), tt.frames)
		}
		if w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("?%s: %v %q has been written", tt.query, w.Header(), w.Body)
		}
	}
}

func TestFormReplyGoesRoundWithoutLoss(t *testing.T) {
	frames := reply("\x00\xff\x80A", "", "hello é", "--b--\r\n", "\r\n", strings.Repeat("\x01", 100_000))
	h, body := written(t, mustParse(t, Options{}, "", isForm, wantForm), frames)
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		t.Fatalf("Content-Type %q: %v", h.Get("Content-Type"), err)
	}
	var call gateway.Call
	if err := mustParse(t, Options{}, "", "Content-Type: "+h.Get("Content-Type")).Decode([]byte(body), &call); err != nil {
		t.Fatal(err)
	}
	if got, want := text(call.Frames), text(frames.Frames); got != want {
		t.Errorf("we read %q, want %q", got, want)
	}
	parts := multipart.NewReader(strings.NewReader(body), params["boundary"])
	for i, frame := range frames.Frames {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
		content, err := io.ReadAll(p)
		if err != nil || !bytes.Equal(content, frame) {
			t.Errorf("part %d: %q, %v, want %q", i, content, err, frame)
		}
		wantType := "text/plain; charset=utf-8"
		if !isText(frame) {
			wantType = "application/octet-stream"
		}
		if got := p.Header.Get("Content-Type"); got != wantType || p.FormName() != "frame" || p.FileName() != fmt.Sprint("frame-", i) {
			t.Errorf("part %d: %v, want %s", i, p.Header, wantType)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("after the last part: %v", err)
	}
}

func TestFormReplyHasItsPartialsAsPartsOfTheirOwn(t *testing.T) {
	r := reply("last")
	r.Partials = [][][]byte{framesOf([]string{"a", "b"}), framesOf([]string{"c"})}
	h, body := written(t, mustParse(t, Options{ContentType: "audio/x-raw"}, "", isForm, wantForm), r)
	_, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	form, err := multipart.NewReader(strings.NewReader(body), params["boundary"]).ReadForm(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range append(form.File["partial"], form.File["frame"]...) {
		names = append(names, file.Filename+" "+file.Header.Get("Content-Type"))
	}
	const want = "partial-0-0 audio/x-raw, partial-0-1 audio/x-raw, partial-1-0 audio/x-raw, frame-0 audio/x-raw"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("parts %s, want %s", got, want)
	}
}

// randomFrame is text, binary or JSON, and as long as a few pieces at most.
func randomFrame(rnd *rand.Rand) []byte {
	b := make([]byte, rnd.IntN(1<<rnd.IntN(18)))
	alphabet := [...]string{"\x00\x01\x7f\x80\xff A", "abc \"\\\n\t\r</>", "é😀\u0085\u2028ü", `{}[]",:1 `}[rnd.IntN(4)]
	for i := range b {
		b[i] = alphabet[rnd.IntN(len(alphabet))]
	}
	if rnd.IntN(2) == 0 {
		b = bytes.ToValidUTF8(b, []byte("é"))
	}
	if rnd.IntN(4) == 0 {
		b, _ = json.MarshalIndent(map[string]string{"a": string(b), "b c": "\n \""}, " ", "\t")
	}
	return b
}

// readBack returns the frames of a list that appendFrames made: what it writes, a
// caller may send.
func readBack(t *testing.T, list []byte) [][]byte {
	t.Helper()
	if !json.Valid(list) || bytes.ContainsAny(list, "\r\n") {
		t.Fatalf("not JSON in one line: %.200q", list)
	}
	var call gateway.Call
	if err := mustParse(t, Options{}, "", isJSON).Decode([]byte(`{"frames":`+string(list)+`}`), &call); err != nil {
		t.Fatalf("%.200s: %v", list, err)
	}
	return call.Frames
}

func TestFramesGoRoundThroughJSONWithoutLoss(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 150 {
		frame := randomFrame(rnd)
		for _, as := range []gateway.Encoding{"", gateway.Auto, gateway.Text, gateway.Base64, gateway.JSON} {
			list := appendFrames(nil, [][]byte{frame}, as)
			got := readBack(t, list)[0]
			if bytes.Contains(list[len(list)-9:], []byte("json")) {
				var want bytes.Buffer
				if err := json.Compact(&want, frame); err != nil {
					t.Fatalf("seed %d: %.100q is given as JSON: %v", seed, frame, err)
				}
				frame = want.Bytes()
			}
			if !bytes.Equal(got, frame) {
				t.Fatalf("seed %d, as %q: %.100q came back as %.100q", seed, as, frame, got)
			}
		}
	}
}

// TestRepliesInPiecesAreTheSame holds that a reply that is written in pieces has
// the text that one in a single piece would have.
func TestRepliesInPiecesAreTheSame(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		var r gateway.Reply
		for range rnd.IntN(5) {
			r.Frames = append(r.Frames, randomFrame(rnd))
		}
		as := []gateway.Encoding{gateway.Auto, gateway.Text, gateway.Base64, gateway.JSON}[rnd.IntN(4)]
		_, got := written(t, mustParse(t, Options{Reply: as}, "", isJSON), r)
		if want := `{"service":"echo","frames":` + string(appendFrames(nil, r.Frames, as)) + `,"request_id":"r-1"}` + "\n"; got != want {
			t.Fatalf("seed %d: a reply of %d frames as %s differs", seed, len(r.Frames), as)
		}
	}
}

// broken is a ResponseWriter whose reader has left.
type broken struct {
	http.ResponseWriter
	largest int
	err     error
}

func (b *broken) Write(p []byte) (int, error) {
	b.largest = max(b.largest, len(p))
	return len(p), b.err
}

func TestLongRepliesAreWrittenInBoundedPieces(t *testing.T) {
	long := [][]byte{bytes.Repeat([]byte{1}, 1<<20), bytes.Repeat([]byte{0xff}, 1<<20),
		[]byte(`["` + strings.Repeat("x", 1<<20) + `"]`)}
	for _, as := range []gateway.Encoding{gateway.Text, gateway.Base64, gateway.JSON} {
		w := &broken{ResponseWriter: httptest.NewRecorder()}
		if err := mustParse(t, Options{Reply: as}, "", isJSON).WriteReply(w, "echo", "r-1", gateway.Reply{Frames: long}); err != nil {
			t.Fatal(err)
		}
		if w.largest > 8*piece {
			t.Errorf("as %s a piece has %d bytes, want at most %d", as, w.largest, 8*piece)
		}
	}
}

func TestAnErrorOfWritingIsReturned(t *testing.T) {
	gone := errors.New("gone")
	for _, content := range []string{"Accept: application/octet-stream", isJSON, isForm} {
		for _, size := range []int{1, 1 << 20} {
			w := &broken{ResponseWriter: httptest.NewRecorder(), err: gone}
			err := mustParse(t, Options{}, "", content).WriteReply(w, "echo", "r-1", gateway.Reply{Frames: [][]byte{make([]byte, size)}})
			if !errors.Is(err, gone) {
				t.Errorf("%s, %d bytes: %v, want %v", content, size, err, gone)
			}
		}
	}
}
