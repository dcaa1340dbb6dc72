package jetstream

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mdpgateway/internal/jobs"
)

// leftTime is how much longer than needed the servers keep what nobody removed.
const leftTime = time.Hour

// Submit is jobs.Store. The record's creation submits the job. It takes no more than half of the room: the rest is for
// replies.
func (s *Store) Submit(ctx context.Context, job *jobs.Job, frames [][]byte, key jobs.Key) (existing *jobs.Job, err error) {
	start := time.Now()
	defer func() { err = s.told("submit", start, err) }()
	size := jobs.EncodedSize(frames)
	if s.used.Load()+int64(size) > s.cfg.MaxBytes/2 {
		return nil, fmt.Errorf("%w: queued jobs have half of it", jobs.ErrFull)
	}
	if err := s.answers(ctx); err != nil {
		return nil, err
	}
	r := newRecord(job)
	if key.Text != "" {
		if existing, err := s.keyed(ctx, r, job, key); existing != nil || err != nil {
			return existing, err
		}
	}
	if size <= mostInline {
		r.body = encode(frames)
	} else {
		r.Request, r.Data = "q"+rand.Text(), true
		err = s.putData(ctx, r.id, r.Request, frames, time.Until(job.Expires)+leftTime)
	}
	if err == nil {
		err = s.write(ctx, r, 0)
	}
	if errors.Is(err, errConflict) {
		existing, err = s.overtaken(ctx, r, job)
	} else if err == nil {
		*job = r.job()
	}
	if err != nil || existing != nil {
		s.unstage(ctx, r.id, r.Request, err)
	}
	return existing, err
}

// SubmitRunning is jobs.LateStore. It takes no more than three quarters of the room, as a claim.
func (s *Store) SubmitRunning(ctx context.Context, job *jobs.Job) (err error) {
	start := time.Now()
	defer func() { err = s.told("submit", start, err) }()
	if s.used.Load() > s.cfg.MaxBytes/4*3 {
		return fmt.Errorf("%w: the last quarter is for replies", jobs.ErrFull)
	}
	r := newRecord(job)
	r.State, r.Started, r.By = jobs.Running, nanos(job.Started), s.process
	s.hold(r.id, true) // before others read the record and ask for it
	if err = s.write(ctx, r, 0); err != nil {
		s.hold(r.id, false)
		return err
	}
	*job = r.job()
	return nil
}

// Keyed is jobs.KeyStore.
func (s *Store) Keyed(ctx context.Context, owner string, key jobs.Key) (_ *jobs.Job, err error) {
	start := time.Now()
	defer func() { err = s.told("get", start, err) }()
	m, err := s.last(ctx, s.keySubject(owner, key.Text))
	if errors.Is(err, jobs.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, _, err := s.holder(ctx, m, key)
	return found, err
}

// holder returns the job that a stored key stands for, and its id. There may be no such job: a submission notes its key
// first, and may then fail. The error is ErrMismatch if the key stands for another request.
func (s *Store) holder(ctx context.Context, m *jetstream.RawStreamMsg, key jobs.Key) (*jobs.Job, string, error) {
	var noted keyRecord
	if err := json.Unmarshal(m.Data, &noted); err != nil || !jobs.IsID(noted.Job) {
		return nil, "", fmt.Errorf("%w: an idempotency key", jobs.ErrDamaged)
	}
	if noted.Digest != key.Digest {
		return nil, "", jobs.ErrMismatch
	}
	found, err := s.read(ctx, noted.Job)
	if errors.Is(err, jobs.ErrNotFound) {
		return nil, noted.Job, nil
	}
	if err != nil {
		return nil, "", err
	}
	job := found.job()
	return &job, noted.Job, nil
}

// overtaken is for a job that is there already. It was submitted by this call, whose answer was lost, or by another
// one with the same idempotency key.
func (s *Store) overtaken(ctx context.Context, mine *record, job *jobs.Job) (*jobs.Job, error) {
	r, err := s.read(ctx, mine.id)
	if err != nil {
		return nil, errors.Join(jobs.ErrUnconfirmed, err)
	}
	if r.Writer == s.process && r.RequestID == mine.RequestID && r.Created == mine.Created || mine.Key == 0 {
		*job = r.job()
		return nil, nil
	}
	found := r.job()
	return &found, nil
}

// write writes a record if the one before it has that sequence, 0 for none, and notes it in the index.
func (s *Store) write(ctx context.Context, r *record, last uint64) error {
	r.Writer = s.process
	ttl := time.Duration(0)
	if r.State == deleted {
		ttl = leftTime
	} else if r.Keep != 0 {
		ttl = time.Until(moment(r.Keep)) + leftTime
	}
	seq, err := s.put(ctx, &nats.Msg{Subject: s.subject("s", r.id), Header: r.header(), Data: r.body}, last, ttl)
	if err != nil {
		return err
	}
	r.last = seq
	s.index.set(r)
	return nil
}

// A keyRecord is what the stream has of an idempotency key.
type keyRecord struct {
	Digest [32]byte `json:"digest"`
	Job    string   `json:"job"`
}

// keyed returns the job that a key stands for, or notes that it stands for this one. A key of the same request whose
// job is not there was noted by a submission that is on its way, or has failed: this one then submits that job, so
// that any number of them make one.
func (s *Store) keyed(ctx context.Context, r *record, job *jobs.Job, key jobs.Key) (*jobs.Job, error) {
	subject := s.keySubject(job.Owner, key.Text)
	text, err := json.Marshal(keyRecord{key.Digest, job.ID})
	if err != nil {
		return nil, err
	}
	for {
		ttl := time.Until(job.Expires) + job.Timeout + s.cfg.Keep + leftTime
		seq, err := s.put(ctx, &nats.Msg{Subject: subject, Header: nats.Header{}, Data: text}, 0, ttl)
		if err == nil {
			r.Key = seq
			return nil, nil
		}
		if !errors.Is(err, errConflict) {
			return nil, notSubmitted(err)
		}
		m, err := s.last(ctx, subject)
		if errors.Is(err, jobs.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, id, err := s.holder(ctx, m, key)
		if err != nil || found != nil {
			return found, err
		}
		job.ID, r.id, r.Key = id, id, m.Sequence
		return nil, nil
	}
}

// notSubmitted is the error of a key that may or may not have been noted: no job was submitted.
func notSubmitted(err error) error {
	if errors.Is(err, jobs.ErrUnconfirmed) {
		return fmt.Errorf("the idempotency key was not stored: %v", err) // not %w: it must not be ErrUnconfirmed
	}
	return err
}

func (s *Store) keySubject(owner, key string) string {
	sum := sha256.Sum256([]byte(owner + "\x00" + key))
	return s.subject("k", base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))
}
