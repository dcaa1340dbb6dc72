package broker

import (
	"fmt"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
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
	calls  map[string]*call
	given  connection // is the next one, if it is not nil
}

// A call is a request of MDPX/1, by its peer and id.
type call struct {
	connection connection // that it came over
	answers    int
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
	if s.given != nil {
		return s.given
	}
	return &brittle{script: s, before: s.breaks}
}

type brittle struct {
	script *script
	before int
	ended  bool
}

func (b *brittle) Ended() bool { return b.ended || b.script.breaks > b.before+1 }
func (b *brittle) End()        { b.ended = true }

func (b *brittle) Received() uint64 { return uint64(b.script.next()) << 8 }

func (s *script) send(frames [][]byte) error {
	if err := s.broken[frames[0][0]%8]; err != nil {
		if x := s.state.muxes[string(frames[0])]; x != nil && err == errGone {
			x.connection.End() // or the socket would know the peer
		}
		return err
	}
	if m, err := mdpx.ParseFromBroker(frames[1:]); err == nil {
		switch m.Command {
		case mdpx.Final, mdpx.Refused, mdpx.Gone:
			s.calls[string(frames[0])+string(m.ID[:])].answers++
		}
	}
	for _, d := range mdp.Presets()[:4] {
		if m, err := d.ParseWorker(frames[1:]); err == nil && m.Command == mdp.Work {
			s.token = append(s.token[:0], m.Client...)
		}
	}
	return nil
}

// gateway does one thing that a peer of MDPX/1 does, and reports whether there is one.
func (s *script) gateway(op byte, peer, service []byte, message func([][]byte)) bool {
	switch {
	case op < 6:
		id, ttl := mdpx.NumberID(uint64(len(s.calls))), mdpx.NewTTL(time.Duration(s.next())*100*time.Millisecond)
		request, _ := mdpx.AppendRequest(nil, &id, &ttl, service, [][]byte{s.frame()})
		c := &call{connection: s.connection()}
		if x := s.state.muxes[string(peer)]; x != nil && !x.connection.Ended() {
			c.connection = x.connection
		}
		s.calls[string(peer)+string(id[:])] = c
		s.given = c.connection
		message(request)
		s.given = nil
	case op < 9:
		id := mdpx.NumberID(uint64(s.next()))
		message(mdpx.AppendCancel(nil, &id))
	case op == 9:
		message(mdpx.AppendWatch(nil))
	case op == 10:
		message(mdpx.AppendHeartbeat(nil))
	default:
		return false
	}
	return true
}

// step does one thing.
func (s *script) step() {
	op := s.next()
	id := []byte{'0' + op>>5}
	which := s.next() % 4
	d := mdp.Presets()[which]
	service := []byte{'a' + s.next()%4}
	message := func(frames [][]byte) { s.state.receive(s.now, append([][]byte{id}, frames...)) }
	if op&16 != 0 && s.gateway(op%16, id, service, message) {
		return
	}
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
	// A gateway whose requests are queued, given, canceled and answered.
	f.Add([]byte("\x19\x00\x00\x03\x00\x00\x30\x00\x00\xff\x01a\x30\x00\x00\xff\x01b\x36\x00\x00\x01\x05\x00\x00\x01c\x36\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, story []byte) {
		for redispatch := range 2 {
			s := &script{bytes: story, now: time.Unix(0, 0), calls: make(map[string]*call)}
			cfg := Config{QueueMax: 6, ServiceQueueMax: 4, QueueBytes: 1000, OutboxBytes: 3000, Expiry: 20 * time.Second, Redispatch: redispatch}
			s.state = newState(cfg.withDefaults(), s.now, shell{send: s.send, newToken: s.newToken, connection: s.connection})
			for len(s.bytes) > 0 {
				s.step()
				checkState(t, s.state)
				if next := s.state.next(); next.Before(s.now.Add(-time.Minute)) {
					s.state.tick(s.now)
				}
				if next := s.state.next(); next.Before(s.now.Add(-time.Minute)) {
					t.Fatalf("the next tick is %s ago", s.now.Sub(next))
				}
			}
			s.state.close(s.now)
			checkState(t, s.state)
			// Once everybody is silent and reads, nothing is left.
			clear(s.broken[:])
			for range 1000 {
				if next := s.state.next(); next.After(s.now) {
					s.now = next
				}
				s.state.tick(s.now)
			}
			for id, c := range s.calls {
				if c.answers > 1 || c.answers == 0 && !c.connection.Ended() {
					t.Fatalf("call %q had %d answers, and its connection has not ended", id, c.answers)
				}
			}
			if n := len(s.state.workers) + len(s.state.services) + len(s.state.outboxes) + len(s.state.deadlines.heap); n > 0 {
				t.Fatalf("%d workers, services, outboxes and requests are left", n)
			}
		}
	})
}
