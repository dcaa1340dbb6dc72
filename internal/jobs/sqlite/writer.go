package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mattn/go-sqlite3"
	"go.uber.org/zap"

	"mdpgateway/internal/jobs"
)

// mostInGroup is how many writes one transaction takes at most.
const mostInGroup = 256

// A write is one change that waits for its turn. It is all in one transaction.
type write struct {
	do    func(tx *sql.Tx) error // may be called again after a rollback
	taken atomic.Bool            // by the writer, or by who withdraws it
	done  chan error
}

// write has a change made. Changes that wait at the same time are one transaction, so that they share its wait for
// the disk. If ctx ends before the change was begun it is withdrawn; after that the answer may be ErrUnconfirmed.
func (s *Store) write(ctx context.Context, op string, do func(tx *sql.Tx) error) error {
	start := time.Now()
	w := &write{do: do, done: make(chan error, 1)}
	err := s.enqueue(ctx, w)
	if err == nil {
		select {
		case err = <-w.done:
		case <-ctx.Done():
			if err = context.Cause(ctx); !w.taken.CompareAndSwap(false, true) {
				err = fmt.Errorf("%w: %w", jobs.ErrUnconfirmed, err)
			}
		}
	}
	return s.told(op, start, err)
}

func (s *Store) enqueue(ctx context.Context, w *write) error {
	select {
	case <-s.closing:
		return errClosed
	default:
	}
	select {
	case s.writes <- w:
		return nil
	case <-s.closing:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errClosed = errors.New("the store is closed")

// run makes the changes, until Close; then those that wait.
func (s *Store) run() {
	defer close(s.closed)
	for {
		select {
		case w := <-s.writes:
			s.group(w)
		case <-s.closing:
			for {
				select {
				case w := <-s.writes:
					s.group(w)
				default:
					return
				}
			}
		}
	}
}

// group makes a change and all that wait.
func (s *Store) group(first *write) {
	var all []*write
	for w := first; w != nil; {
		if w.taken.CompareAndSwap(false, true) {
			all = append(all, w)
		}
		if w = nil; len(all) < mostInGroup {
			select {
			case w = <-s.writes:
			default:
			}
		}
	}
	if len(all) == 0 {
		return
	}
	results := make([]error, len(all))
	if err := s.commit(all, results); err != nil && len(all) > 1 {
		for i := range all { // one of them spoils the others
			results[i] = nil
			_ = s.commit(all[i:i+1], results[i:i+1])
		}
	}
	s.measure()
	if full := slices.IndexFunc(results, isNoRoom); full >= 0 || s.down.Load() {
		s.try(results[max(full, 0)])
	}
	for i, w := range all {
		w.done <- results[i]
	}
}

// isNoRoom reports whether a change found no room: on the disk, or within Config.MaxBytes.
func isNoRoom(err error) bool {
	var fault sqlite3.Error
	return errors.As(err, &fault) && fault.Code == sqlite3.ErrFull
}

// try finds out whether the store is up, after a write has failed: it writes as much as a piece of a message, unless
// Config.MaxBytes leaves less, and removes it. A change that succeeds would not tell: one that changes nothing, as
// Forget's mostly, needs no disk, and a small one may find room where no reply does.
func (s *Store) try(cause error) {
	size := max(0, min(jobs.ChunkSize, (s.cfg.MaxBytes-s.used.Load())/2))
	err := s.change("INSERT OR REPLACE INTO data (job, kind, part, n, bytes) VALUES (?, 0, 0, 0, zeroblob(?))", triedJob, size)
	if err == nil {
		err = s.change("DELETE FROM data WHERE job = ?", triedJob)
	}
	if down := err != nil; s.down.Swap(down) != down && down {
		s.cfg.Log.Error("the jobs store fails", zap.Error(errors.Join(cause, err)))
	}
}

// change makes one change in a transaction of its own.
func (s *Store) change(statement string, args ...any) error {
	w := &write{do: func(tx *sql.Tx) error { _, err := tx.Exec(statement, args...); return err }}
	return s.commit([]*write{w}, make([]error, 1))
}

// commit makes changes in one transaction. Its error, and then that of all changes, means that none was made.
// A change that may not be made, as its results says, has not written anything.
func (s *Store) commit(all []*write, results []error) error {
	fail := func(err error) error {
		for i := range results {
			results[i] = err
		}
		return err
	}
	tx, err := s.db.Begin()
	if err != nil {
		return fail(err)
	}
	for i, w := range all {
		if results[i] = w.do(tx); results[i] != nil && !isVerdict(results[i]) {
			err := results[i]
			_ = tx.Rollback()
			return fail(err)
		}
	}
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		return fail(fmt.Errorf("%w: %w", jobs.ErrUnconfirmed, err))
	}
	return nil
}

// isVerdict reports whether an error says that a change may not be made, not that it can't.
func isVerdict(err error) bool {
	return errors.Is(err, jobs.ErrNotFound) || errors.Is(err, jobs.ErrState) || errors.Is(err, jobs.ErrMismatch) ||
		errors.Is(err, jobs.ErrFull) || errors.Is(err, errExists)
}
