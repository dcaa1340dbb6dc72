package broker

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestTheLogSaysOnceAMinuteWhatWasDropped(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	now := time.Unix(0, 0)
	s := newState(Config{Log: zap.New(core)}.withDefaults(), now, nil, func([][]byte) error { return nil })
	pass := func(d time.Duration) {
		until := now.Add(d)
		for now = s.next(); !now.After(until); now = s.next() {
			s.tick(now)
		}
		now = until
	}
	want := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, e := range logs.TakeAll() {
			fields := e.ContextMap()
			got = append(got, fmt.Sprint(e.Message, " ", fields["reason"], " ", fields["messages"]))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %q, want %q", when, got, want)
		}
	}
	rubbish := [][]byte{[]byte("x1"), []byte("rubbish")}
	for range 3 {
		s.receive(now, rubbish)
	}
	s.receive(now, rubbish[:1])
	pass(59 * time.Second)
	want("before the minute is over")
	pass(time.Second)
	want("after it", "messages were dropped wrong_header 3", "messages were dropped malformed 1")
	pass(time.Hour)
	want("when nothing more was dropped")
	s.receive(now, rubbish)
	s.close()
	want("at the end", "messages were dropped wrong_header 1")
}
