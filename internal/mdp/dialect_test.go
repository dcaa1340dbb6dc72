package mdp_test

import (
	"strings"
	"testing"

	"mdpgateway/internal/mdp"
)

var dialects = mdp.Presets()

// fr makes frames of strings.
func fr(s ...string) [][]byte {
	f := make([][]byte, len(s))
	for i := range s {
		f[i] = []byte(s[i])
	}
	return f
}

// show writes frames as the wire tables of the documentation do.
func show(frames [][]byte) string {
	var s []string
	for _, f := range frames {
		if len(f) == 0 {
			s = append(s, "''")
			continue
		}
		s = append(s, string(f))
	}
	return strings.Join(s, " | ")
}

func TestADialectIsReadBackFromItsName(t *testing.T) {
	for _, d := range dialects {
		if got, err := mdp.ParseDialect(d.String()); err != nil || got != d {
			t.Errorf("%s: got %v, %v", d, got, err)
		}
	}
	const want = `dialect is "mdp/3", want one of mdp/0.1, mdp/0.2, loudify, majortomo, ` +
		"majordomogo, libmdp-0.2, libmdp-0x, plantd, irondomo, rustydomo, zmq-mdp2, wdl83, zproto, mdpx/1"
	if _, err := mdp.ParseDialect("mdp/3"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRequestsAreTheFramesThatEachDialectExpects(t *testing.T) {
	for _, c := range []struct {
		dialect *mdp.Dialect
		body    [][]byte
		want    string
	}{
		{mdp.V01, fr("Hello world"), "'' | MDPC01 | echo | Hello world"},
		{mdp.V02, fr("Hello world"), "MDPC02 | \x01 | echo | Hello world"},
		{mdp.Loudify, fr("Hello world", "{'sf': 7}"), "'' | C01 | echo | Hello world | {'sf': 7}"},
		{mdp.Majortomo, fr("Hello world"), "'' | MDPC02 | \x02 | echo | Hello world"},
		{mdp.MajordomoGo, fr("hi"), "'' | MDPC01 | echo | hi"},
		{mdp.LibMDP02, fr("hi"), "'' | MDPC02 | echo | hi"},
		{mdp.LibMDP0X, fr("hi"), "'' | MDPC0X | echo | hi"},
		{mdp.Plantd, fr("hi"), "'' | MDPC02 | REQUEST | echo | hi"},
		{mdp.IronDomo, fr("hi"), "'' | IDPC01 | echo | hi"},
		{mdp.RustyDomo, fr("hi"), "MDPC02 | \x01 | echo | hi"},
		{mdp.ZMQMDP2, fr("hi"), "MDPC02 | 1 | echo | hi"},
		{mdp.WDL83, fr("hi"), "'' | MDPC01 | echo | hi"},
		{mdp.V01, nil, "'' | MDPC01 | echo | ''"},
		{mdp.V02, fr("", ""), "MDPC02 | \x01 | echo | '' | ''"},
	} {
		got, err := c.dialect.AppendRequest(nil, []byte("echo"), c.body)
		if err != nil || show(got) != c.want {
			t.Errorf("%v: got %s, %v, want %s", c.dialect, show(got), err, c.want)
		}
	}
}

func TestLookupsAskTheBrokerItself(t *testing.T) {
	for d, want := range map[*mdp.Dialect]string{
		mdp.V01:     "'' | MDPC01 | mmi.service | echo",
		mdp.V02:     "MDPC02 | \x01 | mmi.service | echo",
		mdp.Loudify: "'' | C01 | mmi.service | echo",
		mdp.Plantd:  "'' | MDPC02 | REQUEST | mmi.service | echo",
	} {
		got, err := d.AppendLookup(nil, []byte("echo"))
		if err != nil || show(got) != want {
			t.Errorf("%v: got %s, %v, want %s", d, show(got), err, want)
		}
	}
}

func TestNamesThatKillBrokersAreRefused(t *testing.T) {
	for name, want := range map[string]string{
		"":                       "the service name is empty",
		strings.Repeat("x", 256): "the service name has 256 bytes, want at most 255",
		"a\x00b":                 "the service name has byte 0x00 at offset 1, want printable ASCII without spaces",
		"a b":                    "the service name has byte 0x20 at offset 1, want printable ASCII without spaces",
		"é":                      "the service name has byte 0xc3 at offset 0, want printable ASCII without spaces",
		".":                      `the service name is "."`,
		"..":                     `the service name is ".."`,
		"mmi.service":            `the service name "mmi.service" belongs to the broker`,
	} {
		for _, d := range dialects {
			got, err := d.AppendRequest(nil, []byte(name), fr("body"))
			if err == nil || err.Error() != want || len(got) > 0 {
				t.Errorf("%v %q: got %q, %v, want %s", d, name, got, err, want)
			}
		}
	}
	longest := strings.Repeat("x", 255)
	if _, err := mdp.V01.AppendRequest(nil, []byte(longest), nil); err != nil {
		t.Errorf("255 bytes: %v", err)
	}
}

func TestBuildingARequestAllocatesNothing(t *testing.T) {
	scratch := make([][]byte, 0, 16)
	service, body := []byte("echo"), fr("Hello world", "{'sf': 7}")
	for _, d := range dialects {
		if d.Packed {
			continue // its first frame is made for each message
		}
		n := testing.AllocsPerRun(100, func() {
			if _, err := d.AppendRequest(scratch, service, body); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%v: %v allocations, want 0", d, n)
		}
	}
}

func TestParsingAReplyAllocatesNothing(t *testing.T) {
	for _, d := range dialects {
		if d.Packed {
			continue
		}
		reply := d.AppendReply(nil, []byte("echo"), fr("Hello world"), true)
		n := testing.AllocsPerRun(100, func() {
			if _, _, err := d.ParseReply("echo", reply); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%v: %v allocations, want 0", d, n)
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	scratch := make([][]byte, 0, 16)
	service, body := []byte("echo"), fr("Hello world", "{'sf': 7}")
	for _, d := range dialects {
		b.Run("dialect="+d.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.AppendRequest(scratch, service, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
