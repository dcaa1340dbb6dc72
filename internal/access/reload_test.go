package access

import (
	"strings"
	"testing"
	"time"
)

func TestAReloadIsRefusedIfItOpensOrDropsAll(t *testing.T) {
	a, b, other := line("a", "[echo]", ""), line("b", "[echo]", ""), line("other", "[echo]", "")
	stolen := strings.Replace(other, "id: other", "id: a", 1)
	expired, soon := line("a", "[echo]", "expires: 2027-01-01"), line("b", "[echo]", "expires: 2027-02-01")
	certificate := "- {id: hall, certificate: {dns: '*.hall.lab'}, services: [echo]}\n"
	token := "- {id: s, token: {issuer: https://login.lab, claims: {groups: s}}, services: [echo]}\n"
	const opened, dropped = "there is no list of principals any more", "none of the principals in force is left"
	for _, c := range []struct{ before, next, want string }{
		{"", a, ""},
		{a, "", opened},
		{a + b, b, ""},
		{a, b, dropped},
		{a, stolen, dropped}, // the same id with another key locks out who has the first
		{a, strings.Replace(a, "id: a", "id: renamed", 1), ""},
		{a + b, expired + other, dropped},
		{expired, other, ""}, // nobody was let in before
		{expired + soon, soon, ""},
		{a + certificate, certificate, ""},
		{certificate, strings.Replace(certificate, "hall.lab", "mill.lab", 1), dropped},
		{token, strings.Replace(token, "groups: s", "groups: t", 1), dropped},
		{token, strings.Replace(token, "[echo]", "['*']", 1), ""},
	} {
		read := func(file string) *List {
			if file == "" {
				return nil
			}
			return parse(t, file)
		}
		err := NewStore(read(c.before), nil).CheckReload(read(c.next), now)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s, then %s: got %v, want %q", c.before, c.next, err, c.want)
		}
	}
}

// blocks is a list in block style, which is still YAML wherever its lines are cut.
const blocks = `# who may call
- id: a
  key:
    sha256: 0000000000000000000000000000000000000000000000000000000000000001
  services:
  - echo
  - lora_*
  rate: 5/s
- id: b
  key: {sha256: 0000000000000000000000000000000000000000000000000000000000000002}
  services: [echo]

  # until the hall is closed
  expires: 2027-02-01
  rate: 1/h
  max_in_flight: 1
`

func TestAFileThatIsCutAtALinesEndIsNotPutInForce(t *testing.T) {
	s := NewStore(parse(t, blocks), nil)
	lines := strings.SplitAfter(blocks, "\n")
	for n := range lines {
		text := strings.Join(lines[:n], "")
		next, err := ParseList("keys", []byte(text), nil)
		whole := n == 8 || n >= 16 // the end of a's entry, and of all
		if err == nil {
			err = s.CheckReload(next, now)
		}
		if whole != (err == nil) {
			t.Errorf("the first %d lines: got %v, want them taken: %v", n, err, whole)
		}
		edited := strings.Replace(text, "rate: 5/s", "rate: 6/s", 1)
		if next, err = ParseList("keys", []byte(edited), nil); err == nil && n > 8 {
			if err = s.CheckReload(next, now); (err == nil) != whole {
				t.Errorf("the first %d lines, with another rate for a: got %v, want them taken: %v", n, err, whole)
			}
		}
	}
	meant := strings.Replace(blocks, "  max_in_flight: 1\n", "", 1)
	if err := s.CheckReload(parse(t, meant), now); err == nil {
		t.Error("a last line less is taken, want it refused: nobody can tell whether it is meant")
	}
	if err := s.CheckReload(parse(t, meant+"...\n"), now); err != nil {
		t.Errorf("with YAML's mark for the end: got %v, want it taken", err)
	}
}

// Without what was there before, only its end shows whether a file is whole.
func TestAListWithAnEndMarkIsNotReplacedByOneWithout(t *testing.T) {
	s := NewStore(parse(t, blocks+"...\n"), nil)
	added := strings.ReplaceAll(strings.ReplaceAll(blocks[strings.Index(blocks, "- id: b"):], "id: b", "id: c"), "0002", "0003")
	whole := blocks + added + "...\n"
	for i := range whole {
		next, err := ParseList("keys", []byte(whole[:i]), nil)
		if err == nil && s.CheckReload(next, now) == nil && !strings.HasSuffix(whole[:i], "\n...") {
			t.Fatalf("the first %d bytes of %d are taken: %s", i, len(whole), whole[:i])
		}
	}
	if err := s.CheckReload(parse(t, whole), now); err != nil {
		t.Errorf("the whole file: got %v", err)
	}
}

func TestAPrincipalMayStillCallWhatItIsFor(t *testing.T) {
	s := NewStore(parse(t, line("a", "[echo]", ""), line("old", "['*']", "expires: 2027-01-01")), nil)
	for _, c := range []struct {
		id, service string
		want        bool
	}{{"a", "echo", true}, {"a", "lora", false}, {"old", "echo", false}, {"gone", "echo", false}, {"", "echo", false}} {
		if got := s.Still(c.id, c.service, now); got != c.want {
			t.Errorf("%q, %s: got %v, want %v", c.id, c.service, got, c.want)
		}
	}
	if !new(Store).Still("", "echo", time.Time{}) {
		t.Error("where anyone may call, everybody may still")
	}
}
