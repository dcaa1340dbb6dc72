package codec

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"strconv"
	"testing"

	"mdpgateway/internal/gateway"
)

func TestAProblemEndsWithItsFrames(t *testing.T) {
	long := [][]byte{bytes.Repeat([]byte{0}, 1<<20), bytes.Repeat([]byte("<\n"), 1<<20)}
	for want, frames := range map[string][][]byte{
		`{"code":"x"}`:             nil,
		`{"code":"x","frames":[]}`: {},
		`{"code":"x","frames":[{"data":"<b>","encoding":"text"},{"data":"/w==","encoding":"base64"}]}`: {[]byte("<b>"), {0xff}},
		`{"code":"x","frames":` + string(appendFrames(nil, long, gateway.Auto)) + `}`:                  long,
	} {
		w := httptest.NewRecorder()
		if err := WriteProblem(w, 418, []byte(`{"code":"x"}`+"\n"), frames); err != nil {
			t.Fatal(err)
		}
		length := strconv.Itoa(len(want) + 1)
		if len(frames) > 0 && len(frames[0]) > piece {
			length = ""
		}
		h := w.Result().Header
		if w.Body.String() != want+"\n" || w.Code != 418 || h.Get("Content-Type") != "application/problem+json" || h.Get("Content-Length") != length {
			t.Errorf("got %d %.300s with %v, want %.300s", w.Code, w.Body, h, want)
		}
	}
}

func TestLongProblemsAreWrittenInBoundedPieces(t *testing.T) {
	w := &broken{ResponseWriter: httptest.NewRecorder()}
	if err := WriteProblem(w, 502, []byte(`{"code":"x"}`), [][]byte{make([]byte, 4<<20)}); err != nil {
		t.Fatal(err)
	}
	if w.largest > 8*piece {
		t.Errorf("a piece has %d bytes, want at most %d", w.largest, 8*piece)
	}
}

func TestAnErrorOfWritingAProblemIsReturned(t *testing.T) {
	gone := errors.New("gone")
	for _, size := range []int{1, 1 << 20} {
		w := &broken{ResponseWriter: httptest.NewRecorder(), err: gone}
		if err := WriteProblem(w, 502, []byte(`{"code":"x"}`), [][]byte{make([]byte, size)}); !errors.Is(err, gone) {
			t.Errorf("%d bytes: %v, want %v", size, err, gone)
		}
	}
}
