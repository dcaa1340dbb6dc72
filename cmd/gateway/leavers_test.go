package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// A caller who calls and leaves holds the places of its key until the work has ended: it could
// otherwise fill all workers.
func TestACallerWhoLeavesKeepsTheKeysPlaceUntilTheWorkEnds(t *testing.T) {
	secret, entry := newKey(t, "narrow")
	entry = strings.Replace(entry, "services: ", "metrics: true, max_in_flight: 1, services: ", 1)
	key := []string{"Authorization", "Bearer " + secret}
	g := startWith(t, "keys-file: DIR/keys.yaml\n", map[string]string{"keys.yaml": entry})
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`, key...).status == http.StatusOK })

	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/services/sleep", strings.NewReader(`{"body":"4s"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(key[0], key[1])
	left := make(chan struct{})
	go func() {
		defer close(left)
		if a, err := newClient(t).Do(r); err == nil {
			a.Body.Close()
			t.Errorf("the caller who left got %d", a.StatusCode)
		}
	}()
	eventually(t, "the call is sent", func() bool { return g.metric(t, `pool_connections{state="busy"}`, key...) == "1" })
	leave()
	<-left
	eventually(t, "the call is given up", func() bool { return g.metric(t, `orphaned_requests{service="sleep"}`, key...) == "1" })
	problem(t, g.post("echo", `{}`, key...), 429, "rate_limited", "no")
	eventually(t, "the work has ended", func() bool { return g.post("echo", `{}`, key...).status == http.StatusOK })
}
