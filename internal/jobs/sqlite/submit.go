package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
)

// errExists ends a submission whose key is in use.
var errExists = errors.New("the key is in use")

// An info is what never changes of a job, as the column has it.
type info struct {
	Principal string        `json:"principal,omitempty"`
	Expires   int64         `json:"expires"`
	Timeout   time.Duration `json:"timeout"`
	TimeoutBy string        `json:"timeout_by,omitempty"`
	Form      string        `json:"form,omitempty"`
	RequestID string        `json:"request_id,omitempty"`
	Trace     gateway.Trace `json:"trace,omitzero"`
	In        int64         `json:"in,omitempty"`
}

// Submit is jobs.Store. It takes no more than half of the room: the rest is for replies.
func (s *Store) Submit(ctx context.Context, job *jobs.Job, frames [][]byte, key jobs.Key) (*jobs.Job, error) {
	size := jobs.EncodedSize(frames)
	if s.used.Load()+int64(size) > s.cfg.MaxBytes/2 {
		return nil, fmt.Errorf("%w: queued jobs have half of it", jobs.ErrFull)
	}
	text, err := infoOf(job)
	if err != nil {
		return nil, err
	}
	job.Seq = s.seq.Add(1)
	staged, err := s.stage(ctx, job.Seq, replaced{requestKind, 0, frames})
	if err != nil {
		return nil, err
	}
	var holder *jobs.Job // of the key; not read if it is unknown what became of the write
	err = s.write(ctx, "submit", func(tx *sql.Tx) (err error) {
		if key.Text != "" {
			if holder, err = s.keyed(tx, job, key); err != nil {
				return err
			}
		}
		if !staged {
			if err := put(tx, job.Seq, replaced{requestKind, 0, frames}); err != nil {
				return err
			}
		}
		_, err = tx.Exec(`INSERT INTO jobs (seq, id, version, service, owner, state, created, info) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			job.Seq, job.ID, recordVersion, job.Service, job.Owner, string(jobs.Queued), nanos(job.Created), text)
		return err
	})
	if err != nil && staged && !errors.Is(err, jobs.ErrUnconfirmed) { // else the job may have been stored
		s.unstage(job.Seq, requestKind)
	}
	if errors.Is(err, errExists) {
		return holder, nil
	}
	if err == nil {
		job.State, job.Revision = jobs.Queued, 1
	}
	return nil, err
}

// SubmitRunning is jobs.LateStore. It takes no more than three quarters of the room, as a claim.
func (s *Store) SubmitRunning(ctx context.Context, job *jobs.Job) error {
	if s.used.Load() > s.cfg.MaxBytes/4*3 {
		return fmt.Errorf("%w: the last quarter is for replies", jobs.ErrFull)
	}
	text, err := infoOf(job)
	if err != nil {
		return err
	}
	job.Seq = s.seq.Add(1)
	err = s.write(ctx, "submit", func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO jobs (seq, id, version, service, owner, state, created, started, info) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			job.Seq, job.ID, recordVersion, job.Service, job.Owner, string(jobs.Running), nanos(job.Created), nanos(job.Started), text)
		return err
	})
	if err == nil {
		job.State, job.Revision = jobs.Running, 1
	}
	return err
}

func infoOf(job *jobs.Job) ([]byte, error) {
	return json.Marshal(info{
		Principal: job.Principal, Expires: nanos(job.Expires), Timeout: job.Timeout, TimeoutBy: job.TimeoutBy, Form: job.Form,
		RequestID: job.RequestID, Trace: job.Trace, In: job.In,
	})
}

// keyed returns the job that a key stands for with errExists, or notes that it stands for this one.
func (s *Store) keyed(tx *sql.Tx, job *jobs.Job, key jobs.Key) (*jobs.Job, error) {
	found, err := holderOf(tx, job.Owner, key)
	switch {
	case err != nil:
		return nil, err
	case found != nil:
		return found, errExists
	}
	_, err = tx.Exec("INSERT INTO keys (owner, key, digest, job) VALUES (?, ?, ?, ?)", job.Owner, key.Text, key.Digest[:], job.Seq)
	return nil, err
}

// Keyed is jobs.KeyStore.
func (s *Store) Keyed(_ context.Context, owner string, key jobs.Key) (*jobs.Job, error) {
	start := time.Now()
	found, err := holderOf(s.read, owner, key)
	if errors.Is(err, jobs.ErrMismatch) {
		return nil, err
	}
	return found, s.told("get", start, err)
}

// holderOf returns the job that a key of an owner stands for, nil if there is none.
func holderOf(db interface {
	QueryRow(query string, args ...any) *sql.Row
}, owner string, key jobs.Key) (*jobs.Job, error) {
	var digest []byte
	var seq int64
	err := db.QueryRow("SELECT digest, job FROM keys WHERE owner = ? AND key = ?", owner, key.Text).Scan(&digest, &seq)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case string(digest) != string(key.Digest[:]):
		return nil, jobs.ErrMismatch
	}
	found, err := scan(db.QueryRow("SELECT "+columns+" FROM jobs WHERE seq = ?", seq))
	if err != nil {
		return nil, err
	}
	return &found, nil
}

// A replaced is a message, of that kind and part of a job.
type replaced struct {
	kind, part int
	frames     [][]byte
}

// put writes a message.
func put(tx *sql.Tx, seq int64, m replaced) error {
	n := 0
	for chunk := range jobs.Chunks(m.frames, jobs.ChunkSize) {
		if _, err := tx.Exec("INSERT INTO data (job, kind, part, n, bytes) VALUES (?, ?, ?, ?, ?)", seq, m.kind, m.part, n, chunk); err != nil {
			return err
		}
		n++
	}
	return nil
}

// stage writes a large message before the record that makes it count, in pieces, so that other changes need not wait
// for all of it. It reports whether the message was large.
func (s *Store) stage(ctx context.Context, seq int64, m replaced) (staged bool, err error) {
	if jobs.EncodedSize(m.frames) < leastToStage {
		return false, nil
	}
	n := 0
	for chunk := range jobs.Chunks(m.frames, jobs.ChunkSize) {
		err := s.write(ctx, "stage", func(tx *sql.Tx) error {
			_, err := tx.Exec("INSERT OR REPLACE INTO data (job, kind, part, n, bytes) VALUES (?, ?, ?, ?, ?)", seq, m.kind, m.part, n, chunk)
			return err
		})
		if err != nil {
			s.unstage(seq, m.kind)
			if errors.Is(err, jobs.ErrUnconfirmed) { // a part of a message is nothing
				err = errors.Join(errors.New("a message was not stored"), context.Cause(ctx))
			}
			return true, err
		}
		n++
	}
	return true, nil
}

// unstage removes a staged message, if that can be done; else the next start does.
func (s *Store) unstage(seq int64, kind int) {
	ctx, cancel := context.WithTimeout(context.Background(), busyTimeout)
	defer cancel()
	_ = s.write(ctx, "stage", func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM data WHERE job = ? AND kind = ?", seq, kind)
		return err
	})
}
