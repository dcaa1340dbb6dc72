package mdpx_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
)

var (
	id   = mdpx.NumberID(0x0102030405060708)
	ttl  = mdpx.NewTTL(25 * time.Second)
	echo = []byte("echo")
)

// fr makes frames of strings.
func fr(s ...string) [][]byte {
	f := make([][]byte, len(s))
	for i := range s {
		f[i] = []byte(s[i])
	}
	return f
}

// request returns a REQUEST of the service echo.
func request(t testing.TB, body ...string) [][]byte {
	t.Helper()
	frames, err := mdpx.AppendRequest(nil, &id, &ttl, echo, fr(body...))
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

// messages are one of each kind, with what is read from it.
func messages(t testing.TB) []message {
	all := []mdpx.Service{{Name: "echo", Workers: 3, Busy: 2, Queued: 1}, {Name: "gone"}}
	return []message{
		{"request", request(t, "a", "b"), mdpx.FromGateway{Command: mdpx.Request, ID: id, TTL: ttl, Service: echo, Body: fr("a", "b")}},
		{"request without body", request(t), mdpx.FromGateway{Command: mdpx.Request, ID: id, TTL: ttl, Service: echo, Body: [][]byte{nil}}},
		{"cancel", mdpx.AppendCancel(nil, &id), mdpx.FromGateway{Command: mdpx.Cancel, ID: id}},
		{"watch", mdpx.AppendWatch(nil), mdpx.FromGateway{Command: mdpx.Watch}},
		{"heartbeat", mdpx.AppendHeartbeat(nil), mdpx.FromGateway{Command: mdpx.Heartbeat}},
		{"partial", mdpx.AppendReply(nil, &id, fr("a", "b"), false), mdpx.FromBroker{Command: mdpx.Partial, ID: id, Body: fr("a", "b")}},
		{"final", mdpx.AppendReply(nil, &id, fr("a"), true), mdpx.FromBroker{Command: mdpx.Final, ID: id, Body: fr("a")}},
		{"final without body", mdpx.AppendReply(nil, &id, nil, true), mdpx.FromBroker{Command: mdpx.Final, ID: id, Body: [][]byte{}}},
		{"refused", mdpx.AppendRefused(nil, &id, mdpx.QueueFull), mdpx.FromBroker{Command: mdpx.Refused, ID: id, Code: mdpx.QueueFull}},
		{"gone", mdpx.AppendGone(nil, &id, mdpx.WorkerLost), mdpx.FromBroker{Command: mdpx.Gone, ID: id, Code: mdpx.WorkerLost}},
		{"services", mdpx.AppendServices(nil, all), mdpx.FromBroker{Command: mdpx.Services, Services: all}},
		{"services, none", mdpx.AppendServices(nil, nil), mdpx.FromBroker{Command: mdpx.Services, Services: []mdpx.Service{}}},
		{"heartbeat reply", mdpx.AppendHeartbeatReply(nil), mdpx.FromBroker{Command: mdpx.HeartbeatReply}},
	}
}

type message struct {
	name   string
	frames [][]byte
	read   any // a FromGateway or a FromBroker
}

func TestMessagesAreTheirGoldenFrames(t *testing.T) {
	golden, err := os.ReadFile("testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, m := range messages(t) {
		fmt.Fprintf(&got, "%-20s %s\n", m.name, mdp.Show(m.frames))
	}
	if got.String() != string(golden) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), golden)
	}
}

func TestMessagesAreReadBack(t *testing.T) {
	for _, m := range messages(t) {
		fromGateway, errGateway := mdpx.ParseFromGateway(m.frames)
		fromBroker, errBroker := mdpx.ParseFromBroker(m.frames)
		got, err, other := any(fromGateway), errGateway, errBroker
		if _, ok := m.read.(mdpx.FromBroker); ok {
			got, err, other = fromBroker, errBroker, errGateway
		}
		if err != nil || !reflect.DeepEqual(got, m.read) {
			t.Errorf("%s: read as %+v, %v, want %+v", m.name, got, err, m.read)
		}
		if other == nil {
			t.Errorf("%s: read as a message of the other side", m.name)
		}
		if !mdpx.Speaks(m.frames) {
			t.Errorf("%s: its header is not known", m.name)
		}
		if d, peer := mdp.Identify(m.frames); peer != mdp.Unknown {
			t.Errorf("%s: taken for %s", m.name, d)
		}
	}
}

func TestMessagesThatLackSomethingAreRefused(t *testing.T) {
	const eight, four, twelve = "01234567", "0123", "012345678901"
	for _, c := range []struct {
		frames [][]byte
		reason string
	}{
		{nil, mdp.ReasonHeader},
		{fr(""), mdp.ReasonHeader},
		{fr("", "MDPX01", "\x03"), mdp.ReasonHeader},
		{fr("MDPC02", "\x01", "echo", "a"), mdp.ReasonHeader},
		{fr("MDPX01"), mdp.ReasonMalformed},
		{fr("MDPX01", ""), mdp.ReasonMalformed},
		{fr("MDPX01", "\x03\x03"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x00"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x05"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x10"), mdp.ReasonMalformed},
		{fr("MDPX01", "\xff"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x01"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x01", eight, "echo", four), mdp.ReasonMalformed},
		{fr("MDPX01", "\x01", eight, "echo", "123", "a"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x01", "1234567", "echo", four, "a"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x02"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x02", "1234567"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x02", eight, ""), mdp.ReasonMalformed},
		{fr("MDPX01", "\x03", ""), mdp.ReasonMalformed},
		{fr("MDPX01", "\x04", ""), mdp.ReasonMalformed},
		{fr("MDPX01", "\x11"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x12", "123456789"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x13", eight), mdp.ReasonMalformed},
		{fr("MDPX01", "\x14", eight, "canceled", ""), mdp.ReasonMalformed},
		{fr("MDPX01", "\x15", "echo"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x15", "echo", "01234567890"), mdp.ReasonMalformed},
		{fr("MDPX01", "\x15", "", twelve), mdp.ReasonName},
		{fr("MDPX01", "\x16", ""), mdp.ReasonMalformed},
	} {
		_, errGateway := mdpx.ParseFromGateway(c.frames)
		_, errBroker := mdpx.ParseFromBroker(c.frames)
		var err *mdp.MessageError
		if errGateway == nil || !errors.As(errBroker, &err) || err.Reason != c.reason {
			t.Errorf("%s: got %v and %v, want %s", mdp.Show(c.frames), errGateway, errBroker, c.reason)
		}
	}
}

func TestARequestOfWhatCannotBeAServiceIsNotMade(t *testing.T) {
	for _, name := range []string{"", ".", "a b", "a\x00", "mmi.service", strings.Repeat("a", 256)} {
		if frames, err := mdpx.AppendRequest(nil, &id, &ttl, []byte(name), fr("a")); err == nil || frames != nil {
			t.Errorf("%q: got %s, want an error", name, mdp.Show(frames))
		}
	}
}

func TestACodeOfALaterBrokerKeepsTheMeaningOfItsCommand(t *testing.T) {
	for _, code := range []string{"", "no_luck", "Canceled"} {
		m, err := mdpx.ParseFromBroker(mdpx.AppendRefused(nil, &id, mdpx.Code(code)))
		if err != nil || m.Command != mdpx.Refused || m.Code != mdpx.UnknownCode {
			t.Errorf("%q: got %+v, %v, want a REFUSED of an unknown code", code, m, err)
		}
	}
}

func TestATTLIsWholeMillisecondsAndNeverBecomesZero(t *testing.T) {
	const most = (1<<32 - 1) * time.Millisecond
	for d, want := range map[time.Duration]time.Duration{
		-time.Second: 0, 0: 0, 1: time.Millisecond, time.Millisecond: time.Millisecond, time.Millisecond + 1: 2 * time.Millisecond,
		25 * time.Second: 25 * time.Second, most: most, most + 1: most, 1<<63 - 1: most,
	} {
		if got := mdpx.NewTTL(d).Duration(); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

func TestMessagesOfACallNeedNoMemory(t *testing.T) {
	dst, body := make([][]byte, 0, 16), fr("a", "b")
	frames := request(t, "a", "b")
	reply := mdpx.AppendReply(nil, &id, body, true)
	for name, f := range map[string]func(){
		"append a request": func() { _, _ = mdpx.AppendRequest(dst, &id, &ttl, echo, body) },
		"append a reply":   func() { mdpx.AppendReply(dst, &id, body, true) },
		"append a cancel":  func() { mdpx.AppendCancel(dst, &id) },
		"parse a request":  func() { _, _ = mdpx.ParseFromGateway(frames) },
		"parse a reply":    func() { _, _ = mdpx.ParseFromBroker(reply) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

// split makes frames of fuzzed bytes: 0xff ends a frame. Ids and numbers have none.
func split(data []byte) (frames [][]byte) {
	start := 0
	for i, b := range data {
		if b == 0xff {
			frames = append(frames, data[start:i])
			start = i + 1
		}
	}
	return append(frames, data[start:])
}

// FuzzWhatIsReadIsWhatWouldBeWritten holds that no message breaks the parsers, and that
// each one that is read is written the same.
func FuzzWhatIsReadIsWhatWouldBeWritten(f *testing.F) {
	for _, m := range messages(f) {
		var seed []byte
		for i, frame := range m.frames {
			if i > 0 {
				seed = append(seed, 0xff)
			}
			seed = append(seed, frame...)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frames := split(data)
		same := func(m any, again [][]byte) {
			if mdp.Show(again) != mdp.Show(frames) || mdp.Size(again) != mdp.Size(frames) {
				t.Errorf("%q is read as %+v, which is written as %q", frames, m, again)
			}
		}
		if m, err := mdpx.ParseFromGateway(frames); err == nil {
			switch m.Command {
			case mdpx.Request:
				if again, err := mdpx.AppendRequest(nil, &m.ID, &m.TTL, m.Service, m.Body); err == nil {
					same(m, again)
				}
			case mdpx.Cancel:
				same(m, mdpx.AppendCancel(nil, &m.ID))
			case mdpx.Watch:
				same(m, mdpx.AppendWatch(nil))
			case mdpx.Heartbeat:
				same(m, mdpx.AppendHeartbeat(nil))
			}
		}
		if m, err := mdpx.ParseFromBroker(frames); err == nil {
			switch m.Command {
			case mdpx.Partial, mdpx.Final:
				same(m, mdpx.AppendReply(nil, &m.ID, m.Body, m.Command == mdpx.Final))
			case mdpx.Refused:
				if m.Code != mdpx.UnknownCode {
					same(m, mdpx.AppendRefused(nil, &m.ID, m.Code))
				}
			case mdpx.Gone:
				if m.Code != mdpx.UnknownCode {
					same(m, mdpx.AppendGone(nil, &m.ID, m.Code))
				}
			case mdpx.Services:
				same(m, mdpx.AppendServices(nil, m.Services))
			case mdpx.HeartbeatReply:
				same(m, mdpx.AppendHeartbeatReply(nil))
			}
		}
	})
}
