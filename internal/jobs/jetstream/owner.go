package jetstream

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"mdpgateway/internal/jobs"
)

const (
	lacksOften  = 3               // so often a job must be missing, at the same record
	askPatience = 2 * time.Second // for an answer
	mostAsked   = 500             // jobs in one question
)

// answer has this process say which of its jobs it does not run.
func (s *Store) answer() error {
	_, err := s.nc.Subscribe(s.subject("o", s.process), func(m *nats.Msg) {
		var lacks []string
		s.mu.Lock()
		for _, id := range strings.Fields(string(m.Data)) {
			if _, ok := s.mine[id]; !ok {
				lacks = append(lacks, id)
			}
		}
		s.mu.Unlock()
		_ = m.Respond([]byte(strings.Join(lacks, " "))) // who asked will ask again
	})
	return err
}

// What a process says as it leaves. Whoever does not hear it finds out without.
const (
	leaves = "leaves" // it starts no more jobs
	ended  = "ended"  // it runs none, and has closed its connections with brokers
)

const (
	mostLeft     = 64          // processes that may have ended at once
	tellPatience = time.Second // for the servers to take what is said
	settling     = time.Second // after the end of a process: until then brokers see that its connections are closed
)

// Leave is jobs.Shared.
func (s *Store) Leave() { s.tell(leaves) }

// tell says something to all processes.
func (s *Store) tell(what string) {
	if s.nc != nil && s.nc.IsConnected() && s.nc.Publish(s.subject("l", s.process), []byte(what)) == nil {
		_ = s.nc.FlushTimeout(tellPatience)
	}
}

// hear has this process hear that others leave.
func (s *Store) hear() error {
	_, err := s.nc.Subscribe(s.subject("l", "*"), func(m *nats.Msg) {
		process := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		if process == s.process {
			return
		}
		if w := s.watcher(); w != nil {
			w.Left()
		}
		if string(m.Data) == ended {
			select {
			case s.left <- process:
			default:
			}
		}
	})
	return err
}

// look asks again and again for the jobs that run.
func (s *Store) look(ctx context.Context) {
	tick := time.NewTicker(s.cfg.AskEvery)
	defer tick.Stop()
	missed := s.lookOnce(ctx, map[string]miss{})
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			missed = s.lookOnce(ctx, missed)
		case process := <-s.left:
			s.inherit(ctx, process)
		}
	}
}

// inherit tells the watcher of the jobs of a process that has ended. Those that nobody can take now are asked for as
// others are.
func (s *Store) inherit(ctx context.Context, process string) {
	select {
	case <-time.After(settling):
	case <-ctx.Done():
		return
	}
	w := s.watcher()
	for _, e := range s.index.running() {
		if e.by.Value() == process && w != nil && ctx.Err() == nil {
			s.judge(w.Lost(e.job()))
		}
	}
}

// A miss says how often a job was missing at its process, with the record of that sequence.
type miss struct {
	last  uint64
	times int
}

// lookOnce asks for all jobs that run, and tells the watcher of those that were missing too often.
func (s *Store) lookOnce(ctx context.Context, before map[string]miss) map[string]miss {
	after := map[string]miss{}
	if !s.nc.IsConnected() {
		return before
	}
	by := map[string][]*entry{}
	for _, e := range s.index.running() {
		by[e.by.Value()] = append(by[e.by.Value()], e)
	}
	for process, all := range by {
		for len(all) > 0 && ctx.Err() == nil {
			some := all[:min(len(all), mostAsked)]
			all = all[len(some):]
			lacks, err := s.ask(ctx, process, some)
			for _, e := range some {
				m := before[e.id]
				switch {
				case err != nil:
					s.judge(jobs.OwnerUnknown)
					after[e.id] = m
					continue
				case !lacks[e.id]:
					s.judge(jobs.OwnerRuns)
					continue
				case m.last != e.last:
					m = miss{last: e.last}
				}
				if m.times++; m.times < lacksOften {
					s.judge(jobs.OwnerLacks)
					after[e.id] = m
					continue
				}
				w := s.watcher()
				if w == nil {
					continue
				}
				verdict := w.Lost(e.job())
				if s.judge(verdict); verdict == jobs.OwnerLacks {
					after[e.id] = m
				}
			}
		}
	}
	return after
}

// ask returns which of these jobs a process does not run: all, if there is no such process.
func (s *Store) ask(ctx context.Context, process string, all []*entry) (lacks map[string]bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	ids := make([]string, len(all))
	for i, e := range all {
		ids[i] = e.id
	}
	reply, err := s.nc.RequestWithContext(ctx, s.subject("o", process), []byte(strings.Join(ids, " ")))
	missing := ids
	switch {
	case errors.Is(err, nats.ErrNoResponders):
	case err != nil:
		return nil, err
	default:
		missing = strings.Fields(string(reply.Data))
	}
	lacks = map[string]bool{}
	for _, id := range missing {
		lacks[id] = true
	}
	return lacks, nil
}

func (s *Store) judge(verdict string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdict[verdict]++
}

var (
	_ jobs.Shared    = (*Store)(nil)
	_ jobs.KeyStore  = (*Store)(nil)
	_ jobs.LateStore = (*Store)(nil)
)
