package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

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
	for i, w := range all {
		w.done <- results[i]
	}
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
