package main

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/certs/certstest"
)

// A rotation is a gateway whose callers call all the time while its secrets are replaced.
type rotation struct {
	*reloaded
	t         *testing.T
	authority *certstest.Authority // of the gateway's certificate
	key       atomic.Pointer[string]
	pair      atomic.Pointer[certstest.Pair]
	stop      atomic.Bool
	callers   sync.WaitGroup
	made      [8]atomic.Int64 // calls, by caller
	failed    atomic.Int64
}

// call makes calls until the rotation ends: with the key or with the certificate of the moment, over connections that
// live for some calls.
func (r *rotation) call(i int) {
	withKey := i%2 == 0
	var client *http.Client
	var shownPair *certstest.Pair
	for n := 0; !r.stop.Load(); n++ {
		if pair := r.pair.Load(); client == nil || n%10 == 0 || pair != shownPair {
			if client != nil {
				client.CloseIdleConnections()
			}
			shownPair = pair
			if withKey {
				client = secureClient(r.t, i%4 == 0, r.authority)
			} else {
				client = secureClient(r.t, i%4 == 1, r.authority, *pair)
			}
		}
		req, err := http.NewRequest("POST", r.url+"/services/echo", strings.NewReader(`{"body":"hi"}`))
		if err != nil {
			r.t.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		if withKey {
			req.Header.Set("Authorization", "Bearer "+*r.key.Load())
		}
		if a, err := do(client, req); err != nil || a.status != http.StatusOK {
			r.failed.Add(1)
			r.t.Errorf("a call failed: %d %s %v", a.status, a.body, err)
		}
		r.made[i].Add(1)
		<-time.After(5 * time.Millisecond)
	}
}

// goesOn waits until every caller has made some more calls, so that none still uses what was before.
func (r *rotation) goesOn(step string) {
	r.t.Helper()
	var before [len(r.made)]int64
	for i := range r.made {
		before[i] = r.made[i].Load()
	}
	eventually(r.t, step+": every caller goes on", func() bool {
		for i := range r.made {
			if r.made[i].Load() < before[i]+3 {
				return false
			}
		}
		return true
	})
}

// put writes files and has the gateway read them.
func (r *rotation) put(step string, files map[string][]byte) {
	r.t.Helper()
	for name, data := range files {
		certstest.Write(r.t, r.dir, name, data)
	}
	if line := r.hangUp(r.t); line["level"] == "error" {
		r.t.Errorf("%s: %v", step, line)
	}
	r.goesOn(step)
}

// Each secret is replaced as docs/security.md says, while calls are made: by key and by certificate, over new and old
// connections, by both protocols.
func TestEverySecretIsReplacedUnderLoadAndNoCallFails(t *testing.T) {
	oldKey, oldEntry := newKey(t, "web-2026-11")
	nextKey, nextEntry := newKey(t, "web-2027-02")
	const hall = "- {id: hall, certificate: {dns: '*.hall.lab'}, services: ['*']}\n"
	oldCA, nextCA := certstest.New(t, "lab"), certstest.New(t, "lab 2")
	oldPair, nextPair := oldCA.Client("a.hall.lab"), nextCA.Client("a.hall.lab")
	r := &rotation{t: t, authority: certstest.New(t, "public")}
	server := r.authority.Server()
	r.reloaded = startWith(t, `
access-file: DIR/access.yaml
tls-cert: DIR/tls.crt
tls-key: DIR/tls.key
tls-client-ca: DIR/ca.crt
tls-client-auth: request
tls-client-crl: DIR/ca.crl
`, map[string]string{
		"access.yaml": oldEntry + hall, "tls.crt": string(server.PEM), "tls.key": string(server.Key),
		"ca.crt": string(oldCA.PEM), "ca.crl": string(oldCA.Revoke()),
	})
	r.key.Store(&oldKey)
	r.pair.Store(&oldPair)
	eventually(t, "the demo worker is there", func() bool {
		return request(t, secureClient(t, false, r.authority, oldPair), "POST", r.url+"/services/echo", "application/json", `{}`).status == 200
	})
	for i := range r.made {
		r.callers.Go(func() { r.call(i) })
	}
	r.goesOn("at first")

	next := r.authority.Server()
	r.put("the gateway's certificate", map[string][]byte{"tls.crt": next.PEM, "tls.key": next.Key})

	r.put("a second key", map[string][]byte{"access.yaml": []byte(oldEntry + nextEntry + hall)})
	r.key.Store(&nextKey)
	r.goesOn("callers have the second key")
	r.put("the first key is gone", map[string][]byte{"access.yaml": []byte(nextEntry + hall)})

	both := func(a, b []byte) []byte { return append(append([]byte(nil), a...), b...) }
	lists := both(oldCA.Revoke(), nextCA.Revoke())
	r.put("a second authority", map[string][]byte{"ca.crt": both(oldCA.PEM, nextCA.PEM), "ca.crl": lists})
	r.pair.Store(&nextPair)
	r.goesOn("callers have its certificates")
	r.put("the first authority is gone", map[string][]byte{"ca.crt": nextCA.PEM, "ca.crl": nextCA.Revoke()})

	lost := nextCA.Client("b.hall.lab")
	r.put("a certificate is revoked", map[string][]byte{"ca.crl": nextCA.Revoke(lost)})

	r.stop.Store(true)
	r.callers.Wait()
	var calls int64
	for i := range r.made {
		calls += r.made[i].Load()
	}
	t.Logf("%d calls, %d failed", calls, r.failed.Load())
	post := func(header []string, pairs ...certstest.Pair) int {
		req, err := http.NewRequest("POST", r.url+"/services/echo", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if header != nil {
			req.Header.Set(header[0], header[1])
		}
		a, err := do(secureClient(t, false, r.authority, pairs...), req)
		if err != nil {
			return 0
		}
		return a.status
	}
	if got := post([]string{"Authorization", "Bearer " + oldKey}); got != 401 {
		t.Errorf("the first key: got %d, want 401", got)
	}
	for name, pair := range map[string]certstest.Pair{"of the first authority": oldPair, "that was revoked": lost} {
		if got := post(nil, pair); got != 0 {
			t.Errorf("a certificate %s: got %d, want none", name, got)
		}
	}
}
