package sqlite

import (
	"testing"
	"time"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
)

// whole submits a job of 1 KiB and, if run is set, takes it to its end.
func whole(b *testing.B, s *Store, run bool) {
	body := [][]byte{make([]byte, 1<<10)}
	job := jobstest.New("echo")
	if _, err := s.Submit(ctx, job, body, jobs.Key{}); err != nil {
		b.Error(err)
		return
	}
	if !run {
		return
	}
	now := time.Now()
	for _, m := range []jobs.Move{
		{ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: now},
		{ID: job.ID, From: []jobs.State{jobs.Running}, To: jobs.Done, At: now, KeepUntil: now.Add(time.Hour), Frames: body},
	} {
		if _, err := s.Move(ctx, m); err != nil {
			b.Error(err)
		}
	}
}

// What a store in a file does in a second, with 64 callers at once and the disk's fsync.
func BenchmarkJobs(b *testing.B) {
	for name, run := range map[string]bool{"submit": false, "whole": true} {
		b.Run("step="+name, func(b *testing.B) {
			s, err := New(Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					whole(b, s, run)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}
