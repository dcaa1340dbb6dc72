package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
)

// partsTime is how long PARTIALs are kept beyond --jobs-keep: a job runs for a day at most.
const partsTime = 24*time.Hour + leftTime

// Move is jobs.Store. What a claimed job becomes, the process that claimed it decides; others may cancel or interrupt it.
func (s *Store) Move(ctx context.Context, move jobs.Move) (job jobs.Job, err error) {
	start := time.Now()
	defer func() { err = s.told(op(move.To), start, err) }()
	if move.To == jobs.Running && s.used.Load() > s.cfg.MaxBytes/4*3 {
		return jobs.Job{}, fmt.Errorf("%w: the last quarter is for replies", jobs.ErrFull)
	}
	staged := ""
	for {
		before, err := s.read(ctx, move.ID)
		if err != nil {
			s.unstage(ctx, move.ID, staged, err)
			return jobs.Job{}, err
		}
		job := before.job()
		if !move.May(&job) || !s.mayMove(before, &move) {
			if staged != "" {
				s.drop(ctx, move.ID, staged)
			}
			if before.By != s.process || job.State.Over() && job.State != jobs.Interrupted {
				s.hold(move.ID, false)
			}
			return job, jobs.ErrState
		}
		if staged == "" && jobs.EncodedSize(move.Frames) > mostInline {
			staged = "r" + rand.Text()
			err = s.putData(ctx, move.ID, staged, move.Frames, time.Until(move.KeepUntil)+leftTime)
		}
		after := s.moved(before, &move, staged)
		if err == nil {
			err = s.write(ctx, after, before.last)
		}
		switch {
		case errors.Is(err, errConflict):
			continue
		case err != nil:
			s.unstage(ctx, move.ID, staged, err)
			return jobs.Job{}, err
		}
		if move.To.Over() && before.Request != "" {
			s.drop(ctx, move.ID, before.Request)
		}
		s.hold(move.ID, move.To == jobs.Running)
		return after.job(), nil
	}
}

// mayMove reports whether this process may make that of a job. One whose job was adopted may still store the reply.
func (s *Store) mayMove(r *record, move *jobs.Move) bool {
	switch {
	case r.By == "", r.By == s.process, move.To == jobs.Canceled, move.To == jobs.Interrupted, move.Adopt:
		return true
	case slices.Contains(r.Former, s.process):
		return move.To == jobs.Done || move.To == jobs.Failed && move.Problem != nil && move.Problem.Executed() == gateway.Yes
	}
	return false
}

// moved returns the record after a move, whose frames were staged under that name unless they are small.
func (s *Store) moved(before *record, move *jobs.Move, staged string) *record {
	r := *before
	r.Seq, r.State, r.Problem = before.seq(), move.To, jobs.EncodeProblem(move.Problem)
	r.Revision++
	switch move.To {
	case jobs.Running:
		if move.Adopt {
			r.Former = append(slices.Clone(r.Former), r.By)
		}
		r.Started, r.By, r.Route = nanos(move.At), s.process, move.Route
		return &r
	case jobs.Queued:
		r.Started, r.By, r.Route = 0, "", gateway.Route{}
		return &r
	}
	r.Route = gateway.Route{}
	r.Ended, r.Keep, r.Request, r.Reply, r.body = nanos(move.At), nanos(move.KeepUntil), "", staged, nil
	if move.Bytes > 0 {
		r.Bytes = move.Bytes
	}
	if staged != "" {
		r.Data = true
	} else if move.Frames != nil {
		r.body = encode(move.Frames)
	}
	return &r
}

// hold notes whether this process runs a job.
func (s *Store) hold(id string, runs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if runs {
		s.mine[id] = struct{}{}
	} else {
		delete(s.mine, id)
	}
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

// AddParts is jobs.Store.
func (s *Store) AddParts(ctx context.Context, id string, parts [][][]byte, size int64) (err error) {
	start := time.Now()
	defer func() { err = s.told("part", start, err) }()
	for {
		before, err := s.read(ctx, id)
		if err != nil {
			return err
		}
		if before.State != jobs.Running || before.By != s.process {
			return jobs.ErrState
		}
		all, staging := errgroup.WithContext(ctx)
		all.SetLimit(atOnce)
		for i, part := range parts {
			all.Go(func() error { return s.putData(staging, id, partName(before.Parts+i), part, s.cfg.Keep+partsTime) })
		}
		if err := all.Wait(); err != nil {
			return err
		}
		after := *before
		after.Seq, after.Parts, after.Bytes, after.Data = before.seq(), before.Parts+len(parts), before.Bytes+size, true
		if err = s.write(ctx, &after, before.last); !errors.Is(err, errConflict) {
			return err
		}
	}
}

func partName(n int) string { return fmt.Sprintf("p%d", n) }

// Delete is jobs.Store. What remains for a while makes a submission fail that is still on its way.
func (s *Store) Delete(ctx context.Context, id string) (err error) {
	start := time.Now()
	defer func() { err = s.told("delete", start, err) }()
	for {
		before, err := s.read(ctx, id)
		found := err == nil
		if !found && !errors.Is(err, jobs.ErrNotFound) {
			return err
		}
		if !found {
			before = &record{id: id}
		} else if before.Key != 0 {
			if err := s.remove(ctx, before.Key); err != nil {
				return err
			}
		}
		err = s.write(ctx, &record{Version: recordVersion, id: id, State: deleted, Revision: before.Revision + 1}, before.last)
		switch {
		case !found && (err == nil || errors.Is(err, errConflict) && s.isDeleted(ctx, id)):
			return jobs.ErrNotFound
		case errors.Is(err, errConflict):
			continue
		case err != nil:
			return err
		}
		if before.Data || before.Started != 0 && before.State != jobs.Done { // its gateway may have left pieces of a reply
			s.drop(ctx, id, "")
		}
		s.hold(id, false)
		return nil
	}
}

// isDeleted reports whether a job was deleted before.
func (s *Store) isDeleted(ctx context.Context, id string) bool {
	r, err := s.readAny(ctx, id)
	return err == nil && r.State == deleted
}

// Forget is jobs.Store. Every process does it, as its index says.
func (s *Store) Forget(ctx context.Context, now time.Time, max int) (n int, err error) {
	start := time.Now()
	defer func() { err = s.told("forget", start, err) }()
	due := s.index.due(nanos(now), max)
	var all errgroup.Group
	all.SetLimit(atOnce)
	for _, e := range due {
		all.Go(func() error {
			if e.key != 0 {
				if err := s.remove(ctx, e.key); err != nil {
					return err
				}
			}
			if err := s.remove(ctx, e.last); err != nil {
				return err
			}
			if e.data {
				s.drop(ctx, e.id, "")
			}
			s.index.remove(e.id, e.last)
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return 0, err
	}
	return len(due), nil
}
