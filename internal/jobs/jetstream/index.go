package jetstream

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"mdpgateway/internal/jobs"
)

// An entry is what the index has of a job. An entry never changes.
type entry struct {
	id               string
	seq              int64
	last             uint64 // sequence of the record
	state            jobs.State
	revision         int64
	service, owner   unique.Handle[string] // one copy of each for all jobs
	by               unique.Handle[string]
	created, expires int64
	ended, keep      int64
	key              uint64
	data             bool
}

func (e *entry) job() jobs.Job {
	return jobs.Job{
		ID: e.id, Seq: e.seq, Service: e.service.Value(), Owner: e.owner.Value(), Created: moment(e.created), Expires: moment(e.expires), State: e.state, Revision: e.revision,
	}
}

// An index knows all jobs of the stream: what this process wrote at once, and what others did when it is told.
type index struct {
	mu      sync.Mutex
	byID    map[string]*entry // guarded by mu
	order   []*entry          // guarded by mu; by seq
	watcher jobs.Watcher      // guarded by mu; nil: nobody
}

func newIndex() *index { return &index{byID: map[string]*entry{}} }

// set notes a record unless a newer one is known, and reports whether it did.
func (x *index) set(r *record) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.byID[r.id]
	if old != nil && old.last >= r.last {
		return false
	}
	if r.State == deleted {
		x.drop(old)
		return true
	}
	e := &entry{
		id: r.id, seq: r.seq(), last: r.last, state: r.State, revision: r.Revision, service: unique.Make(r.Service), owner: unique.Make(r.Owner), by: unique.Make(r.By),
		created: r.Created, expires: r.Expires, ended: r.Ended, keep: r.Keep, key: r.Key, data: r.Data,
	}
	i := x.find(e.seq)
	if old == nil {
		x.order = slices.Insert(x.order, i, e)
	} else {
		e.id = old.id
		x.order[i] = e
	}
	x.byID[e.id] = e
	return true
}

// find returns where the entry of that seq is, or would be.
func (x *index) find(seq int64) int {
	return sort.Search(len(x.order), func(i int) bool { return x.order[i].seq >= seq })
}

func (x *index) drop(e *entry) {
	if e != nil {
		delete(x.byID, e.id)
		i := x.find(e.seq)
		x.order = slices.Delete(x.order, i, i+1)
	}
}

// remove forgets a job whose record still is the one of that sequence.
func (x *index) remove(id string, last uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byID[id]; e != nil && e.last == last {
		x.drop(e)
	}
}

// list returns the ids of jobs, the newest first.
func (x *index) list(f jobs.Filter) (ids []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	end := len(x.order)
	if f.Before > 0 {
		end = x.find(f.Before)
	}
	owner, service := unique.Make(f.Owner), unique.Make(f.Service)
	for i := end - 1; i >= 0 && len(ids) < f.Limit; i-- {
		e := x.order[i]
		if (f.Any || e.owner == owner) && (f.State == "" || e.state == f.State) && (f.Service == "" || e.service == service) {
			ids = append(ids, e.id)
		}
	}
	return ids
}

// open returns the jobs that are not over, in the order of submission.
func (x *index) open() (all []*entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.order {
		if !e.state.Over() {
			all = append(all, e)
		}
	}
	return all
}

// running returns the jobs that run.
func (x *index) running() (all []*entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.order {
		if e.state == jobs.Running {
			all = append(all, e)
		}
	}
	return all
}

// interrupted returns what there is of jobs that are Interrupted, by service.
func (x *index) interrupted() map[string]jobs.Kept {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := map[string]jobs.Kept{}
	for _, e := range x.order {
		if e.state == jobs.Interrupted {
			k := all[e.service.Value()]
			k.Count++
			if ended := moment(e.ended); ended.After(k.Last) {
				k.Last = ended
			}
			all[e.service.Value()] = k
		}
	}
	return all
}

// due returns up to max jobs that need be kept no longer.
func (x *index) due(now int64, max int) (all []*entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.order {
		if len(all) == max {
			break
		}
		if e.keep != 0 && e.keep <= now {
			all = append(all, e)
		}
	}
	return all
}

// Watch is jobs.Shared.
func (s *Store) Watch(w jobs.Watcher) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	s.index.watcher = w
}

func (s *Store) watcher() jobs.Watcher {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	return s.index.watcher
}

// follow reads all records into the index, and then each that is written. It returns when all that were there are read.
func (s *Store) follow(ctx, background context.Context) error {
	read := make(chan struct{})
	caughtUp := sync.OnceFunc(func() { close(read) })
	var running jetstream.ConsumeContext
	if err := s.eventually(ctx, func() (err error) { running, err = s.consume(ctx, caughtUp); return err }); err != nil {
		return err
	}
	s.loops.Go(func() {
		<-background.Done()
		running.Stop()
		<-running.Closed()
	})
	select {
	case <-read:
		return nil
	case <-ctx.Done():
		return errors.Join(errors.New("the jobs could not be read in time"), ctx.Err())
	}
}

// consume begins to follow the records. It calls caughtUp when it has read those that are there.
func (s *Store) consume(ctx context.Context, caughtUp func()) (jetstream.ConsumeContext, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*attemptTimeout)
	defer cancel()
	switch _, err := s.readOnce(ctx, s.subject("s", "*")); {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		caughtUp()
	case err != nil:
		return nil, err
	}
	consumer, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{s.subject("s", "*")}, DeliverPolicy: jetstream.DeliverAllPolicy, HeadersOnly: true,
	})
	if err != nil {
		return nil, err
	}
	return consumer.Consume(func(m jetstream.Msg) {
		meta, err := m.Metadata()
		if err != nil {
			return // it is none of the stream's
		}
		s.follow1(m, meta.Sequence.Stream)
		if meta.NumPending == 0 {
			caughtUp()
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		s.cfg.Log.Debug("the jobs store is followed again", zap.Error(err))
	}), jetstream.PullMaxMessages(2000), jetstream.PullHeartbeat(time.Second), jetstream.PullExpiry(10*time.Second))
}

// follow1 takes note of a record.
func (s *Store) follow1(m jetstream.Msg, seq uint64) {
	id := m.Subject()[strings.LastIndexByte(m.Subject(), '.')+1:]
	r, err := decode(id, seq, m.Headers(), nil)
	if err != nil {
		if errors.Is(err, jobs.ErrDamaged) {
			_ = s.told("get", time.Now(), err)
		}
		return
	}
	if !s.index.set(r) || r.Writer == s.process {
		return
	}
	w := s.watcher()
	if w == nil {
		return
	}
	job := r.job()
	if r.State == deleted {
		job.State = ""
	}
	w.Changed(job)
}
