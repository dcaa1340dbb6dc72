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
	s := newState(Config{Log: zap.New(core)}.withDefaults(), now, shell{})
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
		for _, e := range logs.FilterLevelExact(zap.InfoLevel).All() {
			fields := e.ContextMap()
			got = append(got, fmt.Sprint(e.Message, " ", fields["reason"], " ", fields["messages"]))
		}
		logs.TakeAll()
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
	s.close(now)
	want("at the end", "messages were dropped wrong_header 1")
}

func TestTheLogNamesAPeerOfAnUnknownDialectOnceAMinute(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	now := time.Unix(0, 0)
	s := newState(Config{Log: zap.New(core)}.withDefaults(), now, shell{})
	send := func(peer string, frames ...string) {
		message := [][]byte{[]byte(peer)}
		for _, f := range frames {
			message = append(message, []byte(f))
		}
		s.receive(now, message)
	}
	want := func(want ...string) {
		t.Helper()
		var got []string
		for _, e := range logs.TakeAll() {
			fields := e.ContextMap()
			got = append(got, fmt.Sprintf("%s %s %s", fields["routing_id"], fields["header"], fields["known"]))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	const known = " [MDPC01 MDPW01 MDPC02 MDPW02 C01 W01 MDPX01]"
	for range 3 {
		send("x1", "", "MDPC03", "echo")
		send("x2", "GET / HTTP/1.1, and much more than fits into a line")
	}
	want("x1 MDPC03"+known, "x2 GET / HTTP/1.1, and much more th"+known)
	s.tick(now.Add(reportEvery))
	send("x1", "", "MDPC03", "echo")
	want("x1 MDPC03" + known)
	for i := range 1000 {
		send(fmt.Sprint("y", i), "rubbish")
	}
	if n := logs.Len(); n != maxStrange-1 {
		t.Errorf("1,000 peers made %d lines, want %d", n, maxStrange-1)
	}
}
