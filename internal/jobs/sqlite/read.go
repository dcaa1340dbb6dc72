package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"mdpgateway/internal/jobs"
)

// columns are what scan reads.
const columns = "seq, id, service, owner, state, revision, created, started, ended, keep_until, parts, bytes, info, problem"

// scan reads a row of columns.
func scan(row interface{ Scan(...any) error }) (job jobs.Job, err error) {
	var created, started, ended, keep int64
	var text, problem []byte
	err = row.Scan(&job.Seq, &job.ID, &job.Service, &job.Owner, &job.State, &job.Revision, &created, &started, &ended, &keep,
		&job.Parts, &job.Bytes, &text, &problem)
	if errors.Is(err, sql.ErrNoRows) {
		return job, jobs.ErrNotFound
	}
	if err != nil {
		return job, err
	}
	var set info
	if err := json.Unmarshal(text, &set); err != nil {
		return job, fmt.Errorf("%w: %w", jobs.ErrDamaged, err)
	}
	job.Created, job.Started, job.Ended, job.KeepUntil = moment(created), moment(started), moment(ended), moment(keep)
	job.Principal, job.Expires, job.Timeout, job.TimeoutBy = set.Principal, moment(set.Expires), set.Timeout, set.TimeoutBy
	job.Form, job.RequestID, job.Trace, job.In = set.Form, set.RequestID, set.Trace, set.In
	job.Problem = jobs.DecodeProblem(problem)
	return job, nil
}

// nanos is a time as the file has it.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// Get is jobs.Store.
func (s *Store) Get(_ context.Context, id string) (jobs.Job, error) {
	start := time.Now()
	job, err := scan(s.read.QueryRow("SELECT "+columns+" FROM jobs WHERE id = ? AND version = ?", id, recordVersion))
	return job, s.told("get", start, err)
}

// List is jobs.Store.
func (s *Store) List(_ context.Context, f jobs.Filter) ([]jobs.Job, error) {
	start := time.Now()
	where, args := []string{"version = ?"}, []any{recordVersion}
	add := func(condition string, arg any) {
		where, args = append(where, condition), append(args, arg)
	}
	if !f.Any {
		add("owner = ?", f.Owner)
	}
	if f.State != "" {
		add("state = ?", string(f.State))
	}
	if f.Service != "" {
		add("service = ?", f.Service)
	}
	if f.Before > 0 {
		add("seq < ?", f.Before)
	}
	args = append(args, f.Limit)
	rows, err := s.read.Query("SELECT "+columns+" FROM jobs WHERE "+strings.Join(where, " AND ")+" ORDER BY seq DESC LIMIT ?", args...)
	if err != nil {
		return nil, s.told("list", start, err)
	}
	var all []jobs.Job
	for rows.Next() {
		job, err := scan(rows)
		if errors.Is(err, jobs.ErrDamaged) {
			_ = s.told("list", start, err)
			continue
		}
		if err != nil {
			return all, s.told("list", start, errors.Join(err, rows.Close()))
		}
		all = append(all, job)
	}
	return all, s.told("list", start, errors.Join(rows.Err(), rows.Close()))
}

// Interrupted is jobs.Store. Files of before lack the index that makes it quick.
func (s *Store) Interrupted(context.Context) (kept map[string]jobs.Kept, err error) {
	start := time.Now()
	defer func() { err = s.told("list", start, err) }()
	rows, err := s.read.Query("SELECT service, count(*), max(ended) FROM jobs WHERE state = 'interrupted' AND version = ? GROUP BY service", recordVersion)
	if err != nil {
		return nil, err
	}
	kept = map[string]jobs.Kept{}
	for rows.Next() {
		var service string
		var count int
		var last int64
		if err := rows.Scan(&service, &count, &last); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		kept[service] = jobs.Kept{Count: count, Last: moment(last)}
	}
	return kept, errors.Join(rows.Err(), rows.Close())
}

// Open is jobs.Store. It goes from both ends, so that a damaged page hides only what is on it.
func (s *Store) Open(_ context.Context, yield func(jobs.Job) error) error {
	start := time.Now()
	var newest int64
	for _, order := range [...]string{"seq > ? ORDER BY seq", "seq > ? ORDER BY seq DESC"} {
		var tail []jobs.Job
		forward := !strings.HasSuffix(order, "DESC")
		err := s.open1(order, newest, func(job jobs.Job) error {
			if !forward {
				tail = append(tail, job)
				return nil
			}
			newest = job.Seq
			return yield(job)
		})
		err = s.told("open", start, err)
		for i := len(tail) - 1; i >= 0; i-- {
			if err := yield(tail[i]); err != nil {
				return err
			}
		}
		if !errors.Is(err, jobs.ErrDamaged) {
			return err
		}
	}
	return nil
}

// openColumns are what scanOpen reads.
const openColumns = "seq, id, service, owner, state, revision, created, info"

// scanOpen reads what Open yields: a start with 100,000 queued jobs has no time for more.
func scanOpen(rows *sql.Rows) (job jobs.Job, err error) {
	var created int64
	var text sql.RawBytes
	err = rows.Scan(&job.Seq, &job.ID, &job.Service, &job.Owner, &job.State, &job.Revision, &created, &text)
	if err != nil {
		return job, err
	}
	var set struct{ Expires int64 }
	if err := json.Unmarshal(text, &set); err != nil {
		return job, fmt.Errorf("%w: %w", jobs.ErrDamaged, err)
	}
	job.Created, job.Expires = moment(created), moment(set.Expires)
	return job, nil
}

// open1 yields the jobs that are not over.
func (s *Store) open1(order string, after int64, yield func(jobs.Job) error) error {
	rows, err := s.read.Query("SELECT "+openColumns+" FROM jobs WHERE state IN ('queued', 'running') AND version = ? AND "+order, recordVersion, after)
	if err != nil {
		return err
	}
	for rows.Next() {
		job, err := scanOpen(rows)
		if errors.Is(err, jobs.ErrDamaged) {
			s.setAside("open", err)
			continue
		}
		if err == nil {
			err = yield(job)
		}
		if err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// Request is jobs.Store.
func (s *Store) Request(_ context.Context, id string) ([][]byte, error) {
	return s.message("request", id, requestKind, 0)
}

// Reply is jobs.Store.
func (s *Store) Reply(_ context.Context, id string) ([][]byte, error) {
	return s.message("reply", id, replyKind, 0)
}

// Parts is jobs.Store.
func (s *Store) Parts(_ context.Context, id string, from int, max int64) (parts [][][]byte, err error) {
	job, err := s.Get(context.Background(), id)
	if err != nil {
		return nil, err
	}
	for size := int64(0); from+len(parts) < job.Parts && (len(parts) == 0 || size < max); {
		part, err := s.message("parts", id, partKind, from+len(parts))
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

// message reads a message of a job.
func (s *Store) message(op, id string, kind, part int) (frames [][]byte, err error) {
	start := time.Now()
	defer func() { err = s.told(op, start, err) }()
	rows, err := s.read.Query(`SELECT bytes FROM data WHERE job = (SELECT seq FROM jobs WHERE id = ? AND version = ?)
		AND kind = ? AND part = ? ORDER BY n`, id, recordVersion, kind, part)
	if err != nil {
		return nil, err
	}
	var whole []byte
	found := false
	for rows.Next() {
		var chunk sql.RawBytes
		if err := rows.Scan(&chunk); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		whole, found = append(whole, chunk...), true
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	if !found {
		return nil, jobs.ErrNotFound
	}
	if frames, err = jobs.Frames(whole); err != nil && !errors.Is(err, jobs.ErrNewer) {
		err = fmt.Errorf("%w: %w", jobs.ErrDamaged, err)
	}
	return frames, err
}
