package mdp_test

import (
	"errors"
	"testing"

	"mdpgateway/internal/mdp"
)

func TestRepliesAreReadAsEachDialectSendsThem(t *testing.T) {
	for _, c := range []struct {
		name    string
		dialect *mdp.Dialect
		reply   [][]byte
		body    string
		final   bool
	}{
		{"0.1", mdp.V01, fr("", "MDPC01", "echo", "hi"), "hi", true},
		{"0.1 without body", mdp.V01, fr("", "MDPC01", "echo"), "", true},
		{"0.2 partial", mdp.V02, fr("MDPC02", "\x02", "echo", "hi"), "hi", false},
		{"0.2 final", mdp.V02, fr("MDPC02", "\x03", "echo", "a", ""), "a | ''", true},
		{"loudify", mdp.Loudify, fr("", "C01", "echo", "", "hi"), "hi", true},
		{"loudify with an empty body", mdp.Loudify, fr("", "C01", "echo", "", ""), "''", true},
		{"majortomo partial", mdp.Majortomo, fr("", "MDPC02", "\x03", "hi"), "hi", false},
		{"majortomo final", mdp.Majortomo, fr("", "MDPC02", "\x04", "hi"), "hi", true},
		{"majordomogo", mdp.MajordomoGo, fr("", "MDPC01", "echo", "", "hi"), "hi", true},
		{"libmdp 0.2", mdp.LibMDP02, fr("", "MDPC02", "echo", "hi"), "hi", true},
		{"libmdp 0X", mdp.LibMDP0X, fr("", "MDPC0X", "\x02", "echo", "hi"), "hi", true},
		{"plantd partial", mdp.Plantd, fr("MDPC02", "PARTIAL", "echo", "hi"), "hi", false},
		{"plantd final", mdp.Plantd, fr("MDPC02", "FINAL", "echo", "hi"), "hi", true},
		{"IronDomo", mdp.IronDomo, fr("", "IDPC01", "echo", "hi"), "hi", true},
		{"rustydomo partial", mdp.RustyDomo, fr("MDPC02", "\x02", "hi"), "hi", false},
		{"rustydomo final", mdp.RustyDomo, fr("MDPC02", "\x03", "hi"), "hi", true},
		{"zmq-mdp2 partial", mdp.ZMQMDP2, fr("MDPC02", "2", "echo", "hi"), "hi", false},
		{"zmq-mdp2 final", mdp.ZMQMDP2, fr("MDPC02", "3", "echo", "hi"), "hi", true},
		{"wdl83", mdp.WDL83, fr("", "MDPC01", "echo", "success", "hi"), "hi", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, final, err := c.dialect.ParseReply("echo", c.reply)
			if err != nil || show(body) != c.body || final != c.final {
				t.Errorf("got %s, final %v, %v, want %s, final %v", show(body), final, err, c.body, c.final)
			}
		})
	}
}

func TestWhatIsNoReplyIsRefusedWithItsReason(t *testing.T) {
	for _, c := range []struct {
		name    string
		dialect *mdp.Dialect
		reply   [][]byte
		reason  string
	}{
		{"nothing", mdp.V01, nil, mdp.ReasonHeader},
		{"no delimiter", mdp.V01, fr("MDPC01", "echo", "hi"), mdp.ReasonHeader},
		{"a delimiter too many", mdp.V02, fr("", "MDPC02", "\x03", "echo", "hi"), mdp.ReasonHeader},
		{"another dialect", mdp.V01, fr("", "MDPC02", "echo", "hi"), mdp.ReasonHeader},
		{"a worker's header", mdp.V01, fr("", "MDPW01", "\x02", "echo"), mdp.ReasonHeader},
		{"another service", mdp.V01, fr("", "MDPC01", "ohce", "hi"), mdp.ReasonAsked},
		{"no service", mdp.V01, fr("", "MDPC01"), mdp.ReasonMalformed},
		{"no command", mdp.V02, fr("MDPC02"), mdp.ReasonMalformed},
		{"an unknown command", mdp.V02, fr("MDPC02", "\x04", "echo", "hi"), mdp.ReasonMalformed},
		{"an empty command", mdp.V02, fr("MDPC02", "", "echo", "hi"), mdp.ReasonMalformed},
		{"libmdp's refusal", mdp.LibMDP0X, fr("", "MDPC0X", "\x03", "echo"), mdp.ReasonRefused},
		{"libmdp with an unknown command", mdp.LibMDP0X, fr("", "MDPC0X", "", "echo"), mdp.ReasonMalformed},
		{"plantd behind an empty frame", mdp.Plantd, fr("", "MDPC02", "FINAL", "echo", "hi"), mdp.ReasonHeader},
		{"wdl83's failure", mdp.WDL83, fr("", "MDPC01", "echo", "failure", "service busy"), mdp.ReasonRefused},
		{"wdl83 without its word", mdp.WDL83, fr("", "MDPC01", "echo"), mdp.ReasonMalformed},
		{"wdl83 with another word", mdp.WDL83, fr("", "MDPC01", "echo", "maybe", "hi"), mdp.ReasonMalformed},
		{"loudify without its empty frame", mdp.Loudify, fr("", "C01", "echo", "hi"), mdp.ReasonMalformed},
		{"loudify without body", mdp.Loudify, fr("", "C01", "echo"), mdp.ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, _, err := c.dialect.ParseReply("echo", c.reply)
			var e *mdp.MessageError
			if !errors.As(err, &e) || e.Reason != c.reason {
				t.Errorf("got %q, %v, want %s", body, err, c.reason)
			}
		})
	}
}

func TestAStatusIsTheLastFrameOfItsAnswer(t *testing.T) {
	for _, c := range []struct {
		dialect *mdp.Dialect
		answer  [][]byte
		want    string
	}{
		{mdp.V01, fr("", "MDPC01", "mmi.service", "200"), "200"},
		{mdp.V01, fr("", "MDPC01", "mmi.service", "echo", "404"), "404"},
		{mdp.V02, fr("MDPC02", "\x03", "mmi.service", "501"), "501"},
		{mdp.Loudify, fr("", "C01", "mmi.service", "200"), "200"},
		{mdp.LibMDP0X, fr("", "MDPC0X", "\x02", "mmi.service", "404"), "404"},
		{mdp.Plantd, fr("MDPC02", "FINAL", "mmi.service", "200"), "200"},
		{mdp.RustyDomo, fr("MDPC02", "\x03", "mmi.service", "echo", "200"), "200"},
		{mdp.V01, fr("", "MDPC01", "mmi.service", "yes"), ""},
		{mdp.V01, fr("", "MDPC01", "mmi.service"), ""},
		{mdp.V01, fr("", "MDPC01", "echo", "200"), ""},
		{mdp.V02, fr("MDPC02", "\x02", "mmi.service", "200"), ""},
	} {
		got, err := c.dialect.ParseStatus(c.answer)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v %s: got %q, %v, want %q", c.dialect, show(c.answer), got, err, c.want)
		}
	}
}

func TestAReplyIsReadBack(t *testing.T) {
	for _, d := range dialects {
		for _, body := range [][][]byte{fr("hi"), fr(""), fr("", "a", "")} {
			got, final, err := d.ParseReply("echo", d.AppendReply(nil, []byte("echo"), body, true))
			if err != nil || !final || show(got) != show(body) {
				t.Errorf("%v %s: got %s, %v, %v", d, show(body), show(got), final, err)
			}
		}
	}
}

// split makes frames of fuzzed bytes: 0xff ends a frame.
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

// lax reports whether a worker's message is one that is read and never written.
func lax(d *mdp.Dialect, m mdp.WorkerMessage, frames [][]byte) bool {
	return len(d.AppendWorker(nil, m)) != len(frames)
}

func FuzzNoMessageBreaksTheParsers(f *testing.F) {
	for _, d := range dialects {
		var seed []byte
		for _, frame := range d.AppendReply(nil, []byte("echo"), fr("hi"), true) {
			seed = append(append(seed, frame...), 0xff)
		}
		f.Add(seed)
	}
	f.Add([]byte("\xffMDPW01\xff\x01\xffecho"))
	f.Add([]byte("MDPW02\xff\x03\xffclient\xff\xffbody"))
	f.Fuzz(func(t *testing.T, data []byte) {
		frames := split(data)
		mdp.Identify(frames)
		for _, d := range dialects {
			if body, final, err := d.ParseReply("echo", frames); err == nil && final {
				again := d.AppendReply(nil, []byte("echo"), body, true)
				if show(again) != show(frames) {
					t.Errorf("%v: %s is read as %s", d, show(frames), show(body))
				}
			}
			if service, body, err := d.ParseRequest(frames); err == nil {
				again, err := d.AppendRequest(nil, service, body)
				if !mdp.IsMMI(service) && (err != nil || show(again) != show(frames)) {
					t.Errorf("%v: request %s is read as %s, %v", d, show(frames), show(again), err)
				}
			}
			if !d.HasWorkers() {
				continue
			}
			if m, err := d.ParseWorker(frames); err == nil && m.Command <= mdp.Final && !lax(d, m, frames) {
				if again := d.AppendWorker(nil, m); show(again) != show(frames) {
					t.Errorf("%v: command %s is read as %s", d, show(frames), show(again))
				}
			}
		}
	})
}

func TestOnlyLoudifysFirstFrameMeansFailure(t *testing.T) {
	for _, c := range []struct {
		dialect *mdp.Dialect
		reply   [][]byte
		failed  bool
	}{
		{mdp.Loudify, fr("\x06"), true},
		{mdp.Loudify, fr("\x06", "why"), true},
		{mdp.Loudify, fr("\x06\x06"), false},
		{mdp.Loudify, fr("a", "\x06"), false},
		{mdp.Loudify, nil, false},
		{mdp.V01, fr("\x06"), false},
		{mdp.V02, fr("\x06"), false},
		{mdp.Majortomo, fr("\x06"), false},
	} {
		if got := c.dialect.HasFailed(c.reply); got != c.failed {
			t.Errorf("%s %s: got %v, want %v", c.dialect, show(c.reply), got, c.failed)
		}
	}
}

// Brokers written in Java say 400 of a service that they do not know.
func TestStatus400MeansThatTheServiceIsUnknown(t *testing.T) {
	answer := [][]byte{nil, []byte("MDPC01"), []byte(mdp.MMIService), []byte("400")}
	if status, err := mdp.V01.ParseStatus(answer); err != nil || status != mdp.StatusNotFound {
		t.Errorf("got %q, %v, want %s", status, err, mdp.StatusNotFound)
	}
}
