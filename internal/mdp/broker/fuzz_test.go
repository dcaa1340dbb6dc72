package broker

import (
	"fmt"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
)

// script reads a fuzzer's bytes as a story for a state: a few peers that send
// well-formed messages and rubbish, break, come back, and let time pass.
type script struct {
	bytes  []byte
	state  *state
	now    time.Time
	broken [8]error
	breaks int // how often peers broke off
	tokens int
	token  []byte // of the last request
}

func (s *script) next() byte {
	if len(s.bytes) == 0 {
		return 0
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return b
}

func (s *script) frame() []byte {
	n := min(int(s.next())%12, len(s.bytes))
	frame := s.bytes[:n:n]
	s.bytes = s.bytes[n:]
	return frame
}

func (s *script) newToken() []byte {
	s.tokens++
	return fmt.Append(nil, s.tokens)
}

// connection returns one that has ended once the peers broke off often enough.
func (s *script) connection() connection {
	before := s.breaks
	return until(func() bool { return s.breaks > before+1 })
}

func (s *script) send(frames [][]byte) error {
	if err := s.broken[frames[0][0]%8]; err != nil {
		return err
	}
	for _, d := range mdp.Presets()[:4] {
		if m, err := d.ParseWorker(frames[1:]); err == nil && m.Command == mdp.Work {
			s.token = append(s.token[:0], m.Client...)
		}
	}
	return nil
}

// step does one thing.
func (s *script) step() {
	op := s.next()
	id := []byte{'0' + op>>5}
	which := s.next() % 4
	d := mdp.Presets()[which]
	service := []byte{'a' + s.next()%4}
	message := func(frames [][]byte) { s.state.receive(s.now, append([][]byte{id}, frames...)) }
	switch op % 16 {
	case 0, 1, 2:
		request, _ := d.AppendRequest(nil, service, [][]byte{s.frame()})
		message(request)
	case 3, 4:
		message(d.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Ready, Service: service}))
	case 5, 6, 7:
		message(d.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Final, Client: s.token, Body: [][]byte{s.frame()}}))
	case 8:
		for range s.next() % 4 {
			message(mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Partial, Client: s.token}))
		}
		message(mdp.V02.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Partial, Client: s.token}))
	case 9:
		message(d.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Heartbeat}))
	case 10:
		message(d.AppendWorker(nil, mdp.WorkerMessage{Command: mdp.Disconnect}))
	case 11:
		lookup, _ := d.AppendLookup(nil, service)
		message(lookup)
	case 12:
		s.breaks++
		s.broken[id[0]%8] = [...]error{nil, errGone, errSlow, nil}[which]
	case 13:
		s.now = s.now.Add(time.Duration(s.next()) * 100 * time.Millisecond)
		s.state.tick(s.now)
	case 14:
		var frames [][]byte
		for range s.next() % 8 {
			frames = append(frames, s.frame())
		}
		s.state.receive(s.now, frames)
	case 15:
		header := [][]byte{nil, d.Header, []byte("MDPW01"), []byte("W01"), []byte("MDPW02")}[s.next()%5]
		message([][]byte{header, s.frame(), s.frame()})
		message([][]byte{nil, header, s.frame(), s.frame(), s.frame()})
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte("\x03\x00\x00\x20\x00\x00\x02hi\x05\x00\x00\x02hi"))
	f.Add([]byte("\x00\x01\x01\x03abc\x23\x01\x01\x2d\x00\x00\xff\x2d\x00\x00\xff"))
	f.Add([]byte("\x03\x00\x00\x23\x00\x00\x43\x02\x00\x00\x00\x00\x01a\x40\x00\x00\x01b\x0a\x00\x00\x2c\x01\x00\x2d\x00\x00\x40"))
	f.Add([]byte("\x0e\x00\x00\x07\x00\x06MDPC01\x04echo\x02hi\x0f\x01\x00\x01\x01\x01\x0b"))
	f.Fuzz(func(t *testing.T, story []byte) {
		for redispatch := range 2 {
			s := &script{bytes: story, now: time.Unix(0, 0)}
			cfg := Config{QueueMax: 6, ServiceQueueMax: 4, QueueBytes: 1000, OutboxBytes: 3000, Expiry: 20 * time.Second, Redispatch: redispatch}
			s.state = newState(cfg.withDefaults(), s.now, shell{send: s.send, newToken: s.newToken, connection: s.connection})
			for len(s.bytes) > 0 {
				s.step()
				checkState(t, s.state)
				if next := s.state.next(); next.Before(s.now.Add(-time.Minute)) {
					t.Fatalf("the next tick is %s ago", s.now.Sub(next))
				}
			}
			s.state.close()
			// Once everybody is silent and reads, nothing is left.
			clear(s.broken[:])
			for range 1000 {
				s.now = s.state.next()
				s.state.tick(s.now)
			}
			if n := len(s.state.workers) + len(s.state.services) + len(s.state.outboxes) + len(s.state.deadlines.heap); n > 0 {
				t.Fatalf("%d workers, services, outboxes and requests are left", n)
			}
		}
	})
}
