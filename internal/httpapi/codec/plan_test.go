package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

func TestAPlanShowsEachFrameWholeHoweverLongItIs(t *testing.T) {
	frames := [][]byte{{}, []byte("h\xff"), []byte("\"<ä>\"\n\x00"), bytes.Repeat([]byte("ä\n"), piece), bytes.Repeat([]byte{0xff}, 3*piece)}
	w := httptest.NewRecorder()
	if err := WritePlan(w, "a\"b", gateway.Plan{Dialect: mdp.V02, Timeout: 1500 * time.Millisecond, Frames: frames}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Service, Dialect string
		Timeout          int `json:"timeout_ms"`
		Frames           []struct {
			Hex   string
			Text  *string
			Bytes int
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %.300s", err, w.Body)
	}
	if got.Service != "a\"b" || got.Dialect != "mdp/0.2" || got.Timeout != 1500 || len(got.Frames) != len(frames) {
		t.Fatalf("got %+.300v, want all of the plan", got)
	}
	for i, f := range got.Frames {
		isText := i != 1 && i != 4
		if f.Hex != fmt.Sprintf("%x", frames[i]) || f.Bytes != len(frames[i]) || (f.Text != nil) != isText || isText && *f.Text != string(frames[i]) {
			t.Errorf("frame %d is %+.300v, want %.100q", i, f, frames[i])
		}
	}
}

func TestPlansAreWrittenInBoundedPiecesAndAnErrorOfItIsReturned(t *testing.T) {
	plan := gateway.Plan{Dialect: mdp.V01, Frames: [][]byte{make([]byte, 1<<20), bytes.Repeat([]byte{0xff}, 1<<20)}}
	for _, gone := range []error{nil, errors.New("gone")} {
		w := &broken{ResponseWriter: httptest.NewRecorder(), err: gone}
		if err := WritePlan(w, "echo", plan); !errors.Is(err, gone) {
			t.Errorf("%v, want %v", err, gone)
		}
		if w.largest > 8*piece {
			t.Errorf("a piece has %d bytes, want at most %d", w.largest, 8*piece)
		}
	}
}
