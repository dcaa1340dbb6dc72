package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

// A registration is one worker as the broker sees it. It lives through as many
// sessions as it takes.
type registration struct {
	worker  *Worker
	service []byte
	handler Handler
	log     *zap.Logger
}

// The pause between the starts of two sessions grows from minPause to maxPause
// while they fail, so that a broker that is back is found within about a second
// and one that fails is not stormed. It grows to refusedPause while the broker refuses the worker's key, or answers every
// registration with DISCONNECT: then it is there, and only its operator can change its mind.
const (
	minPause     = 50 * time.Millisecond
	maxPause     = time.Second
	refusedPause = 15 * time.Second
)

func (r *registration) run() {
	ctx := r.worker.stop
	pause, refused := minPause, false
	for ctx.Err() == nil {
		started := time.Now()
		heard, err := r.session(r.worker.ctx)
		if ctx.Err() != nil || r.worker.ctx.Err() != nil { // stop ends a moment after ctx, from which it is derived
			return
		}
		if heard {
			pause = minPause
		}
		before := refused
		refused = !heard && (errors.Is(err, errDisconnected) || errors.Is(err, errRefused))
		if pause == minPause || refused && !before || errors.Is(err, errFailed) {
			r.log.Warn("registering again", zap.Error(err))
		}
		wait(ctx, started.Add(pause/2+rand.N(pause/2)))
		pause = longer(pause, refused)
	}
}

// longer returns the pause after that one. refused says that the broker did not accept the registration.
func longer(pause time.Duration, refused bool) time.Duration {
	if refused {
		return min(2*pause, refusedPause)
	}
	return min(2*pause, maxPause)
}

// wait returns at that time, or when ctx ends.
func wait(ctx context.Context, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// session registers on a new socket and serves until the connection is lost. It
// reports whether the broker was heard.
func (r *registration) session(ctx context.Context) (heard bool, err error) {
	s, err := r.connect()
	if err != nil {
		return false, err
	}
	// Whatever ends the session, ends the handler; it is waited for before the
	// socket goes, since it may be about to use it.
	ctx, cancel := context.WithCancel(ctx)
	s.ctx = ctx
	stop := context.AfterFunc(ctx, s.socket.Interrupt)
	wake := context.AfterFunc(r.worker.stop, s.socket.Interrupt)
	err = s.serve()
	cancel()
	stop()
	wake()
	s.leave()
	return s.heard, errors.Join(err, s.socket.Close())
}
