package mdp_test

import (
	"testing"

	"mdpgateway/internal/mdp"
)

// The wire of RFC 7 and RFC 18, and of loudify as captured.
func TestWorkerCommandsAreTheFramesOfTheRFCs(t *testing.T) {
	ready := mdp.WorkerMessage{Command: mdp.Ready, Service: []byte("echo")}
	work := mdp.WorkerMessage{Command: mdp.Work, Client: []byte("me"), Body: fr("hi", "there")}
	partial := mdp.WorkerMessage{Command: mdp.Partial, Client: []byte("me"), Body: fr("hi")}
	final := mdp.WorkerMessage{Command: mdp.Final, Client: []byte("me"), Body: fr("hi")}
	heartbeat := mdp.WorkerMessage{Command: mdp.Heartbeat}
	disconnect := mdp.WorkerMessage{Command: mdp.Disconnect}
	for _, c := range []struct {
		dialect *mdp.Dialect
		message mdp.WorkerMessage
		want    string
	}{
		{mdp.V01, ready, "'' | MDPW01 | \x01 | echo"},
		{mdp.V01, work, "'' | MDPW01 | \x02 | me | '' | hi | there"},
		{mdp.V01, final, "'' | MDPW01 | \x03 | me | '' | hi"},
		{mdp.V01, heartbeat, "'' | MDPW01 | \x04"},
		{mdp.V01, disconnect, "'' | MDPW01 | \x05"},
		{mdp.V02, ready, "MDPW02 | \x01 | echo"},
		{mdp.V02, work, "MDPW02 | \x02 | me | '' | hi | there"},
		{mdp.V02, partial, "MDPW02 | \x03 | me | '' | hi"},
		{mdp.V02, final, "MDPW02 | \x04 | me | '' | hi"},
		{mdp.V02, heartbeat, "MDPW02 | \x05"},
		{mdp.V02, disconnect, "MDPW02 | \x06"},
		{mdp.Majortomo, ready, "'' | MDPW02 | \x01 | echo"},
		{mdp.Majortomo, work, "'' | MDPW02 | \x02 | me | '' | hi | there"},
		{mdp.Majortomo, partial, "'' | MDPW02 | \x03 | me | '' | hi"},
		{mdp.Majortomo, final, "'' | MDPW02 | \x04 | me | '' | hi"},
		{mdp.Majortomo, heartbeat, "'' | MDPW02 | \x05"},
		{mdp.Majortomo, disconnect, "'' | MDPW02 | \x06"},
		{mdp.Loudify, ready, "'' | W01 | \x01 | echo"},
		{mdp.Loudify, final, "'' | W01 | \x03 | me | '' | hi"},
	} {
		frames := c.dialect.AppendWorker(nil, c.message)
		if show(frames) != c.want {
			t.Errorf("%v %v: got %s, want %s", c.dialect, c.message.Command, show(frames), c.want)
		}
		back, err := c.dialect.ParseWorker(frames)
		if err != nil || back.Command != c.message.Command || show(back.Body) != show(c.message.Body) ||
			string(back.Service) != string(c.message.Service) || string(back.Client) != string(c.message.Client) {
			t.Errorf("%v %s: read back as %+v, %v", c.dialect, c.want, back, err)
		}
		if d, peer := mdp.Identify(frames); d != c.dialect || peer != mdp.Worker {
			t.Errorf("%s: identified as %v, %v", c.want, d, peer)
		}
	}
}

func TestMalformedWorkerCommandsAreRefused(t *testing.T) {
	for _, frames := range [][][]byte{
		fr("", "MDPW01"),
		fr("", "MDPW01", ""),
		fr("", "MDPW01", "\x00"),
		fr("", "MDPW01", "\x06"),
		fr("", "MDPW01", "\x01\x01", "echo"),
		fr("", "MDPW01", "\x01"),
		fr("", "MDPW01", "\x03"),
		fr("", "MDPW01", "\x02", "me"),
		fr("", "MDPW01", "\x02", "me", "no delimiter", "hi"),
		fr("", "W01", "\x01", "echo"),
		fr("MDPW01", "\x01", "echo"),
	} {
		if m, err := mdp.V01.ParseWorker(frames); err == nil {
			t.Errorf("%s: read as %+v, want an error", show(frames), m)
		}
	}
}

// zguide's PHP worker leaves out the empty frame, jheise's READY has a frame too many.
func TestCommandsOfLaxWorkersAreRead(t *testing.T) {
	for _, c := range []struct {
		frames        [][]byte
		service, body string
	}{
		{fr("", "MDPW01", "\x01", "echo", "0"), "echo", ""},
		{fr("", "MDPW01", "\x03", "me"), "", ""},
		{fr("", "MDPW01", "\x03", "me", "a"), "", "a"},
		{fr("", "MDPW01", "\x03", "me", "a", ""), "", "a | ''"},
		{fr("", "MDPW01", "\x03", "me", "", "", "a"), "", "'' | a"},
	} {
		m, err := mdp.V01.ParseWorker(c.frames)
		if err != nil || string(m.Service) != c.service || show(m.Body) != c.body {
			t.Errorf("%s: got service %q, body %s, %v, want %q, %s", show(c.frames), m.Service, show(m.Body), err, c.service, c.body)
		}
	}
}

func TestRequestsThatLackSomethingAreRefused(t *testing.T) {
	for _, c := range []struct {
		dialect *mdp.Dialect
		frames  [][]byte
	}{
		{mdp.V01, fr("", "MDPC01", "echo")},
		{mdp.V01, fr("", "MDPC01")},
		{mdp.V01, fr("", "MDPC01", "", "body")},
		{mdp.V01, fr("", "MDPC01", "a\x00b", "body")},
		{mdp.V02, fr("MDPC02", "echo", "body")},
		{mdp.V02, fr("MDPC02", "\x02", "echo", "body")},
		{mdp.V02, fr("MDPC02")},
	} {
		if service, body, err := c.dialect.ParseRequest(c.frames); err == nil {
			t.Errorf("%v %s: read as %s %s, want an error", c.dialect, show(c.frames), service, show(body))
		}
	}
}

func TestWhoSentAMessageIsToldByItsHeader(t *testing.T) {
	for _, c := range []struct {
		frames  [][]byte
		dialect *mdp.Dialect
		peer    mdp.Peer
	}{
		{fr("", "MDPC01", "echo", "hi"), mdp.V01, mdp.Client},
		{fr("MDPC02", "\x01", "echo", "hi"), mdp.V02, mdp.Client},
		{fr("", "C01", "echo", "hi"), mdp.Loudify, mdp.Client},
		{fr("MDPW02", "\x05"), mdp.V02, mdp.Worker},
		{fr("", "MDPC02", "\x02", "echo", "hi"), mdp.Majortomo, mdp.Client},
		{fr("", "MDPW02", "\x05"), mdp.Majortomo, mdp.Worker},
		{fr("", "MDPC03", "echo"), nil, mdp.Unknown},
		{fr("hello"), nil, mdp.Unknown},
		{fr(""), nil, mdp.Unknown},
		{nil, nil, mdp.Unknown},
	} {
		if d, peer := mdp.Identify(c.frames); peer != c.peer || peer != mdp.Unknown && d != c.dialect {
			t.Errorf("%s: got %v, %v, want %v, %v", show(c.frames), d, peer, c.dialect, c.peer)
		}
	}
}
