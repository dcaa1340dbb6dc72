package jetstream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"mdpgateway/internal/jobs"
)

// readAny reads the record of a job, also of a deleted one.
func (s *Store) readAny(ctx context.Context, id string) (*record, error) {
	m, err := s.last(ctx, s.subject("s", id))
	if err != nil {
		return nil, err
	}
	return decode(id, m.Sequence, m.Header, m.Data)
}

// read reads the record of a job. One of a later version is not found.
func (s *Store) read(ctx context.Context, id string) (*record, error) {
	r, err := s.readAny(ctx, id)
	if errors.Is(err, jobs.ErrNewer) || err == nil && r.State == deleted {
		return nil, jobs.ErrNotFound
	}
	return r, err
}

// remove removes the message of a sequence, if it is still there. Of the server's error only a text is left, so the
// message is read to find out whether it is gone.
func (s *Store) remove(ctx context.Context, seq uint64) error {
	err := s.stream.DeleteMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		if _, read := s.stream.GetMsg(ctx, seq); errors.Is(read, jetstream.ErrMsgNotFound) {
			return nil
		}
	}
	return err
}

// Get is jobs.Store. It reads at the stream's leader, so what any process has confirmed is seen.
func (s *Store) Get(ctx context.Context, id string) (job jobs.Job, err error) {
	start := time.Now()
	defer func() { err = s.told("get", start, err) }()
	r, err := s.read(ctx, id)
	if err != nil {
		return jobs.Job{}, err
	}
	return r.job(), nil
}

// Interrupted is jobs.Store. It says what the index says.
func (s *Store) Interrupted(context.Context) (map[string]jobs.Kept, error) {
	return s.index.interrupted(), nil
}

// List is jobs.Store. Which jobs there are, the index says: those of other processes are seen a little later.
func (s *Store) List(ctx context.Context, f jobs.Filter) (jobsFound []jobs.Job, err error) {
	start := time.Now()
	defer func() { err = s.told("list", start, err) }()
	ids := s.index.list(f)
	found := make([]*record, len(ids))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	for i, id := range ids {
		all.Go(func() (err error) {
			found[i], err = s.read(ctx, id)
			if errors.Is(err, jobs.ErrNotFound) || errors.Is(err, jobs.ErrDamaged) {
				found[i], err = nil, nil
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	for _, r := range found {
		if r != nil && (f.State == "" || r.State == f.State) {
			jobsFound = append(jobsFound, r.job())
		}
	}
	return jobsFound, nil
}

// Open is jobs.Store, as the index says. Those that are Running may be so at a process that lives.
func (s *Store) Open(_ context.Context, yield func(jobs.Job) error) error {
	for _, e := range s.index.open() {
		if err := yield(e.job()); err != nil {
			return err
		}
	}
	return nil
}

// Request is jobs.Store.
func (s *Store) Request(ctx context.Context, id string) (frames [][]byte, err error) {
	start := time.Now()
	defer func() { err = s.told("request", start, err) }()
	r, err := s.read(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case r.State.Over():
		return nil, jobs.ErrNotFound
	}
	return s.frames(ctx, r, r.Request)
}

// Reply is jobs.Store.
func (s *Store) Reply(ctx context.Context, id string) (frames [][]byte, err error) {
	start := time.Now()
	defer func() { err = s.told("reply", start, err) }()
	r, err := s.read(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !r.State.Over():
		return nil, jobs.ErrNotFound
	}
	return s.frames(ctx, r, r.Reply)
}

// frames reads the message that a record has as data of that name, or else in its body.
func (s *Store) frames(ctx context.Context, r *record, name string) ([][]byte, error) {
	whole := r.body
	if name != "" {
		var err error
		if whole, err = s.data(ctx, r.id, name); err != nil {
			return nil, err
		}
	}
	if len(whole) == 0 {
		return nil, jobs.ErrNotFound
	}
	return message(whole)
}

// Parts is jobs.Store.
func (s *Store) Parts(ctx context.Context, id string, from int, max int64) (parts [][][]byte, err error) {
	start := time.Now()
	defer func() { err = s.told("parts", start, err) }()
	r, err := s.read(ctx, id)
	if err != nil {
		return nil, err
	}
	for size := int64(0); from+len(parts) < r.Parts && (len(parts) == 0 || size < max); {
		whole, err := s.data(ctx, id, partName(from+len(parts)))
		if err != nil {
			return parts, err
		}
		part, err := message(whole)
		if err != nil {
			return parts, err
		}
		for _, frame := range part {
			size += int64(len(frame))
		}
		parts = append(parts, part)
	}
	return parts, nil
}
