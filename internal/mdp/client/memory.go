package client

import (
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// leastRoom is what a call holds for a reply of which nothing is known.
const leastRoom = 64 << 10

// reserve takes room for the reply before the request is sent. The same room is first that
// of libzmq's copy of the request, which is sent and freed before the reply comes.
func (p *Pool) reserve(x *call) error {
	size := mdp.Size(x.req.Frames)
	p.heap.Note(size)
	if x.req.Room == nil {
		return nil
	}
	x.room = max(size, min(max(leastRoom, x.req.Expect), x.maxReply))
	if !x.req.Room.Resize(x.room) {
		x.room = 0
		return gateway.Refused(gateway.ReasonMemory, gateway.NoMemory)
	}
	return nil
}

// received counts what came of the reply. If it is the last of it, no more than the reply
// is held from here on. A reply that is larger than the room for it and does not fit in
// what is left is given up, although it is here: it would be held for as long as its
// caller takes to read it.
func (p *Pool) received(x *call, final bool) error {
	x.reply.Bytes = max(x.reply.Bytes, x.size) // of a stream, its largest part
	p.heap.Note(x.size)
	if x.req.Room == nil || !final && x.size <= x.room {
		return nil
	}
	if !x.req.Room.Resize(x.size) {
		return noRoom()
	}
	x.room = x.size
	return nil
}

// giveUp gives back all that a call holds that failed.
func (x *call) giveUp() {
	if x.req.Room != nil && x.room > 0 {
		x.req.Room.Resize(0)
	}
}

func noRoom() *gateway.Error {
	return &gateway.Error{Kind: gateway.ReplyTooLarge, Reason: gateway.ReasonMemory, Detail: "the gateway has no room for the reply"}
}
