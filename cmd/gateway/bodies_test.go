package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mdpgateway/internal/mdp/mdptest"
)

// hundred is as many frames as a service takes that says nothing else: empty ones,
// text, and every byte there is.
func hundred() (frames [][]byte) {
	random := rand.New(rand.NewPCG(1, 2))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for i := range 100 {
		switch i % 4 {
		case 0:
			frames = append(frames, nil)
		case 1:
			frames = append(frames, fmt.Appendf(nil, "text %d é \"\\\n", i))
		case 2:
			frames = append(frames, every)
		default:
			frame := make([]byte, random.IntN(5000))
			for j := range frame {
				frame[j] = byte(random.Uint32())
			}
			frames = append(frames, frame)
		}
	}
	return frames
}

func sameFrames(a, b [][]byte) bool {
	return slices.EqualFunc(a, b, bytes.Equal)
}

// A hundred frames of mixed encodings come back as they went, as JSON and as a
// form, whichever of them they came as.
func TestAHundredFramesGoRoundInEveryForm(t *testing.T) {
	g := start(t)
	g.waitForDemo()
	frames := hundred()
	for contentType, body := range map[string]string{jsonBody: envelopeOf(frames), formType: formOf(frames)} {
		for _, accept := range []string{jsonBody, "multipart/form-data"} {
			x := g.call(t, "echo", contentType, body, "Accept", accept)
			if got := framesOf(t, x.answer); x.answer.status != http.StatusOK || !sameFrames(got, frames) {
				t.Errorf("%s as %s: got %d with %d frames that are not those sent: %.200s", contentType, accept, x.answer.status, len(got), x.answer.body)
			}
		}
	}
}

const formType = "multipart/form-data; boundary=of-the-test"

// envelopeOf gives every other frame as text, if it can be, and the rest as base64.
func envelopeOf(frames [][]byte) string {
	var elements []string
	for i, frame := range frames {
		if i%4 == 1 {
			elements = append(elements, fmt.Sprintf(`"text %d é \"\\\n"`, i))
			continue
		}
		elements = append(elements, fmt.Sprintf(`{"data":%q,"encoding":"base64"}`, base64.StdEncoding.EncodeToString(frame)))
	}
	return `{"frames":[` + strings.Join(elements, ",") + `]}`
}

func formOf(frames [][]byte) string {
	var b strings.Builder
	for _, frame := range frames {
		fmt.Fprintf(&b, "--of-the-test\r\nContent-Disposition: form-data; name=\"frame\"\r\n\r\n%s\r\n", frame)
	}
	return b.String() + "--of-the-test--\r\n"
}

// framesOf reads the frames of an answer in JSON or a form.
func framesOf(t *testing.T, a answered) (frames [][]byte) {
	t.Helper()
	mediaType, params, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if mediaType == "multipart/form-data" {
		for r := multipart.NewReader(bytes.NewReader(a.body), params["boundary"]); ; {
			part, err := r.NextRawPart()
			if err != nil {
				return frames
			}
			content, _ := io.ReadAll(part)
			frames = append(frames, content)
		}
	}
	list, _ := a.json("frames").([]any)
	for _, element := range list {
		f := element.(map[string]any)
		content := []byte(f["data"].(string))
		if f["encoding"] == "base64" {
			var err error
			if content, err = base64.StdEncoding.DecodeString(string(content)); err != nil {
				t.Error(err)
			}
		}
		frames = append(frames, content)
	}
	return frames
}

// The largest body that the defaults take goes to the worker and back.
func TestSixtyFourMebibytesGoRound(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.waitForDemo()
	body := make([]byte, 64<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(body)
	client := newClient(t)
	client.Timeout = 0 // on a busy machine, under the race detector, it takes its time
	r := g.request(t, http.MethodPost, "/services/echo", bytes.NewReader(body), []string{"Content-Type", rawBody, "Prefer", "wait=300"})
	if x := exchanged(t, client, r); x.answer.status != http.StatusOK || !bytes.Equal(x.answer.body, body) {
		t.Errorf("got %d and %d bytes, want the %d that were sent: %.500s\nthe log: %v",
			x.answer.status, len(x.answer.body), len(body), x.answer.body, g.lines())
	}
}

// majortomo's partial replies come as events and, with JSON, as partials.
func TestPartialsOfMajortomoComeThrough(t *testing.T) {
	j := newJudge(t)
	reply := func(command byte, text string) [][]byte {
		return [][]byte{nil, []byte("MDPC02"), {command}, []byte(text)}
	}
	broker := mdptest.NewRouter(t, func([]byte, [][]byte) [][][]byte {
		return [][][]byte{reply(3, "one"), reply(3, "two"), reply(4, "end")}
	})
	g := start(t, "--broker", broker.Endpoint(), "--dialect", "majortomo", "--catalogue", "open")
	g.connected()
	for accept, want := range map[string]string{
		"application/x-ndjson": `{"event":"partial","seq":0,"frames":[{"data":"one","encoding":"text"}]}
{"event":"partial","seq":1,"frames":[{"data":"two","encoding":"text"}]}
{"event":"final","seq":2,"frames":[{"data":"end","encoding":"text"}]}
`,
		"text/event-stream": `event: partial
data: {"event":"partial","seq":0,"frames":[{"data":"one","encoding":"text"}]}

event: partial
data: {"event":"partial","seq":1,"frames":[{"data":"two","encoding":"text"}]}

event: final
data: {"event":"final","seq":2,"frames":[{"data":"end","encoding":"text"}]}

`,
	} {
		x := g.call(t, "mine", jsonBody, `{"body":"x"}`, "Accept", accept)
		if got := string(x.answer.body); got != want || x.answer.header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("as %s: got %d %v\n%s\nwant\n%s", accept, x.answer.status, x.answer.header, got, want)
		}
		if err := j.answer(x); err != nil {
			t.Error(err)
		}
	}
	x := g.call(t, "mine", jsonBody, `{"body":"x"}`)
	if want := `"partials":[[{"data":"one","encoding":"text"}],[{"data":"two","encoding":"text"}]]`; !bytes.Contains(x.answer.body, []byte(want)) {
		t.Errorf("as JSON: got %d %s, want %s", x.answer.status, x.answer.body, want)
	}
}

// A caller who leaves, be it from a stream, frees its connection at once.
func TestACallerWhoLeavesFreesItsConnection(t *testing.T) {
	g := start(t, "--pool-max", "2", "--pool-reserve", "0")
	g.waitForDemo()
	for _, accept := range []string{"application/json", "text/event-stream"} {
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			r := g.request(t, http.MethodPost, "/services/sleep", strings.NewReader(`{"body":"4m"}`), []string{"Content-Type", jsonBody, "Accept", accept})
			_, _ = do(newClient(t), r.WithContext(ctx))
		}()
		g.busyConnections("1")
		leave()
		<-left
		g.busyConnections("0")
	}
}
