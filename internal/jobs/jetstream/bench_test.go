package jetstream

import (
	"context"
	"fmt"
	"testing"
	"time"

	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
	"mdpgateway/internal/jobs/natstest"
)

// whole submits a job of 1 KiB and, if run is set, takes it to its end.
func whole(b *testing.B, s *Store, run bool) {
	ctx := context.Background()
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

// What a cluster on this machine does in a second for one gateway with 64 callers at once. Each server waits for its
// disk before it confirms a write.
func BenchmarkJobs(b *testing.B) {
	for _, nodes := range []int{1, 3} {
		c := natstest.Start(b, nodes)
		for name, run := range map[string]bool{"submit": false, "whole": true} {
			b.Run(fmt.Sprintf("nodes=%d/step=%s", nodes, name), func(b *testing.B) {
				s := start(b, c, newPrefix(), func(c *Config) { c.MaxBytes = 1 << 30 })
				defer func() { _ = s.Close() }()
				whole(b, s, true) // the stream has a leader then
				b.ResetTimer()
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
}

// A reply of 64 MiB is read back.
func BenchmarkLargeReply(b *testing.B) {
	s := start(b, natstest.Start(b, 3), newPrefix(), func(c *Config) { c.MaxBytes = 1 << 30 })
	defer func() { _ = s.Close() }()
	ctx := context.Background()
	job := jobstest.New("echo")
	if _, err := s.Submit(ctx, job, nil, jobs.Key{}); err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	move := jobs.Move{ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Done, At: now, KeepUntil: now.Add(time.Hour), Frames: [][]byte{make([]byte, 64<<20)}}
	if _, err := s.Move(ctx, move); err != nil {
		b.Fatal(err)
	}
	b.Logf("written in %v", time.Since(now))
	b.SetBytes(64 << 20)
	for b.Loop() {
		if _, err := s.Reply(ctx, job.ID); err != nil {
			b.Fatal(err)
		}
	}
}
