package client

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/mdp"
)

const (
	// repeatsFor is how long a service that repeated a reply is taken for one that does.
	repeatsFor = 10 * time.Minute

	// maxRepeaters bounds their names, which a hostile broker may invent.
	maxRepeaters = 1000
)

// repeaters are the services that were seen to repeat a reply: a message of theirs waited
// in a connection that rested, or came to a call of another service. A repetition that
// comes to a call of the same service can't be told from the reply to that, so their calls
// get connections of their own for repeatsFor. It holds when that ends, by the monotonic
// clock, and is guarded by Pool.mu.
type repeaters map[string]time.Time

// has reports whether a service was seen to repeat a reply lately.
func (r repeaters) has(service string, now time.Time) bool { return now.Before(r[service]) }

// note adds a service, in place of the one that would end first if there are too many. It
// reports whether the service is not there already.
func (r repeaters) note(service string, now time.Time) (isNew bool) {
	isNew = !r.has(service, now)
	if _, there := r[service]; !there && len(r) >= maxRepeaters {
		r.forgetFirst()
	}
	r[service] = now.Add(repeatsFor)
	return isNew
}

func (r repeaters) forgetFirst() {
	var first string
	for service, until := range r {
		if first == "" || until.Before(r[first]) {
			first = service
		}
	}
	delete(r, first)
}

// count returns how many there are.
func (r repeaters) count(now time.Time) (n int) {
	for service := range r {
		if r.has(service, now) {
			n++
		}
	}
	return n
}

// repeated is for when a message of a service was received that nobody had asked for.
func (e *endpoint) repeated(service string) {
	if mdp.CheckService(service) != nil {
		return // no call can have asked for it
	}
	p := e.pool
	p.mu.Lock()
	isNew := p.repeaters.note(service, time.Now())
	p.mu.Unlock()
	if isNew {
		e.log.Warn("a service repeats replies; for 10 minutes, unless its reuse is true, each of its calls has a connection of its own",
			zap.String("service", service))
	}
}

// accuse reads the message that waits in a connection that rested. It is of the service
// that it names, or else of the last call.
func (c *conn) accuse() {
	service := string(c.before)
	if frames, err := c.sock.TryReceive(); err == nil {
		_, _, err = c.endpoint.Dialect.ParseReply(service, frames)
		if named := serviceOf(err); named != "" {
			service = named
		}
	}
	c.endpoint.repeated(service)
}

// serviceOf returns the service that a reply named in place of the one that was asked.
func serviceOf(err error) string {
	if m, ok := errors.AsType[*mdp.MessageError](err); ok && m.Reason == mdp.ReasonAsked {
		return m.Service
	}
	return ""
}

// Repeats reports whether a service was seen to repeat a reply lately.
func (p *Pool) Repeats(service string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.repeaters.has(service, time.Now())
}
