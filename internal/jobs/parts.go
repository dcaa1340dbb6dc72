package jobs

import (
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// mostAtOnce is how many PARTIALs one write takes at most.
const mostAtOnce = 64

// parts are the PARTIALs of one run on their way to the store. The call's goroutine, which has to go on reading its
// socket, does not wait for the disk: another one writes, and readers see what it wrote.
type parts struct {
	// Set once.
	r     *Runner
	id    string
	wake  chan struct{} // has room for one
	quit  chan struct{}
	ended chan struct{} // nil if there is no goroutine; owned by the call's

	total int64 // of all parts; owned by the call's goroutine

	writing sync.Mutex // held while some are written

	mu      sync.Mutex
	pending [][][]byte // guarded by mu
	sizes   []int64    // guarded by mu; of pending, taken from the budget
}

func newParts(r *Runner, id string) *parts {
	return &parts{r: r, id: id, wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

func tooLarge(reason, detail string) error {
	return &gateway.Error{Kind: gateway.ReplyTooLarge, Reason: reason, Detail: detail}
}

// put adds a part, and keeps its frames. It is gateway.Request.Partial.
func (p *parts) put(frames [][]byte) error {
	size := mdp.Size(frames) + mdp.FrameOverhead
	if p.total+size > p.r.cfg.MaxReply {
		return tooLarge("", "the reply is larger than the gateway takes")
	}
	if !p.r.cfg.Budget.Take(size) {
		return tooLarge(gateway.ReasonMemory, gateway.NoMemory)
	}
	p.total += size
	p.mu.Lock()
	p.pending, p.sizes = append(p.pending, frames), append(p.sizes, size)
	p.mu.Unlock()
	if p.ended == nil {
		p.ended = make(chan struct{})
		go p.run()
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

// run writes what comes, until stop.
func (p *parts) run() {
	defer close(p.ended)
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-p.wake:
		case <-retry.C:
		}
		if err := p.flush(); err != nil {
			p.r.cfg.Log.Debug("parts of a job wait for the store", zap.String("job", p.id), zap.Error(err))
			retry.Reset(mostRest)
		}
	}
}

// flush writes all that waits. Of a job that no longer runs it is dropped.
func (p *parts) flush() error {
	p.writing.Lock()
	defer p.writing.Unlock()
	for {
		p.mu.Lock()
		n := min(len(p.pending), mostAtOnce)
		batch, size := p.pending[:n:n], sum(p.sizes[:n])
		p.mu.Unlock()
		if n == 0 {
			return nil
		}
		ctx, cancel := contextOf(patience)
		err := p.r.cfg.Store.AddParts(ctx, p.id, batch, size)
		cancel()
		if err != nil && !errors.Is(err, ErrState) && !errors.Is(err, ErrNotFound) {
			return err
		}
		p.mu.Lock()
		p.pending, p.sizes = p.pending[n:], p.sizes[n:]
		p.mu.Unlock()
		p.r.cfg.Budget.Release(size)
		p.r.hub.tell(p.id)
	}
}

func sum(sizes []int64) (n int64) {
	for _, size := range sizes {
		n += size
	}
	return n
}

// stop ends the goroutine, and gives back what was not written.
func (p *parts) stop() {
	close(p.quit)
	if p.ended != nil {
		<-p.ended
	}
	p.r.cfg.Budget.Release(sum(p.sizes))
	p.pending, p.sizes = nil, nil
}
