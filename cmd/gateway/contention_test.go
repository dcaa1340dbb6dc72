package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestProfilesOfContentionSampleWhileTheyAreAsked lets goroutines of this process,
// which is the gateway's, wait for each other.
func TestProfilesOfContentionSampleWhileTheyAreAsked(t *testing.T) {
	g := start(t, "--admin-listen", "127.0.0.1:0")
	stop := make(chan struct{})
	var contending sync.WaitGroup
	var mu sync.Mutex
	for range 4 {
		contending.Go(func() { contend(&mu, stop) })
	}
	defer contending.Wait()
	defer close(stop)
	for _, name := range []string{"block", "mutex"} {
		a := request(t, newClient(t), http.MethodGet, g.admin+"/debug/pprof/"+name+"?seconds=1", "", "")
		unpacked, err := gzip.NewReader(bytes.NewReader(a.body))
		if err != nil {
			t.Fatalf("%s: got %d %q, %v", name, a.status, a.body, err)
		}
		if profile, err := io.ReadAll(unpacked); err != nil || !strings.Contains(string(profile), "gateway.contend") {
			t.Errorf("%s: the profile does not name who waits, %v", name, err)
		}
	}
}

func contend(mu *sync.Mutex, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		mu.Lock()
		_ = bytes.Repeat([]byte("x"), 1<<16)
		mu.Unlock()
	}
}
