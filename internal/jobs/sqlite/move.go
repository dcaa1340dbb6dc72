package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mdpgateway/internal/jobs"
)

// Move is jobs.Store. The state is changed by one UPDATE with a condition, so of moves that compete only one is made.
func (s *Store) Move(ctx context.Context, move jobs.Move) (jobs.Job, error) {
	if move.To == jobs.Running && s.used.Load() > s.cfg.MaxBytes/4*3 {
		return jobs.Job{}, fmt.Errorf("%w: the last quarter is for replies", jobs.ErrFull)
	}
	staged, err := s.stageReply(ctx, &move)
	if err != nil {
		return jobs.Job{}, err
	}
	var job jobs.Job // not read if it is unknown what became of the write
	err = s.write(ctx, op(move.To), func(tx *sql.Tx) (err error) {
		if job, err = moved(tx, &move); err != nil {
			return err
		}
		if move.To.Over() {
			if _, err := tx.Exec("DELETE FROM data WHERE job = ? AND kind = ?", job.Seq, requestKind); err != nil {
				return err
			}
		}
		if move.Frames != nil && staged == 0 {
			return put(tx, job.Seq, replaced{replyKind, 0, move.Frames})
		}
		return nil
	})
	if errors.Is(err, jobs.ErrUnconfirmed) {
		return jobs.Job{}, err
	}
	if staged != 0 && errors.Is(err, jobs.ErrState) && job.State != jobs.Done && job.State != jobs.Failed {
		s.unstage(staged, replyKind)
	}
	return job, err
}

// stageReply stages the frames of a move if they are large, and returns of which job those are then.
func (s *Store) stageReply(ctx context.Context, move *jobs.Move) (seq int64, err error) {
	if jobs.EncodedSize(move.Frames) < leastToStage {
		return 0, nil
	}
	job, err := s.Get(ctx, move.ID)
	if err != nil {
		return 0, err
	}
	if !move.May(&job) {
		return 0, nil // which the move will find, too
	}
	_, err = s.stage(ctx, job.Seq, replaced{replyKind, 0, move.Frames})
	return job.Seq, err
}

// op names a move in metrics.
func op(to jobs.State) string {
	switch to {
	case jobs.Running:
		return "claim"
	case jobs.Queued:
		return "unclaim"
	}
	return "end"
}

// moved makes the change of a move in a transaction and returns the job as it is then.
func moved(tx *sql.Tx, move *jobs.Move) (jobs.Job, error) {
	job, err := scan(tx.QueryRow("SELECT "+columns+" FROM jobs WHERE id = ? AND version = ?", move.ID, recordVersion))
	if err != nil {
		return job, err
	}
	if !move.May(&job) {
		return job, jobs.ErrState
	}
	from := job.State
	job.State, job.Problem = move.To, move.Problem
	job.Revision++
	switch {
	case move.To == jobs.Running:
		job.Started = move.At
	case move.To == jobs.Queued:
		job.Started = time.Time{}
	default:
		job.Ended, job.KeepUntil = move.At, move.KeepUntil
	}
	if move.Bytes > 0 {
		job.Bytes = move.Bytes
	}
	result, err := tx.Exec(`UPDATE jobs SET state = ?, revision = ?, started = ?, ended = ?, keep_until = ?, bytes = ?, problem = ?
		WHERE seq = ? AND state = ?`,
		string(job.State), job.Revision, nanos(job.Started), nanos(job.Ended), nanos(job.KeepUntil), job.Bytes, jobs.EncodeProblem(job.Problem),
		job.Seq, string(from))
	if err != nil {
		return job, err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return job, errors.Join(jobs.ErrState, err)
	}
	return job, nil
}

// AddParts is jobs.Store.
func (s *Store) AddParts(ctx context.Context, id string, parts [][][]byte, size int64) error {
	return s.write(ctx, "part", func(tx *sql.Tx) error {
		job, err := scan(tx.QueryRow("SELECT "+columns+" FROM jobs WHERE id = ? AND version = ?", id, recordVersion))
		if err != nil {
			return err
		}
		if job.State != jobs.Running {
			return jobs.ErrState
		}
		for i, part := range parts {
			if err := put(tx, job.Seq, replaced{partKind, job.Parts + i, part}); err != nil {
				return err
			}
		}
		_, err = tx.Exec("UPDATE jobs SET parts = parts + ?, bytes = bytes + ? WHERE seq = ?", len(parts), size, job.Seq)
		return err
	})
}

// Delete is jobs.Store.
func (s *Store) Delete(ctx context.Context, id string) error {
	err := s.write(ctx, "delete", func(tx *sql.Tx) error {
		var seq int64
		err := tx.QueryRow("SELECT seq FROM jobs WHERE id = ? AND version = ?", id, recordVersion).Scan(&seq)
		if errors.Is(err, sql.ErrNoRows) {
			return jobs.ErrNotFound
		}
		if err != nil {
			return err
		}
		return remove(tx, seq)
	})
	return err
}

func remove(tx *sql.Tx, seq int64) error {
	for _, statement := range [...]string{
		"DELETE FROM data WHERE job = ?", "DELETE FROM keys WHERE job = ?", "DELETE FROM jobs WHERE seq = ?",
	} {
		if _, err := tx.Exec(statement, seq); err != nil {
			return err
		}
	}
	return nil
}

// Forget is jobs.Store. It gives the room back to the disk, a piece at a time.
func (s *Store) Forget(ctx context.Context, now time.Time, max int) (n int, err error) {
	err = s.write(ctx, "forget", func(tx *sql.Tx) error {
		n = 0
		rows, err := tx.Query("SELECT seq FROM jobs WHERE keep_until > 0 AND keep_until <= ? AND version = ? LIMIT ?", nanos(now), recordVersion, max)
		if err != nil {
			return err
		}
		var due []int64
		for rows.Next() {
			var seq int64
			if err := rows.Scan(&seq); err != nil {
				return errors.Join(err, rows.Close())
			}
			due = append(due, seq)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		for _, seq := range due {
			if err := remove(tx, seq); err != nil {
				return err
			}
		}
		n = len(due)
		return nil
	})
	if err == nil {
		err = s.vacuum(ctx)
	}
	return n, err
}

// vacuum gives free pages back to the disk.
func (s *Store) vacuum(ctx context.Context) error {
	return s.write(ctx, "vacuum", func(tx *sql.Tx) error {
		rows, err := tx.Query(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages))
		if err != nil {
			return err
		}
		for rows.Next() { // each step gives back a page
		}
		return errors.Join(rows.Err(), rows.Close())
	})
}
