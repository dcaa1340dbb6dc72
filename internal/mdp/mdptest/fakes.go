package mdptest

import (
	"bytes"
	"slices"
	"testing"

	"mdpgateway/internal/mdp"
)

// A Fake is a broker of others as its clients see it: what it takes, and what it sends back,
// written down from that broker at work and not by way of package mdp. In its frames, NAME
// stands for the service's name.
type Fake struct {
	Name    string // of the broker
	Dialect string // the preset for it
	MMI     string // how far it can be asked for its services: on, hint or off

	Request []string // up to the body
	Partial []string // up to the body; nil: its replies have one message
	Reply   []string // up to the body
	Refusal []string // what it sends of a service without a worker; nil: it waits for one

	// Answers are what mmi.service answers of a service with a worker and of one without,
	// up to the status and with it. nil: it never answers.
	Answers map[bool][]string
}

// NAME in a Fake's frames is the name of the service.
const name = "NAME"

// Fakes are the brokers that were seen, one for each row of the table in docs/brokers.md.
func Fakes() []Fake {
	v1 := []string{"", "MDPC01", name}
	rfc8 := func(head ...string) map[bool][]string {
		return map[bool][]string{true: append(slices.Clip(head), "200"), false: append(slices.Clip(head), "404")}
	}
	mmi1 := rfc8("", "MDPC01", "mmi.service")
	return []Fake{
		{Name: "loudify", Dialect: "loudify", MMI: "on", Request: []string{"", "C01", name}, Reply: []string{"", "C01", name, ""},
			Answers: rfc8("", "C01", "mmi.service")},
		{Name: "zguide C, libmdp 0.1", Dialect: "mdp/0.1", MMI: "on", Request: v1, Reply: v1, Answers: mmi1},
		{Name: "zguide Python, Ruby", Dialect: "mdp/0.1", MMI: "on", Request: v1, Reply: v1, Answers: mmi1},
		{Name: "zguide C++", Dialect: "mdp/0.1", MMI: "on", Request: v1, Reply: v1, Answers: mmi1},
		{Name: "zguide PHP", Dialect: "mdp/0.1", MMI: "on", Request: v1, Reply: v1, Answers: mmi1},
		{Name: "jeromq, zguide Java", Dialect: "mdp/0.1", MMI: "on", Request: v1, Reply: v1,
			Answers: map[bool][]string{true: mmi1[true], false: {"", "MDPC01", "mmi.service", "400"}}},
		{Name: "pebbe/zmq4 example", Dialect: "mdp/0.1", MMI: "hint", Request: v1, Reply: v1, Answers: mmi1},
		{Name: "zeromq.js example", Dialect: "mdp/0.1", MMI: "off", Request: v1, Reply: v1},
		{Name: "nodejs-mdp02", Dialect: "mdp/0.2", MMI: "off", Request: []string{"MDPC02", "\x01", name},
			Partial: []string{"MDPC02", "\x02", name}, Reply: []string{"MDPC02", "\x03", name}},
		{Name: "majortomo", Dialect: "majortomo", MMI: "off", Request: []string{"", "MDPC02", "\x02", name},
			Partial: []string{"", "MDPC02", "\x03"}, Reply: []string{"", "MDPC02", "\x04"}},
		{Name: "wdl83 (C++)", Dialect: "wdl83", MMI: "off", Request: v1, Reply: []string{"", "MDPC01", name, "success"},
			Refusal: []string{"", "MDPC01", name, "failure", "service unsupported"}},
		{Name: "jheise/majordomogo", Dialect: "majordomogo", MMI: "off", Request: v1, Reply: []string{"", "MDPC01", name, ""}},
		{Name: "libmdp 0.2 draft", Dialect: "libmdp-0.2", MMI: "on", Request: []string{"", "MDPC02", name},
			Reply: []string{"", "MDPC02", name}, Answers: rfc8("", "MDPC02", "mmi.service")},
		{Name: "libmdp 0X", Dialect: "libmdp-0x", MMI: "on", Request: []string{"", "MDPC0X", name},
			Reply: []string{"", "MDPC0X", "\x02", name}, Refusal: []string{"", "MDPC0X", "\x03", name},
			Answers: rfc8("", "MDPC0X", "\x02", "mmi.service")},
		{Name: "zmq-mdp2 (js)", Dialect: "zmq-mdp2", MMI: "off", Request: []string{"MDPC02", "1", name},
			Partial: []string{"MDPC02", "2", name}, Reply: []string{"MDPC02", "3", name}},
		{Name: "rustydomo", Dialect: "rustydomo", MMI: "on", Request: []string{"MDPC02", "\x01", name},
			Partial: []string{"MDPC02", "\x02"}, Reply: []string{"MDPC02", "\x03"},
			Answers: rfc8("MDPC02", "\x03", "mmi.service", name)},
		{Name: "plantd", Dialect: "plantd", MMI: "hint", Request: []string{"", "MDPC02", "REQUEST", name},
			Partial: []string{"MDPC02", "PARTIAL", name}, Reply: []string{"MDPC02", "FINAL", name},
			Answers: rfc8("MDPC02", "FINAL", "mmi.service")},
		{Name: "IronDomo", Dialect: "irondomo", MMI: "off", Request: []string{"", "IDPC01", name}, Reply: []string{"", "IDPC01", name},
			Answers: map[bool][]string{true: {"", "IDPC01", "mmi.service", "404"}, false: {"", "IDPC01", "mmi.service", "404"}}},
		{Name: "zproto (majordomo master)", Dialect: "zproto", MMI: "off", Request: []string{"\xaa\xa4\x01\x06MDPC02\x01\x04NAME"},
			Partial: []string{"\xaa\xa4\x02\x06MDPC02\x02\x04NAME"}, Reply: []string{"\xaa\xa4\x03\x06MDPC02\x03\x04NAME"}},
	}
}

// Start starts the broker with one worker, whose service has a name of four letters. It sends
// the request's body back; as a PARTIAL before, if it begins with the frame "twice" and the
// broker has any. The broker may be asked for one other service, which has no workers. What
// does not begin as its requests do, byte by byte, fails the test: it kills some of the real
// ones.
func (f Fake) Start(t testing.TB, service, other string) *Router {
	t.Helper()
	return NewRouter(t, func(_ []byte, frames [][]byte) [][][]byte {
		if body, ok := after(frames, f.Request, mdp.MMIService); ok && f.Answers != nil {
			asked := string(body[0])
			return [][][]byte{message(f.Answers[asked == service], asked, nil)}
		}
		body, ok := after(frames, f.Request, service)
		switch {
		case ok && f.Partial != nil && string(body[0]) == "twice":
			return [][][]byte{message(f.Partial, service, body), message(f.Reply, service, body)}
		case ok:
			return [][][]byte{message(f.Reply, service, body)}
		}
		if _, ok := after(frames, f.Request, other); !ok {
			t.Errorf("%s was sent %q", f.Name, frames)
		} else if f.Refusal != nil {
			return [][][]byte{message(f.Refusal, other, nil)}
		}
		return nil
	})
}

// after returns the body of a request if its other frames are those of head.
func after(frames [][]byte, head []string, service string) (body [][]byte, ok bool) {
	n := len(head)
	if len(frames) <= n || !slices.EqualFunc(frames[:n], message(head, service, nil), bytes.Equal) {
		return nil, false
	}
	return frames[n:], true
}

// message returns the frames of head and body. A packed one holds the length of the name.
func message(head []string, service string, body [][]byte) (frames [][]byte) {
	for _, h := range head {
		frames = append(frames, bytes.ReplaceAll([]byte(h), []byte(name), []byte(service)))
	}
	return append(frames, body...)
}
