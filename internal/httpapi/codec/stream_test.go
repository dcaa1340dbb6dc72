package codec

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"mdpgateway/internal/gateway"
)

const (
	wantSSE    = "Accept: text/event-stream"
	wantNDJSON = "Accept: application/x-ndjson"
)

func TestStreamIsEventsOfFrames(t *testing.T) {
	for accept, want := range map[string]string{
		wantSSE: `event: partial
data: {"event":"partial","seq":0,"frames":[{"data":"a\nb","encoding":"text"},{"data":"/w==","encoding":"base64"}]}

: ping

event: partial
data: {"event":"partial","seq":1,"frames":[]}

event: final
data: {"event":"final","seq":2,"frames":[{"data":"z","encoding":"text"}]}

`,
		wantNDJSON: `{"event":"partial","seq":0,"frames":[{"data":"a\nb","encoding":"text"},{"data":"/w==","encoding":"base64"}]}
{"event":"ping"}
{"event":"partial","seq":1,"frames":[]}
{"event":"final","seq":2,"frames":[{"data":"z","encoding":"text"}]}
`,
	} {
		w := httptest.NewRecorder()
		s := mustParse(t, Options{}, "", accept).NewStream(w)
		if s.Started() || len(w.Header()) > 0 {
			t.Errorf("%s: the stream has begun before its first event: %v", accept, w.Header())
		}
		for _, err := range []error{
			s.Partial([][]byte{[]byte("a\nb"), {0xff}}), s.Ping(), s.Partial(nil), s.Final([][]byte{[]byte("z")}),
		} {
			if err != nil {
				t.Errorf("%s: %v", accept, err)
			}
		}
		if got := w.Body.String(); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", accept, got, want)
		}
		h := w.Result().Header
		if "Accept: "+h.Get("Content-Type") != accept || h.Get("X-Accel-Buffering") != "no" || !w.Flushed || !s.Started() {
			t.Errorf("%s: headers %v, flushed %v, started %v", accept, h, w.Flushed, s.Started())
		}
	}
}

func TestStreamEndsWithAProblem(t *testing.T) {
	w := httptest.NewRecorder()
	s := mustParse(t, Options{}, "", wantSSE).NewStream(w)
	if err := s.Partial(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Problem([]byte("{\n  \"code\": \"timeout\"\n}\n"), nil); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(w.Body.String(), "\n\n")
	if want := "event: problem\ndata: {\"event\":\"problem\",\"seq\":1,\"problem\":{\"code\":\"timeout\"}}\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFirstPingBeginsTheStream(t *testing.T) {
	w := httptest.NewRecorder()
	s := mustParse(t, Options{}, "", wantNDJSON).NewStream(w)
	if err := s.Ping(); err != nil || !s.Started() || w.Code != http.StatusOK {
		t.Errorf("error %v, started %v, status %d", err, s.Started(), w.Code)
	}
}

func TestStreamGivesFramesAsAskedFor(t *testing.T) {
	w := httptest.NewRecorder()
	s := mustParse(t, Options{Reply: gateway.Text}, "reply=json", wantNDJSON).NewStream(w)
	if err := s.Final([][]byte{[]byte("{\n\"a\": 1}")}); err != nil {
		t.Fatal(err)
	}
	if want := `{"event":"final","seq":0,"frames":[{"data":{"a":1},"encoding":"json"}]}` + "\n"; w.Body.String() != want {
		t.Errorf("got %s, want %s", w.Body, want)
	}
}

func TestStreamWhoseReaderLeftFailsForGood(t *testing.T) {
	gone := errors.New("gone")
	w := &broken{ResponseWriter: httptest.NewRecorder(), err: gone}
	s := mustParse(t, Options{}, "", wantSSE).NewStream(w)
	first := s.Partial([][]byte{make([]byte, 4*piece)})
	w.err, w.largest = nil, 0
	for _, err := range []error{first, s.Ping(), s.Final(nil), s.Problem([]byte("{}"), nil)} {
		e, ok := errors.AsType[*gateway.Error](err)
		if !ok || e.Kind != gateway.Canceled || !e.Sent || !errors.Is(err, gone) {
			t.Errorf("got %v, want one of kind canceled, because of %v", err, gone)
		}
	}
	if w.largest > 0 {
		t.Errorf("%d bytes were written after the error", w.largest)
	}
}

// TestStreamOverHTTPArrivesEventByEvent has a reader who must see each event
// before the next is made.
func TestStreamOverHTTPArrivesEventByEvent(t *testing.T) {
	next := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, err := Parse(r, Options{})
		if err != nil {
			t.Error(err)
			return
		}
		s := x.NewStream(w)
		for i := range 5 {
			<-next
			if err := s.Partial([][]byte{fmt.Append(nil, i)}); err != nil {
				t.Error(err)
			}
		}
	}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", typeNDJSON)
	go func() { next <- struct{}{} }() // the headers come with the first event
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for i := range 5 {
		if !lines.Scan() {
			t.Fatalf("the stream ended at event %d: %v", i, lines.Err())
		}
		if want := fmt.Sprintf(`"seq":%d,"frames":[{"data":"%d"`, i, i); !strings.Contains(lines.Text(), want) {
			t.Errorf("event %d is %s, want %s", i, lines.Text(), want)
		}
		if i < 4 {
			next <- struct{}{}
		}
	}
}

func TestEventsOfSeveralGoroutinesDoNotMix(t *testing.T) {
	w := httptest.NewRecorder()
	s := mustParse(t, Options{}, "", wantNDJSON).NewStream(w)
	frame := bytes.Repeat([]byte{1}, 2*piece)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 8 {
				if err := errors.Join(s.Partial([][]byte{frame}), s.Ping()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	seq := 0
	for line := range strings.Lines(w.Body.String()) {
		var event struct {
			Event string
			Seq   int
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%.100s: %v", line, err)
		}
		if event.Event == "partial" {
			if event.Seq != seq {
				t.Fatalf("seq is %d, want %d", event.Seq, seq)
			}
			seq++
		}
	}
	if seq != 32 {
		t.Errorf("%d events, want 32", seq)
	}
}
