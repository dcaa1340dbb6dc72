package jobstest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"mdpgateway/internal/jobs"
)

func keeps(t *testing.T, s jobs.Store) {
	first, second := Submit(t, s, New("echo")), Submit(t, s, New("echo"))
	if first.Seq >= second.Seq || first.State != jobs.Queued {
		t.Errorf("seq %d and %d, state %s: want them to grow, and queued", first.Seq, second.Seq, first.State)
	}
	got, err := s.Get(ctx, second.ID)
	for _, at := range []*time.Time{&got.Created, &got.Expires, &second.Created, &second.Expires} {
		*at = at.UTC()
	}
	if err != nil || !reflect.DeepEqual(got, second) {
		t.Errorf("got\n%+v, %v, want\n%+v", got, err, second)
	}
	if _, err := s.Get(ctx, jobs.NewID("echo")); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("a job that is not there: %v, want ErrNotFound", err)
	}
}

func messages(t *testing.T, s jobs.Store) {
	for name, message := range map[string][][]byte{
		"one":   frames("hello"),
		"none":  {},
		"empty": frames("", "", ""),
		"many":  slices.Repeat(frames("a", "", "\x00\xff"), 1000),
		"chunk": {bytes.Repeat([]byte("x"), jobs.ChunkSize)},
		"large": {bytes.Repeat([]byte("0123456789abcdef"), 5*jobs.ChunkSize/16), []byte("tail")},
	} {
		job := New("echo")
		if _, err := s.Submit(ctx, job, message, jobs.Key{}); err != nil {
			t.Fatal(err)
		}
		same := func(what string, got [][]byte, err error) {
			t.Helper()
			if err != nil || !slices.EqualFunc(got, message, bytes.Equal) {
				t.Errorf("%s, %s: %d frames and %v, want the %d that were given", name, what, len(got), err, len(message))
			}
		}
		got, err := s.Request(ctx, job.ID)
		same("request", got, err)
		claim(t, s, job.ID)
		if err := s.AddParts(ctx, job.ID, [][][]byte{message}, 7); err != nil {
			t.Fatal(err)
		}
		move := done(job.ID)
		move.Frames = message
		mustMove(t, s, move)
		got, err = s.Reply(ctx, job.ID)
		same("reply", got, err)
		all, err := s.Parts(ctx, job.ID, 0, 1)
		if len(all) != 1 {
			t.Fatalf("%s: %d parts, %v, want 1", name, len(all), err)
		}
		same("part", all[0], err)
		if _, err := s.Request(ctx, job.ID); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("%s: the request of a job that is over: %v, want it to be gone", name, err)
		}
	}
}

func parts(t *testing.T, s jobs.Store) {
	job := Submit(t, s, New("echo"))
	if err := s.AddParts(ctx, job.ID, [][][]byte{frames("0")}, 1); !errors.Is(err, jobs.ErrState) {
		t.Errorf("a part of a queued job: %v, want ErrState", err)
	}
	claim(t, s, job.ID)
	for i := range 10 {
		pair := [][][]byte{frames(fmt.Sprint(2 * i)), frames(fmt.Sprint(2*i+1), "more")}
		if err := s.AddParts(ctx, job.ID, pair, 10); err != nil {
			t.Fatal(err)
		}
	}
	for from := range 20 {
		got, err := s.Parts(ctx, job.ID, from, 8)
		if err != nil || len(got) == 0 || string(got[0][0]) != fmt.Sprint(from) || len(got) > 9 {
			t.Errorf("parts from %d: %q, %v", from, got, err)
		}
	}
	if got, err := s.Parts(ctx, job.ID, 20, 8); len(got) != 0 || err != nil {
		t.Errorf("parts behind the last: %q, %v, want none", got, err)
	}
	ended := mustMove(t, s, done(job.ID, "end"))
	if ended.Parts != 20 || ended.Bytes != 100 {
		t.Errorf("the job has %d parts and %d bytes, want 20 and 100", ended.Parts, ended.Bytes)
	}
	if err := s.AddParts(ctx, job.ID, [][][]byte{frames("20")}, 1); !errors.Is(err, jobs.ErrState) {
		t.Errorf("a part after the end: %v, want ErrState", err)
	}
}
