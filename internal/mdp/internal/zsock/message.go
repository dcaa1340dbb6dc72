package zsock

/*
#cgo pkg-config: libzmq
#cgo noescape zsock_send
#cgo nocallback zsock_send
#cgo noescape zsock_forward
#cgo nocallback zsock_forward
#cgo noescape zsock_begin
#cgo nocallback zsock_begin
#cgo noescape zsock_receive
#cgo nocallback zsock_receive
#cgo noescape zsock_look
#cgo nocallback zsock_look
#cgo noescape zsock_events
#cgo nocallback zsock_events
#cgo noescape zsock_drop
#cgo nocallback zsock_drop
#include <stdlib.h>
#include "message.h"
*/
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	zmq "github.com/pebbe/zmq4"

	"mdpgateway/internal/mdp"
)

// joined is how many bytes of small frames are copied together, so that one call sends
// them.
const joined = 1 << 10

// messages sends and receives whole messages over a socket of pebbe's, by two
// calls into C or little more, where pebbe makes six and two allocations for each
// frame of a message. It belongs to the goroutine that uses the socket.
type messages struct {
	socket unsafe.Pointer // libzmq's; pebbe opens, configures and closes it
	in     *C.zsock_inbox // C's memory, since libzmq keeps frames in it
	bytes  []byte         // small frames that are sent together
	sizes  []C.size_t     // of the frames that one call sends
	skips  bool           // a message over the limit is received to its end, in part
	lends  bool           // as RouterOptions.Lend says
}

// newMessages finds libzmq's socket in pebbe's, which has no method for it. Free
// frees the result.
func newMessages(soc *zmq.Socket) (messages, error) {
	field := reflect.ValueOf(soc).Elem().FieldByName("soc")
	if field.Kind() != reflect.UnsafePointer || field.IsNil() {
		return messages{}, errors.New("this release of pebbe/zmq4 keeps its socket elsewhere than in Socket.soc")
	}
	in := (*C.zsock_inbox)(C.malloc(C.sizeof_zsock_inbox)) // Go ends the program if there is no memory
	in.larges, in.wants_source, in.source = 0, false, -1
	in.wants_user, in.user[0] = false, 0
	return messages{socket: field.UnsafePointer(), in: in}, nil
}

// free leaves a socket that libzmq says is none.
func (m *messages) free() {
	if m.in != nil {
		m.drop()
	}
	C.free(unsafe.Pointer(m.in))
	m.in, m.socket = nil, nil
}

// send sends one message without waiting. If the socket rests it has to be fit for
// it: ErrStray, ErrLost.
func (m *messages) send(frames [][]byte, rests bool) error {
	for sent := 0; sent < len(frames); sent += len(m.sizes) {
		data := m.join(frames[sent:])
		more := sent+len(m.sizes) < len(frames)
		var rc C.int
		switch {
		case m.isLent(data):
			rc = C.zsock_forward(m.socket, m.in, unsafe.Pointer(unsafe.SliceData(data)), C.bool(more))
		case rests && sent == 0:
			rc = C.zsock_begin(m.socket, unsafe.Pointer(unsafe.SliceData(data)), &m.sizes[0], C.int(len(m.sizes)), C.bool(more))
		default:
			rc = C.zsock_send(m.socket, unsafe.Pointer(unsafe.SliceData(data)), &m.sizes[0], C.int(len(m.sizes)), C.bool(more))
		}
		if rc != 0 && sent > 0 {
			rc |= C.ZSOCK_TORN
		}
		if rc != 0 {
			return failure(rc)
		}
	}
	return nil
}

// join returns what the next call sends, and sets sizes: a large frame from where
// it is, or small ones, copied together.
func (m *messages) join(frames [][]byte) []byte {
	m.bytes, m.sizes = m.bytes[:0], m.sizes[:0]
	for _, frame := range frames {
		if len(m.bytes)+len(frame) > joined {
			break
		}
		m.bytes = append(m.bytes, frame...)
		m.sizes = append(m.sizes, C.size_t(len(frame)))
	}
	if len(m.sizes) > 0 {
		return m.bytes
	}
	m.sizes = append(m.sizes, C.size_t(len(frames[0])))
	return frames[0]
}

// receive returns a whole message without waiting. Its small frames share an
// array. A limit of 0 means none.
func (m *messages) receive(limit int64) ([][]byte, error) {
	if m.socket == nil {
		return nil, zmq.ErrorSocketClosed
	}
	m.drop()
	return m.collect(C.zsock_receive(m.socket, m.in), limit)
}

// look is receive for a socket of which nothing is known: to try in vain would be
// to look twice for what libzmq's thread has told it. After ErrAgain lost says that
// it can't be written either.
func (m *messages) look(limit int64) (frames [][]byte, lost bool, err error) {
	m.drop()
	frames, err = m.collect(C.zsock_look(m.socket, m.in), limit)
	return frames, m.in.events&C.ZMQ_POLLOUT == 0, err
}

// collect returns the message whose first frames, if rc is 0, are in the inbox.
func (m *messages) collect(rc C.int, limit int64) (frames [][]byte, err error) {
	for size := int64(0); ; rc = C.zsock_receive(m.socket, m.in) {
		n := int(m.in.frames)
		for _, s := range m.in.size[:n] {
			size += int64(s) + mdp.FrameOverhead
		}
		switch {
		case rc != 0 && len(frames) > 0:
			rc |= C.ZSOCK_TORN
			fallthrough
		case rc != 0:
			m.drop()
			return nil, failure(rc)
		case limit > 0 && size > limit && m.skips:
			return m.skip(frames, n)
		case limit > 0 && size > limit:
			m.drop()
			return nil, ErrTooLarge
		}
		frames = m.take(frames, n)
		if !m.in.more {
			return frames, nil
		}
	}
}

// skip receives the rest of a message that is too large, and returns those of its first
// frames that are here or were copied into the inbox.
func (m *messages) skip(frames [][]byte, n int) ([][]byte, error) {
	if len(frames) == 0 {
		small := 0
		for small < n && m.in.large[small] == nil {
			small++
		}
		frames = m.take(nil, small)
	}
	m.drop()
	for m.in.more {
		if rc := C.zsock_receive(m.socket, m.in); rc != 0 {
			m.drop()
			return nil, failure(rc | C.ZSOCK_TORN)
		}
		m.drop()
	}
	return frames, ErrTooLarge
}

// take copies the n frames of the inbox, but for those that are lent, and frees it if none is. To append to nothing is
// to allocate without clearing.
func (m *messages) take(frames [][]byte, n int) [][]byte {
	lends, lent := m.lends && len(frames) == 0 && !bool(m.in.more), false
	if frames == nil {
		frames = make([][]byte, 0, n)
	}
	small := append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&m.in.small)), m.in.used)...)
	for i := range n {
		size := m.in.size[i]
		switch large := m.in.large[i]; {
		case large == nil:
			frames = append(frames, small[:size:size])
			small = small[size:]
		case lends && size >= mdp.LentFrom:
			frames, lent = append(frames, unsafe.Slice((*byte)(large), size)), true
		default:
			frames = append(frames, append([]byte(nil), unsafe.Slice((*byte)(large), size)...))
		}
	}
	if !lent {
		m.drop()
	}
	return frames
}

// isLent reports whether a frame is of the message that was received last, and was not copied.
func (m *messages) isLent(frame []byte) bool {
	if !m.lends || m.in.larges == 0 || len(frame) < mdp.LentFrom {
		return false
	}
	for i := range m.in.frames {
		if m.in.large[i] == unsafe.Pointer(unsafe.SliceData(frame)) && int(m.in.size[i]) == len(frame) {
			return true
		}
	}
	return false
}

// drop gives what libzmq has of the inbox's frames back to it.
func (m *messages) drop() {
	if m.in.larges > 0 {
		C.zsock_drop(m.in)
	}
}

// events says whether a message can be received or sent. Alone among all calls it
// always processes what libzmq's thread has told the socket.
func (m *messages) events() (in, out bool, err error) {
	state := C.zsock_events(m.socket)
	if state < 0 {
		return false, false, failure(-state)
	}
	return state&C.ZMQ_POLLIN != 0, state&C.ZMQ_POLLOUT != 0, nil
}

// user returns the User-Id of the sender of the last message. It is valid until the next one.
func (m *messages) user() []byte {
	user := unsafe.Slice((*byte)(unsafe.Pointer(&m.in.user)), C.ZSOCK_USER)
	return user[:bytes.IndexByte(user, 0)]
}

// failure is the error of what a call into C returned.
func failure(rc C.int) error {
	switch rc {
	case C.ZSOCK_STRAY:
		return ErrStray
	case C.ZSOCK_LOST:
		return ErrLost
	}
	err := translate(zmq.Errno(rc &^ C.ZSOCK_TORN))
	if rc&C.ZSOCK_TORN != 0 {
		return fmt.Errorf("%w: %w", ErrTorn, err)
	}
	return err
}
