package mdptest

import (
	"slices"
	"testing"

	"mdpgateway/internal/mdp"
)

// A fake is a broker of others as its peers see it: what it takes, and what it sends
// back, written down from those brokers at work and not by way of package mdp.
type fake struct {
	head  []string // of a request, up to its service; "" is an empty frame
	reply func(service string, body [][]byte) [][]byte
	mmi   bool // mmi.service is answered truly
}

// fakes are the brokers of which none runs here.
var fakes = map[mdp.Dialect]fake{
	mdp.MajordomoGo: {[]string{"", "MDPC01"}, after("", "MDPC01", service, ""), false},
	mdp.LibMDP02:    {[]string{"", "MDPC02"}, after("", "MDPC02", service), true},
	mdp.LibMDP0X:    {[]string{"", "MDPC0X"}, after("", "MDPC0X", "\x02", service), true},
	mdp.Plantd:      {[]string{"", "MDPC02", "REQUEST"}, after("MDPC02", "FINAL", service), true},
	mdp.IronDomo:    {[]string{"", "IDPC01"}, after("", "IDPC01", service), false},
	mdp.RustyDomo:   {[]string{"MDPC02", "\x01"}, rustyDomo, true},
	mdp.ZMQMDP2:     {[]string{"MDPC02", "1"}, after("MDPC02", "3", service), false},
	mdp.WDL83:       {[]string{"", "MDPC01"}, wdl83, false},
}

// service stands for the service's name in the frames of a reply.
const service = "SERVICE"

// after returns replies that begin with these frames.
func after(head ...string) func(string, [][]byte) [][]byte {
	return func(name string, body [][]byte) [][]byte {
		var frames [][]byte
		for _, h := range head {
			if h == service {
				h = name
			}
			frames = append(frames, []byte(h))
		}
		return append(frames, body...)
	}
}

// rustyDomo names the service of mmi.* alone.
func rustyDomo(name string, body [][]byte) [][]byte {
	if mdp.IsMMI(name) {
		return after("MDPC02", "\x03", service)(name, body)
	}
	return after("MDPC02", "\x03")(name, body)
}

// wdl83 queues nothing: a request for a service without a worker fails.
func wdl83(name string, body [][]byte) [][]byte {
	if name != "echo" {
		return after("", "MDPC01", service, "failure", "service unsupported")(name, nil)
	}
	return after("", "MDPC01", service, "success")(name, body)
}

// Fake starts a broker as others wrote it, which has one worker, of the service echo. What
// does not begin as its requests do, byte by byte, fails the test: it kills some of them.
func Fake(t testing.TB, d mdp.Dialect) *Router {
	t.Helper()
	f, ok := fakes[d]
	if !ok {
		t.Fatalf("there is no fake broker of %s", d)
	}
	return NewRouter(t, func(_ []byte, frames [][]byte) [][][]byte {
		n := len(f.head)
		if len(frames) < n+2 || !slices.EqualFunc(f.head, frames[:n], func(s string, b []byte) bool { return s == string(b) }) {
			t.Errorf("a broker of %s was sent %q", d, frames)
			return nil
		}
		name, body := string(frames[n]), frames[n+1:]
		if name == mdp.MMIService && f.mmi {
			status := "404"
			if string(body[0]) == "echo" {
				status = "200"
			}
			return [][][]byte{f.reply(name, [][]byte{[]byte(status)})}
		}
		if name == "echo" || d == mdp.WDL83 {
			return [][][]byte{f.reply(name, body)}
		}
		return nil
	})
}
