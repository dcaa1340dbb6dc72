package mdp_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"mdpgateway/internal/mdp"
)

// lab is a dialect that has every frame that one can be declared with, and is no preset.
func lab() *mdp.Dialect {
	return &mdp.Dialect{
		Name: "declared", Header: []byte("LAB1"), ReplyDelimiter: true, Request: []byte("ask"), Partial: []byte("part"),
		Final: []byte("done"), Error: []byte("none"), Padded: true, OK: []byte("ok"), Failed: []byte("no"), MMI: mdp.MMIHint,
	}
}

func TestEveryDialectMakesItsGoldenFrames(t *testing.T) {
	golden, err := os.ReadFile("testdata/dialects.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, d := range append(mdp.Presets(), lab()) {
		if err := d.Check(); err != nil {
			t.Errorf("%s: %v", d, err)
		}
		lookup, err := d.AppendLookup(nil, []byte("SERVICE"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s\n\tmmi     %s\n\tlookup  %s\n", d, d.MMI, mdp.Show(lookup))
		for _, m := range d.Messages() {
			fmt.Fprintf(&got, "\t%-7s %s\n", m.Name, mdp.Show(m.Frames))
		}
	}
	if got.String() != string(golden) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), golden)
	}
}

// What the messages of a dialect say is read from them again.
func TestTheMessagesOfADialectAreReadAsWhatTheyAre(t *testing.T) {
	for _, d := range append(mdp.Presets(), lab()) {
		for _, m := range d.Messages() {
			body, final, err := d.ParseReply("SERVICE", m.Frames)
			switch m.Name {
			case "request":
				var service []byte
				service, body, err = d.ParseRequest(m.Frames)
				if string(service) != "SERVICE" {
					t.Errorf("%s: the request is for %q", d, service)
				}
			case "error":
				if e, ok := err.(*mdp.MessageError); !ok || e.Reason != mdp.ReasonRefused || !strings.Contains(e.Error(), "BODY") {
					t.Errorf("%s: the error is read as %q, %v", d, body, err)
				}
				continue
			default:
				if final == (m.Name == "partial") {
					t.Errorf("%s: the %s is final: %v", d, m.Name, final)
				}
			}
			if err != nil || mdp.Show(body) != "BODY" {
				t.Errorf("%s: the %s has the body %q, %v", d, m.Name, body, err)
			}
		}
	}
}

func TestALayoutThatCannotBeToldApartIsRefused(t *testing.T) {
	for _, c := range []struct {
		change func(d *mdp.Dialect)
		want   string
	}{
		{func(d *mdp.Dialect) { d.Header = nil }, "header is empty, want at least one byte"},
		{func(d *mdp.Dialect) { d.Request = []byte{} }, "request is empty, want at least one byte"},
		{func(d *mdp.Dialect) { d.Failed = []byte{} }, "status_frame.failed is empty, want at least one byte"},
		{func(d *mdp.Dialect) { d.Final = make([]byte, 256) }, "final has 256 bytes, want at most 255"},
		{func(d *mdp.Dialect) { d.Partial = []byte("done") }, `partial is "done", which is final, want another frame`},
		{func(d *mdp.Dialect) { d.Error = []byte("done") }, `error is "done", which is final, want another frame`},
		{func(d *mdp.Dialect) { d.Error = []byte("part") }, `error is "part", which is partial, want another frame`},
		{func(d *mdp.Dialect) { d.Failed = []byte("ok") }, `status_frame.failed is "ok", which is ok, want another frame`},
		{func(d *mdp.Dialect) { d.Final = nil }, `partial is "part", want final beside it`},
		{func(d *mdp.Dialect) { d.Final, d.Partial = nil, nil }, `error is "none", want final beside it`},
		{func(d *mdp.Dialect) { d.OK = nil }, `status_frame.failed is "no", want ok beside it`},
		{func(d *mdp.Dialect) { d.Failed = nil }, `status_frame.ok is "ok", want failed beside it`},
		{func(d *mdp.Dialect) { d.Final, d.Partial, d.Error, d.OK, d.Failed = nil, nil, nil, nil, nil }, "<nil>"},
	} {
		d := lab()
		c.change(d)
		if got := fmt.Sprint(d.Check()); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// drawn makes a dialect of a fuzzer's bytes: of the first two which parts it has, of the
// others its frames. It is nil if it can't be spoken.
func drawn(shape uint16, frames [][]byte) *mdp.Dialect {
	next := func() (frame []byte) {
		if len(frames) > 0 {
			frame, frames = frames[0], frames[1:]
		}
		return frame
	}
	has := func(bit int) bool { return shape>>bit&1 == 1 }
	d := &mdp.Dialect{
		Name: "drawn", Header: next(), RequestDelimiter: has(0), ReplyDelimiter: has(1), NamesService: has(2), NamesMMI: has(3), Padded: has(4),
	}
	for i, frame := range []*[]byte{&d.Request, &d.Final, &d.Partial, &d.Error, &d.OK, &d.Failed} {
		if has(5 + i) {
			*frame = next()
		}
	}
	if d.Packed = has(11) && len(d.Request) == 1 && len(d.Final) == 1; d.Packed {
		d.RequestDelimiter, d.ReplyDelimiter, d.NamesService = false, false, true
		d.Error = nil
		if len(d.Partial) > 1 {
			d.Partial = d.Partial[:1]
		}
	}
	if d.Check() != nil {
		return nil
	}
	return d
}

// FuzzADrawnLayoutIsSpoken holds that any layout that is accepted reads what it writes, and
// that what it reads is what it would have written.
func FuzzADrawnLayoutIsSpoken(f *testing.F) {
	for _, shape := range []uint16{0, 0x7, 0x67, 0x7e0, 0x7ff, 0x7fa, 0x864} {
		f.Add(shape, []byte("LAB1\xffask\xffdone\xffpart\xffnone\xffok\xffno"), []byte("\xffLAB1\xffdone\xffecho\xff\xffok\xffbody"))
		f.Add(shape, []byte("M\xff\x01\xff\x03\xff\x02\xff\x04\xff\x05\xff\x06"), []byte("\xaa\xa4\x03\x01M\x03\x04echo\xffbody"))
	}
	f.Fuzz(func(t *testing.T, shape uint16, layout, message []byte) {
		d := drawn(shape, split(layout))
		if d == nil {
			return
		}
		frames := split(message)
		for _, service := range []string{"echo", mdp.MMIService} {
			for _, final := range []bool{true, false} {
				if !final && !d.HasPartials() {
					continue
				}
				body, last, err := d.ParseReply(service, d.AppendReply(nil, []byte(service), frames, final))
				if err != nil || last != final || mdp.Show(body) != mdp.Show(frames) {
					t.Errorf("%+v: a reply of %s, final %v, with %q is read as %q, %v, %v", d, service, final, frames, body, last, err)
				}
			}
			body, final, err := d.ParseReply(service, frames)
			if err == nil && !same(d.AppendReply(nil, []byte(service), body, final), frames) {
				t.Errorf("%+v: %q is read as a reply of %s with %q", d, frames, service, body)
			}
		}
		request, err := d.AppendRequest(nil, []byte("echo"), frames)
		if err != nil {
			t.Fatal(err)
		}
		if service, body, err := d.ParseRequest(request); err != nil || string(service) != "echo" || !same(body, frames) {
			t.Errorf("%+v: a request with %q is read as %q, %v", d, frames, body, err)
		}
		if service, body, err := d.ParseRequest(frames); err == nil && !mdp.IsMMI(service) {
			if again, err := d.AppendRequest(nil, service, body); err != nil || !same(again, frames) {
				t.Errorf("%+v: %q is read as a request of %s with %q, %v", d, frames, service, body, err)
			}
		}
		if d.Error != nil || d.Failed != nil {
			if body, _, err := d.ParseReply("echo", d.AppendRefusal(nil, []byte("echo"), frames)); err == nil {
				t.Errorf("%+v: a refusal is read as a reply with %q", d, body)
			}
		}
	})
}

func same(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
