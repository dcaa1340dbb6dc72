package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// now is the time of tests that need no other.
var now = time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)

// secret returns the key that line makes an entry for.
func secret(id string) string { return prefix + "the-secret-of-" + id }

// line returns an entry of a keys file: what is given, or for the rest what
// tests need. more is what follows, such as "rate: 2/s".
func line(id, services, more string) string {
	if more != "" {
		more = ", " + more
	}
	return fmt.Sprintf("- {id: %s, sha256: %x, services: %s%s}\n", id, sha256.Sum256([]byte(secret(id))), services, more)
}

func parse(t testing.TB, lines ...string) *List {
	t.Helper()
	list, err := ParseList("keys", []byte(strings.Join(lines, "")), testIssuers)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// testIssuers are the issuers of the tests' tokens.
var testIssuers = []Issuer{{Issuer: "https://login.lab", Audience: "mdp-gateway"}}

// authenticate shows the key of that id at a time.
func authenticate(s *Store, id string, at time.Time) (Pass, error) {
	return s.Authenticate(context.Background(), Shown{Authorization: []string{"Bearer " + secret(id)}}, at)
}

// kind returns the kind of an error, empty for none.
func kind(err error) gateway.Kind {
	if err == nil {
		return ""
	}
	return gateway.AsError(err).Kind
}

func TestAFaultyFileIsToldInOneLine(t *testing.T) {
	const (
		members = "id, owner, key, sha256, certificate, token, services, expires, rate, max_in_flight, max_jobs, metrics"
		entries = "want a list of principals such as {id, key, services}"
		digits  = "want the 64 hex digits of the key's SHA-256"
		names   = "want a service's name, in which * is any text"
		date    = "want a date such as 2027-02-01 or 2027-02-01T12:00:00Z"
		often   = "want 1 to 1000000 calls per s, m or h, such as 50/s"
	)
	good := line("good", "[echo]", "")
	for _, c := range []struct {
		file string
		line int
		want string
	}{
		{"", 1, "keys is empty, want at least one principal"},
		{"# nothing yet\n", 1, "keys is empty, want at least one principal"},
		{"[]", 1, "keys is empty, want at least one principal"},
		{"keys: []", 1, "keys is a mapping, " + entries},
		{"'text'", 1, `keys is "text", ` + entries},
		{secret("x"), 1, "keys is a key itself, " + entries},
		{good + "---\n" + good, 1, "the file has several documents, want one"},
		{"- {id: [}", 1, "yaml: did not find expected node content"},
		{strings.Repeat("- {}\n", 1001), 1, "keys has 1001 items, want at most 1000"},
		{good + "- good", 2, `keys[1] is "good", want keys and values`},
		{"\n- {}", 2, "keys[0] has no id, want a name for logs and metrics"},
		{"- {id: a}", 1, "keys[0] has no proof of who calls, want one of key, certificate, token"},
		{"- {id: a, sha256: }", 1, "keys[0] has no proof of who calls, want one of key, certificate, token"},
		{fmt.Sprintf("- {id: a, sha256: %064x}", 1), 1, `keys[0] has no services, want a list of names, or ["*"]`},
		{"- {id: a, secret: x}", 1, `keys[0].secret is no key here, want one of ` + members},
		{"- {" + secret("x") + ": a}", 1, "keys[0] has a key that is no plain text"},
		{"- {[id]: a}", 1, "keys[0] has a key that is no plain text"},
		{"- {id: a, id: b}", 1, "keys[0].id is there twice"},
		{"- {id: }\n- {id: a}", 1, "keys[0] has no id, want a name for logs and metrics"},
		{"- {id: _none}", 1, `keys[0].id is "_none", want ` + idWanted},
		{"- {id: ''}", 1, `keys[0].id is "", want ` + idWanted},
		{"- {id: " + strings.Repeat("a", 65) + "}", 1, `keys[0].id is "` + strings.Repeat("a", 60) + `", want ` + idWanted},
		{"- {id: " + secret("x") + "/}", 1, "keys[0].id is a key itself, want " + idWanted},
		{"- {id: [a]}", 1, "keys[0].id is a list, want " + idWanted},
		{"- {id: a, sha256: hunter2}", 1, "keys[0].sha256 is not what it should be, " + digits},
		{"- {id: a, sha256: " + secret("x") + "}", 1, "keys[0].sha256 is not what it should be, " + digits},
		{"- {id: a, sha256: [a]}", 1, "keys[0].sha256 is not what it should be, " + digits},
		{line("a", "echo", ""), 1, `keys[0].services is "echo", want a list of names, in which * is any text`},
		{line("a", "[]", ""), 1, `keys[0] has no services, want a list of names, or ["*"]`},
		{line("a", "[echo, a b]", ""), 1, `keys[0].services[1] is "a b", ` + names},
		{line("a", "[{}]", ""), 1, "keys[0].services[0] is a mapping, " + names},
		{line("a", "[ä]", ""), 1, `keys[0].services[0] is "ä", ` + names},
		{line("a", "[a]", "expires: soon"), 1, `keys[0].expires is "soon", ` + date},
		{line("a", "[a]", "expires: 2027-02-30"), 1, `keys[0].expires is "2027-02-30", ` + date},
		{line("a", "[a]", "expires: [2027-02-01]"), 1, "keys[0].expires is a list, " + date},
		{line("a", "[a]", "rate: 50"), 1, `keys[0].rate is "50", ` + often},
		{line("a", "[a]", "rate: 0/s"), 1, `keys[0].rate is "0/s", ` + often},
		{line("a", "[a]", "rate: 1.5/s"), 1, `keys[0].rate is "1.5/s", ` + often},
		{line("a", "[a]", "rate: 5/d"), 1, `keys[0].rate is "5/d", ` + often},
		{line("a", "[a]", "rate: 1000001/h"), 1, `keys[0].rate is "1000001/h", ` + often},
		{line("a", "[a]", "rate: {s: 5}"), 1, "keys[0].rate is a mapping, " + often},
		{line("a", "[a]", "max_in_flight: 0"), 1, `keys[0].max_in_flight is "0", want a whole number from 1 to 1000000`},
		{line("a", "[a]", "max_in_flight: many"), 1, `keys[0].max_in_flight is "many", want a whole number from 1 to 1000000`},
		{good + good, 2, `keys[1] has the id "good" of another principal, want one of its own`},
		{good + strings.Replace(good, "id: good", "id: again", 1), 2, `keys[1] has the sha256 of "good", want each key once`},
	} {
		_, err := ParseList("keys", []byte(c.file), testIssuers)
		var got *Error
		if !errors.As(err, &got) || got.Error() != c.want || got.Line != c.line {
			t.Errorf("%.80q:\n got %v\nwant %s in line %d", c.file, err, c.want, c.line)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows what may be a secret: %v", c.file, err)
		}
	}
}

func TestAFileHasAllThatItSays(t *testing.T) {
	got := parse(t,
		line("web-2026.11", `[echo, "lora_*"]`, "expires: 2027-02-01, rate: 50/m, max_in_flight: 20"),
		line("2", `["*"]`, "expires: 2027-02-01T12:00:00+01:00, rate: , max_in_flight: ~"),
		line("3", "&all ['*']", ""), line("4", "*all", ""),
		fmt.Sprintf("- {id: 5, owner: web, key: {sha256: %x}, services: ['*'], max_jobs: 7, metrics: true}\n", sha256.Sum256([]byte(secret("5")))),
		"- {id: 6, certificate: {uri: 'spiffe://lab/hall/*', dns: '*.Hall.lab', cn: 'Hall *'}, services: ['*']}\n",
		"- {id: 7, token: {issuer: https://login.lab, claims: {groups: students, email_verified: true, level: 3, realm_access: {roles: x*}}}, services: ['*']}\n",
	).Principals()
	key := func(id string) *Key { return &Key{sha256.Sum256([]byte(secret(id)))} }
	all := []string{"*"}
	want := []Principal{
		{
			ID: "web-2026.11", Key: key("web-2026.11"), Services: []string{"echo", "lora_*"},
			Expires: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC), Rate: Rate{50, time.Minute}, MaxInFlight: 20,
		},
		{ID: "2", Key: key("2"), Services: all, Expires: time.Date(2027, 2, 1, 11, 0, 0, 0, time.UTC)},
		{ID: "3", Key: key("3"), Services: all},
		{ID: "4", Key: key("4"), Services: all},
		{ID: "5", Owner: "web", Key: key("5"), Services: all, MaxJobs: 7, Metrics: true},
		{ID: "6", Certificate: &Certificate{URI: "spiffe://lab/hall/*", DNS: "*.hall.lab", CN: "Hall *"}, Services: all},
		{
			ID: "7", Services: all, Token: &Token{"https://login.lab", []Claim{
				{"groups", "students"}, {"email_verified", true}, {"level", 3}, {"realm_access", []Claim{{"roles", "x*"}}},
			}},
		},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d keys, want %d", len(got), len(want))
	}
	for i, k := range got {
		w := want[i]
		if !k.Expires.Equal(w.Expires) {
			t.Errorf("%s expires at %v, want %v", k.ID, k.Expires, w.Expires)
		}
		w.Expires = k.Expires
		if !reflect.DeepEqual(*k, w) {
			t.Errorf("got %+v, want %+v", *k, w)
		}
	}
}

func TestANewKeyIsRandomAndItsLineLetsItIn(t *testing.T) {
	first, _ := NewKey()
	second, hash := NewKey()
	if len(second) != len(prefix)+43 || !strings.HasPrefix(second, prefix) || first == second {
		t.Fatalf("got %q and %q, want two keys of 256 bits that begin with %s", first, second, prefix)
	}
	k := Principal{
		ID: "new", Key: &Key{hash}, Services: []string{"it's", "lora_*", "[x]", "a:b", "*"},
		Expires: time.Date(2027, 2, 1, 12, 0, 0, 0, time.UTC), Rate: Rate{50, time.Hour},
	}
	keys := parse(t, k.Line()+"\n")
	if got := keys.Principals()[0]; !reflect.DeepEqual(*got, k) {
		t.Errorf("%s is read as %+v, want %+v", k.Line(), *got, k)
	}
	pass, err := NewStore(keys, nil).Authenticate(t.Context(), Shown{Authorization: []string{"Bearer " + second}}, now)
	if err != nil || pass.ID != "new" {
		t.Errorf("the new key: got %+v, %v", pass, err)
	}
}

func TestMetricsAreForTheKeysThatSaySo(t *testing.T) {
	file := line("a", "[echo]", "") + line("b", "[echo]", "metrics: true") + fmt.Sprintf("- {id: c, sha256: %x, metrics: true}\n", sha256.Sum256([]byte(secret("c"))))
	s := NewStore(parse(t, file), nil)
	for id, want := range map[string][2]bool{"a": {false, true}, "b": {true, true}, "c": {true, false}} { // metrics, echo
		pass, err := authenticate(s, id, now)
		if got := [2]bool{pass.MayReadMetrics(), pass.May("echo")}; err != nil || got != want {
			t.Errorf("%s: may read metrics and call echo: got %v, %v, want %v", id, got, err, want)
		}
	}
	if pass, _ := authenticate(s, "x", now); pass.MayReadMetrics() {
		t.Error("a key that is not known may read metrics")
	}
	if pass, _ := new(Store).Authenticate(t.Context(), Shown{}, now); !pass.MayReadMetrics() {
		t.Error("without keys nobody may read metrics")
	}
}

func TestOnlyOneValidBearerTokenIsAccepted(t *testing.T) {
	s := NewStore(parse(t, line("a", "[echo]", ""), line("b", "[echo]", ""), line("old", "[echo]", "expires: 2027-01-15")), nil)
	a := secret("a")
	for _, c := range []struct {
		headers    []string
		id, result string
		detail     string
	}{
		{[]string{"Bearer " + a}, "a", OK, ""},
		{[]string{"bearer  " + a + " "}, "a", OK, ""},
		{[]string{"BEARER " + secret("b")}, "b", OK, ""},
		{nil, Nobody, Missing, "the request has no key; send it as Authorization: Bearer <key>"},
		{[]string{""}, Unknown, Invalid, "the key is not valid"},
		{[]string{"Bearer"}, Unknown, Invalid, "the key is not valid"},
		{[]string{"Bearer "}, Unknown, Invalid, "the key is not valid"},
		{[]string{a}, Unknown, Invalid, "the key is not valid"},
		{[]string{"Basic " + a}, Unknown, Invalid, "the key is not valid"},
		{[]string{"Bearer\t" + a}, Unknown, Invalid, "the key is not valid"},
		{[]string{"Bearer " + a + "x"}, Unknown, Invalid, "the key is not valid"},
		{[]string{"Bearer " + a[:len(a)-1]}, Unknown, Invalid, "the key is not valid"},
		{[]string{"Bearer " + strings.ToUpper(a)}, Unknown, Invalid, "the key is not valid"},
		{[]string{fmt.Sprintf("Bearer %x", sha256.Sum256([]byte(a)))}, Unknown, Invalid, "the key is not valid"},
		{[]string{"Bearer " + a + strings.Repeat(" ", 300)}, "a", OK, ""},
		{[]string{"Bearer " + strings.Repeat("a", 10_000)}, Unknown, Invalid, "the key is not valid"},
		{[]string{"Bearer " + a, "Bearer " + a}, Unknown, Invalid, "the key is not valid"},
		{[]string{"Bearer " + secret("old")}, "old", Expired, "the key has expired"},
	} {
		pass, err := s.Authenticate(t.Context(), Shown{Authorization: c.headers}, now)
		var want gateway.Kind
		if c.result != OK {
			want = gateway.Unauthorized
		}
		if pass.ID != c.id || pass.Result != c.result || kind(err) != want || err != nil && gateway.AsError(err).Detail != c.detail {
			t.Errorf("%.80q: got %s %s %v, want %s %s %s", c.headers, pass.ID, pass.Result, err, c.id, c.result, c.detail)
		}
		if may := pass.May("echo"); may != (c.result == OK) {
			t.Errorf("%.80q: may call: got %v", c.headers, may)
		}
	}
}

func TestAKeyExpiresAtTheBeginningOfItsDay(t *testing.T) {
	s := NewStore(parse(t, line("a", "[echo]", "expires: 2027-02-01")), nil)
	day := time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	for at, want := range map[time.Time]gateway.Kind{day.Add(-1): "", day: gateway.Unauthorized, day.AddDate(10, 0, 0): gateway.Unauthorized} {
		if _, err := authenticate(s, "a", at); kind(err) != want {
			t.Errorf("at %v: got %v, want %q", at, err, want)
		}
	}
	if got := s.Expiries(); len(got) != 1 || !got["a"].Equal(day) {
		t.Errorf("the expiries are %v, want that of a", got)
	}
}

func TestWithoutKeysEverythingIsAllowed(t *testing.T) {
	for _, s := range []*Store{new(Store), NewStore(nil, nil)} {
		pass, err := s.Authenticate(t.Context(), Shown{}, now)
		if s.Enabled() || err != nil || pass != (Pass{}) || !pass.May("echo") || pass.Check("echo") != nil {
			t.Fatalf("got %+v, %v, want a pass for everything", pass, err)
		}
		leave, err := pass.Enter(now)
		if err != nil {
			t.Fatal(err)
		}
		leave()
	}
}

func TestAKeyIsForTheServicesThatItsGlobsMatch(t *testing.T) {
	for _, c := range []struct{ glob, yes, no string }{
		{"echo", "echo", "ech echoo Echo xecho"},
		{"*", "a echo a/b [ *", ""},
		{"lora_*", "lora_ lora_decode lora_a/b", "lora xlora_a LORA_a"},
		{"*_decode", "_decode lora_decode a_decode_decode", "decode lora_decoder"},
		{"a*b*c", "abc aXbXc abbcc abcabc", "ab acb abcd xabc"},
		{"??", "ab ** /.", "a abc"},
		{"a?", "ab a* a?", "a abc ba"},
		{"?*", "a ab", ""},
		{"[ab]", "[ab]", "a b"},
		{`\*`, `\* \a`, "* a"},
		{"a/*", "a/ a/b a/b/c", "a ab"},
		{"*a*a*a*a*b", "aaaab aaaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	} {
		k := Principal{Services: []string{"never-this-one", c.glob}}
		pass := Pass{ID: "k", Result: OK, principal: &k}
		for _, name := range strings.Fields(c.yes) {
			if err := pass.Check(name); err != nil {
				t.Errorf("%s, %s: got %v, want it allowed", c.glob, name, err)
			}
		}
		for _, name := range strings.Fields(c.no) {
			if err := pass.Check(name); kind(err) != gateway.Forbidden || gateway.AsError(err).Service != name {
				t.Errorf("%s, %s: got %v, want forbidden", c.glob, name, err)
			}
		}
	}
}

func TestAHostileGlobDoesNotTakeLong(t *testing.T) {
	glob, name := strings.Repeat("*a", 127)+"b", strings.Repeat("a", mdp.MaxServiceName)
	for range 1_000 { // if it took exponential time, not even one would end
		if match(glob, name) {
			t.Fatalf("%s matches %s", glob, name)
		}
	}
}

func TestARateAllowsABurstAndThenAsMuchInEachPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStore(parse(t, line("a", "[echo]", "rate: 6/m"), line("b", "[echo]", "rate: 1/h")), nil)
		take := func(id string) int {
			pass, err := authenticate(s, id, now)
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; ; n++ {
				leave, err := pass.Enter(time.Now())
				if err != nil {
					if e := gateway.AsError(err); e.Kind != gateway.RateLimited || e.Reason != gateway.ReasonRate || e.Executed() != gateway.No {
						t.Fatalf("got %v, want rate_limited with the reason rate", err)
					}
					return n
				}
				leave()
			}
		}
		for _, c := range []struct {
			after time.Duration
			a, b  int
		}{{0, 6, 1}, {0, 0, 0}, {10 * time.Second, 1, 0}, {30 * time.Second, 3, 0}, {59 * time.Minute, 6, 0}, {time.Minute, 6, 1}, {10 * time.Hour, 6, 1}} {
			<-time.After(c.after)
			if a, b := take("a"), take("b"); a != c.a || b != c.b {
				t.Errorf("%v later: got %d and %d calls, want %d and %d", c.after, a, b, c.a, c.b)
			}
		}
	})
}

func TestAKeyHasItsShareOfCallsInFlight(t *testing.T) {
	s := NewStore(parse(t, line("a", "[echo]", "max_in_flight: 3"), line("b", "[echo]", "max_in_flight: 1")), nil)
	a, _ := authenticate(s, "a", now)
	b, _ := authenticate(s, "b", now)
	var leave []func()
	for range 3 {
		l, err := a.Enter(now)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	if _, err := a.Enter(now); kind(err) != gateway.RateLimited {
		t.Errorf("the fourth call of a: got %v, want rate_limited", err)
	}
	if l, err := b.Enter(now); err != nil {
		t.Errorf("b, while a is full: got %v", err)
	} else {
		l()
	}
	leave[1]()
	if l, err := a.Enter(now); err != nil {
		t.Errorf("a, once a call has ended: got %v", err)
	} else {
		l()
	}
}

func TestAShareIsNeverExceededByManyAtOnce(t *testing.T) {
	s := NewStore(parse(t, line("a", "[echo]", "max_in_flight: 5")), nil)
	pass, err := authenticate(s, "a", now)
	if err != nil {
		t.Fatal(err)
	}
	var inFlight, most, refused atomic.Int64
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			for range 200 {
				leave, err := pass.Enter(now)
				if err != nil {
					refused.Add(1)
					continue
				}
				n := inFlight.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				inFlight.Add(-1)
				leave()
			}
		})
	}
	callers.Wait()
	if most.Load() > 5 {
		t.Errorf("%d calls were in flight at once, want at most 5", most.Load())
	}
	if _, err := pass.Enter(now); err != nil {
		t.Errorf("after all have left: got %v", err)
	}
}

func TestASwapIsARotation(t *testing.T) {
	s := NewStore(parse(t, line("old", "[echo]", "")), nil)
	for _, step := range []struct {
		keys     *List
		old, new gateway.Kind
	}{
		{nil, "", gateway.Unauthorized},
		{parse(t, line("old", "[echo]", ""), line("new", "[echo]", "")), "", ""},
		{parse(t, line("new", "[echo]", "")), gateway.Unauthorized, ""},
	} {
		if step.keys != nil {
			s.Swap(step.keys)
		}
		_, oldErr := authenticate(s, "old", now)
		_, newErr := authenticate(s, "new", now)
		if kind(oldErr) != step.old || kind(newErr) != step.new {
			t.Errorf("got %v and %v, want %q and %q", oldErr, newErr, step.old, step.new)
		}
	}
	s.Swap(nil)
	if _, err := authenticate(s, "old", now); err != nil || s.Enabled() {
		t.Errorf("without keys: got %v, want everything allowed", err)
	}
}

// What a key has in use must outlive a reload, or each would give everybody a
// fresh rate, and calls in flight would be counted twice or never.
func TestASwapKeepsWhatAKeyHasInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStore(parse(t, line("a", "[echo]", "rate: 2/h, max_in_flight: 2")), nil)
		before, _ := authenticate(s, "a", now)
		leave, err := before.Enter(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		s.Swap(parse(t, line("a", "[other]", "rate: 2/h, max_in_flight: 1")))
		after, _ := authenticate(s, "a", now)
		if after.May("echo") || !after.May("other") || !before.May("echo") {
			t.Error("the new services hold for old requests, or not for new ones")
		}
		if _, err := after.Enter(time.Now()); kind(err) != gateway.RateLimited {
			t.Errorf("with a call in flight from before: got %v, want rate_limited", err)
		}
		leave()
		if leave, err = after.Enter(time.Now()); err != nil {
			t.Fatalf("after that call: got %v", err)
		}
		leave()
		if _, err := after.Enter(time.Now()); kind(err) != gateway.RateLimited {
			t.Errorf("after the two calls of this hour: got %v, want rate_limited", err)
		}
		s.Swap(parse(t, line("a", "[other]", "")))
		free, _ := authenticate(s, "a", now)
		for range 100 {
			if _, err := free.Enter(time.Now()); err != nil {
				t.Fatalf("without limits: got %v", err)
			}
		}
		s.Swap(parse(t, line("a", "[other]", "rate: 3/h")))
		limited, _ := authenticate(s, "a", now)
		calls := 0
		for ; calls < 100; calls++ {
			if _, err := limited.Enter(time.Now()); err != nil {
				break
			}
		}
		if calls != 3 {
			t.Errorf("with a limit again: got %d calls, want 3", calls)
		}
	})
}

func TestSwapsAndRequestsDoNotMeet(t *testing.T) {
	one, both := parse(t, line("a", "[echo]", "rate: 1000000/s")), parse(t, line("a", "[echo]", ""), line("b", "['*']", ""))
	s := NewStore(one, nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				pass, err := authenticate(s, "a", now)
				if err != nil {
					t.Error(err)
					return
				}
				if leave, err := pass.Enter(now); err == nil {
					leave()
				}
				s.Expiries()
			}
		})
	}
	all.Go(func() {
		for i := range 500 {
			s.Swap([]*List{one, both}[i%2])
		}
	})
	all.Wait()
}

func FuzzAFileIsReadOrRefusedInOneLine(f *testing.F) {
	for _, seed := range []string{
		"", "[]", "- {}", "- &a {id: *a}", line("a", "[echo]", "rate: 5/s"), "- {id: a, sha256: x", "? - :", "- {<<: {id: a}}",
		line("a", "['*']", "expires: 2027-02-01, max_in_flight: 2") + line("b", "[a]", ""), "\x00", "&a [*a]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		keys, err := ParseList("keys", file, testIssuers)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || strings.ContainsAny(e.Text, "\n\r") || e.Line < 0 {
				t.Fatalf("the error is %#v, want one line", err)
			}
			return
		}
		for _, k := range keys.Principals() {
			if CheckID(k.ID) != nil || len(k.Services) == 0 || k.Rate.Calls < 0 || k.MaxInFlight < 0 {
				t.Errorf("%q is read as %+v", file, *k)
			}
		}
		if !NewStore(keys, nil).Enabled() {
			t.Errorf("%q is read as no keys", file)
		}
	})
}

// A glob must match as a regular reading of it says.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"*", ""}, {"a*b", "ab"}, {"?*?", "xy"}, {"**a", "ba"}, {"a**", "a"}, {"*ab*ab", "abab"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, glob, name string) {
		if len(glob) > 12 || len(name) > 12 {
			return // the slow way takes too long
		}
		if got, want := match(glob, name), slowly(glob, name); got != want {
			t.Errorf("match(%q, %q) is %v, want %v", glob, name, got, want)
		}
	})
}

// slowly is match by its definition.
func slowly(glob, name string) bool {
	switch {
	case glob == "":
		return name == ""
	case glob[0] == '*':
		return slowly(glob[1:], name) || name != "" && slowly(glob, name[1:])
	case name == "":
		return false
	}
	return (glob[0] == '?' || glob[0] == name[0]) && slowly(glob[1:], name[1:])
}

func BenchmarkAuthenticate(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		lines := make([]string, n)
		for i := range lines {
			lines[i] = line(fmt.Sprint("key-", i), "[echo]", "rate: 1000000/s")
		}
		s := NewStore(parse(b, lines...), nil)
		header := []string{"Bearer " + secret("key-0")}
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Authenticate(b.Context(), Shown{Authorization: header}, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
