package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A job takes longer than nginx waits for an answer. Its reply comes through this nginx, while that of a call that
// holds its connection does not. The documented 60 s are 3 s here, and the 50 s that a request may wait for a job are
// half a second.
func TestAJobTakesLongerThanItsProxyWaits(t *testing.T) {
	t.Parallel()
	server := fmt.Sprintf("127.%d.%d.1:18080", 1+rand.IntN(250), rand.IntN(250))
	g := startGateway(t, "--listen", server, "--embedded-bind", "tcp://127.0.0.1:*", "--allowed-hosts", "*", "--jobs", "memory",
		"--jobs-max-wait", "500ms")
	g.works("sleep")
	proxy := startNginx(t, jobsPage, []string{server}, "proxy_read_timeout 60s", "proxy_read_timeout 3s")

	held := make(chan answer, 1)
	go func() {
		a, _ := post(context.Background(), newClient(t, false), proxy, "sleep?timeout=1m", "1m")
		held <- a
	}()
	job := askJSON(t, g.client, http.MethodPost, proxy+"/services/sleep", `{"body":"4s"}`, http.StatusAccepted)
	path := fmt.Sprintf("%s/jobs/%v", proxy, job["id"])
	passed := 0 // requests that waited, came through the proxy and found the job at work
	eventually(t, "the job is done", func() bool {
		job = askJSON(t, g.client, http.MethodGet, path+"?wait=50s", "", http.StatusOK)
		passed++
		return job["state"] == "done"
	})
	if passed < 2 {
		t.Error("no request that waits came through the proxy while the job was at work")
	}
	if reply := askJSON(t, g.client, http.MethodGet, path+"/reply", "", http.StatusOK); !strings.Contains(fmt.Sprint(reply), "4s") {
		t.Errorf("its reply is %v, want 4s", reply)
	}
	if a := <-held; a.status != http.StatusGatewayTimeout || a.code != "" {
		t.Errorf("a call that held its connection: %v, want the proxy's own 504", a)
	}
}

// askJSON makes a request that prefers a job, and returns the object that it is answered with. An answer of another
// status fails the test, unless it is a proxy's 504: then the request is made again, as its every client would.
func askJSON(t *testing.T, client *http.Client, method, url, body string, status int) (object map[string]any) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Prefer", "respond-async")
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode == http.StatusGatewayTimeout && time.Now().Before(end) {
			continue // the machine is slow
		}
		if err != nil || response.StatusCode != status {
			t.Fatalf("%s %s: %d %s (error %v), want %d", method, url, response.StatusCode, raw, err, status)
		}
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatal(err)
		}
		return object
	}
}
