package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
)

// A log may stand still, on a full pipe for instance.
func TestNothingIsHeldWhileARequestIsLogged(t *testing.T) {
	b := budget.New(1000)
	core, _ := observer.New(zap.InfoLevel)
	lines, held := 0, int64(0)
	log := zap.New(core, zap.Hooks(func(zapcore.Entry) error {
		lines++
		held += b.Bytes()
		return nil
	}))
	a, err := New(Config{Caller: caller(echo), Health: health{}, Budget: b, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/services/echo": http.StatusOK, "/services/echo?frame=7": http.StatusNotAcceptable} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"body":"hello"}`)))
		if w.Code != want {
			t.Errorf("%s: got %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
	if lines != 2 || held != 0 {
		t.Errorf("%d lines were logged with %d bytes held, want 2 and 0", lines, held)
	}
}

// What a stranger sends does not fill the log, and does not reach a terminal.
func TestTheLineOfARequestIsShortAndPrintable(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	a, err := New(Config{Caller: caller(echo), Health: health{}, Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*http.Request{
		httptest.NewRequest(strings.Repeat("M", 65_000), "/services/echo", nil),
		httptest.NewRequest(http.MethodGet, "/"+strings.Repeat("%01%1b", 20_000), nil),
	} {
		a.ServeHTTP(httptest.NewRecorder(), r)
		lines := logs.TakeAll()
		if len(lines) != 1 {
			t.Fatalf("got %d lines, want one", len(lines))
		}
		for key, value := range lines[0].ContextMap() {
			if text, ok := value.(string); ok && (len(text) > 1000 || strings.ContainsAny(text, "\x01\x1b")) {
				t.Errorf("%s has %d bytes, %.100q, want at most 1000, all printable", key, len(text), text)
			}
		}
	}
}

// A panicking is a ResponseWriter that panics from some time on.
type panicking struct {
	http.ResponseWriter
	now bool
}

func (p *panicking) Header() http.Header {
	if p.now {
		panic("no more")
	}
	return p.ResponseWriter.Header()
}

func TestAPanicThatNobodyAnswersIsCountedAndLoggedAndHoldsNothing(t *testing.T) {
	b := budget.New(1000)
	core, logs := observer.New(zap.InfoLevel)
	told := &seen{done: make(chan string, 2)}
	w := &panicking{ResponseWriter: httptest.NewRecorder()}
	a, err := New(Config{Health: health{}, Budget: b, Log: zap.New(core), Observer: told, Caller: caller(func(ctx context.Context, call gateway.Call) (gateway.Reply, error) {
		w.now = true
		return echo(ctx, call)
	})})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler || b.Bytes() != 0 {
			t.Errorf("recovered %v with %d bytes held, want the end of the connection and none", v, b.Bytes())
		}
		told.done <- "nothing" // if it was told nothing else
		if got := <-told.done; got != "/services/{name} POST Internal Server Error" || told.open != 0 {
			t.Errorf("the observer was told %q, and %d requests are open, want 500 and none", got, told.open)
		}
		if line := logs.FilterLevelExact(zap.ErrorLevel).All(); len(line) != 1 || line[0].ContextMap()["error"] != "internal: panic: no more" {
			t.Errorf("the log has %v, want the panic", logs.All())
		}
	}()
	a.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/services/echo", strings.NewReader(`{"body":"hello"}`)))
}
