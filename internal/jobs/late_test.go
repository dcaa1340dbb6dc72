package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
)

func lateCall(owner string) jobs.LateCall {
	return jobs.LateCall{Job: jobs.Job{Service: "echo", Owner: owner, Created: time.Now(), Form: "json", RequestID: "r1"}}
}

// What comes of a late reply is what would have come of a job.
func TestALateReplyEndsItsJob(t *testing.T) {
	b := start(t, &caller{worker: echo}, nil)
	own := jobs.Reader{Owner: "a"}
	for name, c := range map[string]struct {
		reply gateway.Reply
		err   error
		want  jobs.State
	}{
		"a reply":   {gateway.Reply{Frames: frames("done"), Partials: [][][]byte{frames("1"), frames("2")}}, nil, jobs.Done},
		"a failure": {gateway.Reply{}, &gateway.Error{Kind: gateway.BrokerLost}, jobs.Failed},
		"its end":   {gateway.Reply{}, &gateway.Error{Kind: gateway.Interrupted}, jobs.Interrupted},
	} {
		job, wait, ok := b.Late(lateCall("a"), 1000)
		if !ok || job.State != jobs.Running || wait.Timeout != 30*time.Minute || b.held.Bytes() != 1000 {
			t.Fatalf("%s: got %v, a job that is %q with %v, %d bytes are held", name, ok, job.State, wait.Timeout, b.held.Bytes())
		}
		if got, err := b.Get(ctx, own, job.ID); err != nil || got.State != jobs.Running || got.Started.IsZero() {
			t.Errorf("%s: while it waits: %+v, %v", name, got, err)
		}
		if _, err := b.Get(ctx, jobs.Reader{Owner: "b"}, job.ID); err == nil {
			t.Errorf("%s: another reads it", name)
		}
		wait.Done(c.reply, c.err)
		got, err := b.Get(ctx, own, job.ID)
		if err != nil || got.State != c.want || got.Parts != len(c.reply.Partials) {
			t.Errorf("%s: got %+v, %v, want %s", name, got, err, c.want)
		}
		if b.held.Bytes() != 0 {
			t.Errorf("%s: %d bytes are still held", name, b.held.Bytes())
		}
	}
}

// A job whose reply comes late is one of those that its service has running, in Stats and where the catalogue bounds
// them.
func TestALateReplysJobCountsAsRunning(t *testing.T) {
	worker, arrived, release := held()
	b := start(t, &caller{worker: worker, rules: func(string) gateway.JobRules { return gateway.JobRules{InFlight: 2} }}, nil)
	running := func() int { return b.Stats().Services["echo"].Running }
	_, first, ok1 := b.Late(lateCall("a"), 0)
	_, second, ok2 := b.Late(lateCall("b"), 0)
	if !ok1 || !ok2 {
		t.Fatal("two late replies are not awaited")
	}
	if got := running(); got != 2 {
		t.Errorf("%d jobs run, want 2", got)
	}
	job := b.submit("echo", "x")
	if got, err := b.Get(ctx, anyone, job.ID); err != nil || got.State != jobs.Queued || b.Stats().Services["echo"].Queued != 1 {
		t.Errorf("a third job is %q, %v: the service may have two", got.State, err)
	}
	first.Done(gateway.Reply{Frames: frames("done")}, nil)
	<-arrived // the third
	if got := running(); got != 2 {
		t.Errorf("%d jobs run, want the second and the third", got)
	}
	second.Done(gateway.Reply{}, &gateway.Error{Kind: gateway.BrokerLost})
	if got := running(); got != 1 {
		t.Errorf("%d jobs run, want the third", got)
	}
	close(release)
	eventually(t, "none runs", func() bool { return len(b.Stats().Services) == 0 })
}

// A panic of the store passes, and leaves nothing counted.
func TestAPanicOfTheStoreLeavesNoLateReply(t *testing.T) {
	b := start(t, &caller{worker: echo}, func(c *jobs.Config) { c.Store = panicsLate{c.Store} })
	func() {
		defer func() {
			if v := recover(); v != "a bug" {
				t.Errorf("recovered %v, want the store's panic", v)
			}
		}()
		b.Late(lateCall("a"), 1000)
	}()
	if n, held := len(b.Stats().Services), b.held.Bytes(); n != 0 || held != 0 {
		t.Errorf("%d services have jobs, %d bytes are held", n, held)
	}
	if err := b.AwaitIdle(ctx); err != nil {
		t.Error(err)
	}
}

// Its owner may end the wait.
func TestALateReplysJobCanBeCanceled(t *testing.T) {
	b := start(t, &caller{worker: echo}, nil)
	job, wait, _ := b.Late(lateCall("a"), 0)
	if got, err := b.Cancel(ctx, jobs.Reader{Owner: "a"}, job.ID); err != nil || got.State != jobs.Canceled || got.Executed() != gateway.Maybe {
		t.Errorf("got %+v, %v, want it canceled, maybe executed", got, err)
	}
	<-wait.Ctx.Done()
	wait.Done(gateway.Reply{Frames: frames("too late")}, nil)
	if got, _ := b.Get(ctx, jobs.Reader{Owner: "a"}, job.ID); got.State != jobs.Canceled {
		t.Errorf("its reply made it %q", got.State)
	}
}

func TestWhereThereIsNoRoomNoLateReplyIsAwaited(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*jobs.Config)
		before func(b *bench)
		limit  int
	}{
		"memory":   {change: func(c *jobs.Config) { c.Budget = budget.New(999) }},
		"a drain":  {before: func(b *bench) { b.Drain() }},
		"max_jobs": {limit: 1, before: func(b *bench) { hold(t, b) }},
		"no such store": {change: func(c *jobs.Config) {
			c.Store = struct{ jobs.Store }{c.Store}
		}},
		"an error of the store": {change: func(c *jobs.Config) { c.Store = awayLate{c.Store} }},
	} {
		b := start(t, &caller{worker: echo}, c.change)
		if c.before != nil {
			c.before(b)
		}
		call := lateCall("a")
		call.MaxJobs = c.limit
		if _, _, ok := b.Late(call, 1000); ok {
			t.Errorf("%s: it is awaited", name)
		}
	}
}

func frames(texts ...string) (all [][]byte) {
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

// hold has the owner a wait for a late reply, until the Runner is closed.
func hold(t *testing.T, b *bench) {
	_, wait, ok := b.Late(lateCall("a"), 0)
	if !ok {
		t.Error("a first late reply is not awaited")
	}
	go func() { <-wait.Ctx.Done(); wait.Done(gateway.Reply{}, &gateway.Error{Kind: gateway.Interrupted}) }()
}

// awayLate is a store that keeps no more jobs.
type awayLate struct{ jobs.Store }

func (awayLate) SubmitRunning(context.Context, *jobs.Job) error { return errors.New("away") }

// panicsLate is a store with a bug.
type panicsLate struct{ jobs.Store }

func (panicsLate) SubmitRunning(context.Context, *jobs.Job) error { panic("a bug") }
