package mux

import (
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
)

// leastRoom is what a call holds for a reply of which nothing is known.
const leastRoom = 64 << 10

// reserve takes room for the reply before the request is sent.
func (x *call) reserve() error {
	if x.req.Room == nil {
		return nil
	}
	x.least = max(mdp.Size(x.req.Frames), min(max(leastRoom, x.req.Expect), x.maxReply))
	if !x.req.Room.Resize(x.least) {
		return gateway.Refused(gateway.ReasonMemory, gateway.NoMemory)
	}
	x.room = x.least
	return nil
}

// settle holds what came of the reply and what waits to be looked at, and reports whether there is room for that. The
// mutex must be held.
func (x *call) settle() bool {
	need := max(x.least, x.size+x.queued)
	if x.req.Room == nil || need == x.room {
		return true
	}
	if !x.req.Room.Resize(need) {
		return false
	}
	x.room = need
	return true
}

// giveBack gives back the room of a call that failed.
func (x *call) giveBack() {
	if x.req.Room != nil && x.room > 0 {
		x.req.Room.Resize(0)
	}
}

// deliver adds an event. Any goroutine may call it; the caller's takes it. A connection is read whether or not a caller
// takes its reply, so what waits is bounded and held as what it took is.
func (x *call) deliver(e event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.command == mdpx.Partial || e.command == mdpx.Final {
		if e.command == mdpx.Partial && x.full {
			return // the one before ends the call
		}
		x.admit(&e)
	}
	x.events = append(x.events, e)
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// admit takes room for a part of the reply, or cuts it. The mutex must be held.
func (x *call) admit(e *event) {
	e.bytes = max(e.bytes, mdp.Size(e.body))
	weight := e.weight()
	if e.command == mdpx.Partial && x.queued+weight > x.maxReply {
		e.cut = true // nobody takes them
	}
	if !e.cut && !x.full {
		x.queued += weight
		if x.settle() {
			return
		}
		x.queued -= weight
		e.short = true
	}
	e.cut, e.body, x.full = true, nil, true
}

// weight is what a part of a reply, or the last of it, counts while it waits.
func (e *event) weight() int64 {
	if e.command == mdpx.Partial {
		return e.bytes + mdp.FrameOverhead
	}
	return e.bytes
}

// next takes the next event.
func (x *call) next() (e event, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.events) == 0 {
		x.events = nil
		return event{}, false
	}
	e, x.events[0] = x.events[0], event{}
	x.events = x.events[1:]
	return e, true
}

// received counts what came of the reply. Of a reply that is passed on in parts, the largest
// of them counts. If it was the last, no more than the reply is held from here on.
func (x *call) received(e event, final bool) *gateway.Error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !e.cut {
		x.queued -= e.weight()
	}
	if x.req.Partial != nil {
		x.size = 0
	} else if !final {
		x.size += mdp.FrameOverhead
	}
	if x.size += e.bytes; x.size > x.maxReply || e.cut && !e.short {
		return &gateway.Error{Kind: gateway.ReplyTooLarge, Detail: "the reply is larger than the gateway takes"}
	}
	x.reply.Bytes = max(x.reply.Bytes, x.size)
	if final {
		x.least = 0
	}
	if e.short || !x.settle() {
		return &gateway.Error{Kind: gateway.ReplyTooLarge, Reason: gateway.ReasonMemory, Detail: "the gateway has no room for the reply"}
	}
	return nil
}
