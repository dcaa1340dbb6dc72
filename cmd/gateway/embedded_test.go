package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
)

// An event is one line of a stream as NDJSON.
type event struct {
	Event  string
	Seq    int
	Frames []struct{ Data, Encoding string }
}

func TestABurstOfPartsReachesItsCallerWhole(t *testing.T) {
	const parts, rounds = 10_000, 5
	g := start(t)
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	client := newClient(t)
	for range rounds {
		a := request(t, client, http.MethodPost, g.url+"/services/stream", "application/json",
			fmt.Sprintf(`{"body":%q}`, strconv.Itoa(parts)), "Accept", "application/x-ndjson")
		seq := 0
		for lines := bufio.NewScanner(bytes.NewReader(a.body)); lines.Scan(); {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatalf("%s: %v", lines.Bytes(), err)
			}
			if e.Event == "ping" {
				continue
			}
			want, kind := strconv.Itoa(seq+1), "partial"
			if seq == parts {
				want, kind = strconv.Itoa(parts), "final"
			}
			if e.Event != kind || e.Seq != seq || len(e.Frames) == 0 || e.Frames[0].Data != want {
				t.Fatalf("got %s, want %s %d of %s", lines.Bytes(), kind, seq, want)
			}
			seq++
		}
		if seq != parts+1 {
			t.Fatalf("got %d events, want %d", seq, parts+1)
		}
	}
}
