package broker

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
)

// fromGateway makes a message of a peer that speaks MDPX/1. Transcripts write them so:
//
//	> g1 REQUEST id=1 service=echo ttl=5s body=a|b    ttl is a minute if it is left out
//	> g1 CANCEL id=1
//	> g1 WATCH
//	> g1 HEARTBEAT
//	< g1 PARTIAL id=1 body=a
//	< g1 FINAL id=1 body=a
//	< g1 REFUSED id=1 code=queue_full
//	< g1 GONE id=1 code=worker_lost
//	< g1 SERVICES echo=3/2/1 gone=0/0/0               workers, busy, queued
//	< g1 HEARTBEAT
//	< g1 ENDED                                        the broker ended the connection
func (tr *transcript) fromGateway(command string, a map[string]string, body [][]byte) [][]byte {
	n, err := strconv.ParseUint("0"+a["id"], 10, 64)
	if err != nil {
		tr.fatalf("%v", err)
	}
	id, ttl := mdpx.NumberID(n), mdpx.NewTTL(time.Minute)
	switch command {
	case "REQUEST":
		if a["ttl"] != "" {
			d, err := time.ParseDuration(a["ttl"])
			if err != nil {
				tr.fatalf("%v", err)
			}
			ttl = mdpx.NewTTL(d)
		}
		frames, err := mdpx.AppendRequest(nil, &id, &ttl, []byte("name"), body)
		if err != nil {
			tr.fatalf("%v", err)
		}
		frames[3] = []byte(a["service"]) // also what AppendRequest refuses
		return frames
	case "CANCEL":
		return mdpx.AppendCancel(nil, &id)
	case "WATCH":
		return mdpx.AppendWatch(nil)
	case "HEARTBEAT":
		return mdpx.AppendHeartbeat(nil)
	}
	tr.fatalf("a gateway sends no %s", command)
	return nil
}

func describeToGateway(frames [][]byte) string {
	m, err := mdpx.ParseFromBroker(frames)
	if err != nil {
		return mdp.Show(frames) // ENDED
	}
	id := fmt.Sprint(binary.BigEndian.Uint64(m.ID[:]))
	switch m.Command {
	case mdpx.Partial:
		return fmt.Sprintf("PARTIAL id=%s body=%s", id, quote(m.Body))
	case mdpx.Final:
		return fmt.Sprintf("FINAL id=%s body=%s", id, quote(m.Body))
	case mdpx.Refused:
		return fmt.Sprintf("REFUSED id=%s code=%s", id, m.Code)
	case mdpx.Gone:
		return fmt.Sprintf("GONE id=%s code=%s", id, m.Code)
	case mdpx.Services:
		words := []string{"SERVICES"}
		for _, s := range m.Services {
			words = append(words, fmt.Sprintf("%s=%d/%d/%d", s.Name, s.Workers, s.Busy, s.Queued))
		}
		return strings.Join(words, " ")
	}
	return "HEARTBEAT"
}

// checkMuxes fails the test if the connections that carry many requests contradict the rest.
func checkMuxes(t *testing.T, s *state) {
	t.Helper()
	open := map[*request]bool{}
	add := func(r *request) {
		if r != nil && r.mux != nil && !r.over {
			open[r] = true
		}
	}
	for _, w := range s.workers {
		add(w.request)
	}
	for _, left := range s.crossed {
		add(left.request)
	}
	for _, r := range s.deadlines.heap {
		add(r)
	}
	for id, x := range s.muxes {
		if string(x.client) != id {
			t.Fatalf("the mux of %q is that of %q", id, x.client)
		}
		for id, r := range x.calls {
			if r.id != id || r.mux != x || !open[r] {
				t.Fatalf("call %x of %q is over (%v), of another, or nobody has it", id, x.client, r.over)
			}
			delete(open, r)
		}
	}
	for r := range open {
		t.Fatalf("call %x of %q has not ended, and is forgotten", r.id, r.client)
	}
}
