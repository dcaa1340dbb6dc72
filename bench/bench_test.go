package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestTheNullServerAnswersItsWindows(t *testing.T) {
	server, err := nullHTTP()
	if err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{"/null": "hello", "/wait": "hello", "/services/echo": `{"body":"hello"}`} {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		server.Handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "hello") {
			t.Errorf("%s: got %d %s, want 200 with the body", path, w.Code, w.Body)
		}
	}
}

func TestASpreadIsTheMedianWithTheLeastAndTheMost(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 4}, spread{4, 1, 9}},
		{[]float64{4, 1, 2, 9}, spread{3, 1, 9}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("of %v: got %v, want %v", c.values, got, c.want)
		}
	}
}

func TestRatiosAreThoseOfTheSameRound(t *testing.T) {
	r := report{Series: []series{
		{Name: "a", Samples: []sample{{Rate: 10}, {Rate: 40}, {Rate: 90}}},
		{Name: "b", Samples: []sample{{Rate: 10}, {Rate: 20}, {Rate: 30}}},
	}}
	if got, ok := r.combine("a", "b", rates); !ok || got != (spread{2, 1, 3}) {
		t.Errorf("got %v, %v, want {2 1 3}", got, ok)
	}
	if _, ok := r.combine("a", "c", rates); ok {
		t.Error("of a window that was not measured: got a ratio, want none")
	}
}

func TestAResultIsFoundBehindWhatWrkPrints(t *testing.T) {
	got, err := parseResult([]byte("Running 1s test\nRESULT {\"requests\":7,\"seconds\":1.5,\"wrong\":1}\n"))
	if want := (result{Requests: 7, Seconds: 1.5, Wrong: 1}); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := parseResult([]byte("unable to connect")); err == nil {
		t.Error("without a result: got no error")
	}
}

func TestEveryTargetIsOfAWindowThatIsPlanned(t *testing.T) {
	var r report
	for _, w := range plan() {
		r.Series = append(r.Series, series{Name: w.String(), Window: w, Samples: []sample{{Rate: 1, CPU: 1, P50: 1, P99: 1}}})
	}
	for _, v := range r.verdicts() {
		if v.Result == "not measured" {
			t.Errorf("%s: not measured", v.What)
		}
	}
}

func TestThisProcessIsInTheTable(t *testing.T) {
	if u := readTable().tree(os.Getpid()); u.threads < 1 || u.rss <= 0 {
		t.Errorf("got %+v, want threads and memory", u)
	}
}
