package zmtp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/zmtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds a test that fails and slows none that passes.
const patience = time.Minute

type message struct {
	frames [][]byte
	whole  bool
}

// dial connects and runs the connection until the test ends. Messages are those that came, ended has why Run ended.
func dial(t *testing.T, address string, limit int64) (c *zmtp.Conn, messages <-chan message, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all, end := make(chan message, 1000), make(chan error, 1)
	c, err := zmtp.Dial(ctx, strings.TrimPrefix(address, "tcp://"), []byte("it's me"), limit, func(frames [][]byte, whole bool) { all <- message{frames, whole} })
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { end <- c.Run() })
	t.Cleanup(func() {
		c.Interrupt()
		running.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, all, end
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// echo is a ROUTER that sends back what it gets, from whom it knows.
func echo(id []byte, frames [][]byte) [][][]byte {
	if string(id) != "it's me" {
		return nil
	}
	return [][][]byte{frames}
}

func TestMessagesOfAnyShapeComeBack(t *testing.T) {
	c, messages, _ := dial(t, mdptest.NewRouter(t, echo).Endpoint(), 64<<20)
	frame := func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, n) }
	many := make([][]byte, 300)
	for i := range many {
		many[i] = frame(i)
	}
	for _, frames := range [][][]byte{
		{{}}, {{}, {}}, {frame(255)}, {frame(256)}, {frame(127), frame(128), frame(129), {}}, {frame(1 << 20), {}, frame(3 << 20)}, many,
		{frame(5), frame(1<<20 + 1), frame(6), frame(1<<20 + 2), frame(2<<20 + 3), {}, frame(7)}, {frame(1<<20 + 4)},
	} {
		if err := c.Send(frames); err != nil {
			t.Fatal(err)
		}
		got := next(t, messages)
		if fmt.Sprintf("%x", got.frames) != fmt.Sprintf("%x", frames) || !got.whole {
			t.Errorf("sent %d frames, got %d others, whole %v", len(frames), len(got.frames), got.whole)
		}
	}
}

func TestMessagesOfManySendersStayWhole(t *testing.T) {
	c, messages, _ := dial(t, mdptest.NewRouter(t, echo).Endpoint(), 1<<20)
	const senders, each = 20, 30
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				text := fmt.Appendf(nil, "%d of %d ", i, s)
				if err := c.Send([][]byte{text, bytes.Repeat(text, i)}); err != nil {
					t.Error(err)
				}
				clear(text) // it was copied
			}
		})
	}
	last := map[string]int{}
	for range senders * each {
		m := next(t, messages)
		var i int
		var s string
		if _, err := fmt.Sscanf(string(m.frames[0]), "%d of %s", &i, &s); err != nil || len(m.frames) != 2 || string(m.frames[1]) != strings.Repeat(string(m.frames[0]), i) {
			t.Fatalf("got %q, %v", m.frames, err)
		}
		if i != last[s] {
			t.Errorf("sender %s: got message %d, want %d", s, i, last[s])
		}
		last[s] = i + 1
	}
	sending.Wait()
}

func TestOfAMessageOverTheLimitTheFirstFramesCome(t *testing.T) {
	c, messages, _ := dial(t, mdptest.NewRouter(t, echo).Endpoint(), 2000)
	long := make([]byte, 1500)
	for _, frames := range [][][]byte{
		{[]byte("head"), []byte("id"), make([]byte, 1<<20)},
		{[]byte("head"), []byte("id"), long, long, []byte("tail")},
		append([][]byte{[]byte("head"), []byte("id")}, make([][]byte, 1000)...),
	} {
		if err := errors.Join(c.Send(frames), c.Send([][]byte{[]byte("next")})); err != nil {
			t.Fatal(err)
		}
		m := next(t, messages)
		if m.whole || len(m.frames) < 2 || string(m.frames[0]) != "head" || string(m.frames[1]) != "id" || len(m.frames) > 100 {
			t.Errorf("got %d frames, whole %v", len(m.frames), m.whole)
		}
		if m := next(t, messages); !m.whole || string(m.frames[0]) != "next" {
			t.Errorf("the next one: got %.20q, whole %v", m.frames, m.whole)
		}
	}
}

const aRouter = "\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"

// peer listens, sends the handshake of a ROUTER and what else it is given, and returns what comes after the handshake
// of the one connection, until it is closed.
func peer(t *testing.T, sends string) (address string, conn <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	var running sync.WaitGroup
	running.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte(sends))
		// Of the handshake it has the greeting and READY with the id.
		_, _ = io.ReadFull(c, make([]byte, 64+2+6+22+13+len("it's me")))
		accepted <- c
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
		select {
		case c := <-accepted:
			_ = c.Close()
		default:
		}
	})
	return l.Addr().String(), accepted
}

func TestAPingIsAnsweredWithItsContext(t *testing.T) {
	// Of 3.0 as of 3.1; an ERROR says nothing after the handshake, as other commands do.
	old := strings.Replace(greetingOf("NULL"), "\x7f\x03\x01", "\x7f\x03\x00", 1)
	address, conn := peer(t, old+aRouter+"\x04\x09\x05ERROR\x02no"+"\x04\x0a\x04PING\x00\x0aabc"+"\x00\x02hi")
	c, messages, _ := dial(t, address, 1000)
	if m := next(t, messages); string(m.frames[0]) != "hi" {
		t.Errorf("got %q after the PING, want hi", m.frames)
	}
	if err := c.Send([][]byte{[]byte("ho")}); err != nil {
		t.Fatal(err)
	}
	p := next(t, conn)
	defer p.Close()
	got, want := make([]byte, len("\x04\x08\x04PONGabc\x00\x02ho")), "\x04\x08\x04PONGabc\x00\x02ho"
	if _, err := io.ReadFull(p, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestALostConnectionTakesNothingMore(t *testing.T) {
	address, conn := peer(t, greetingOf("NULL")+aRouter)
	c, _, ended := dial(t, address, 1000)
	_ = next(t, conn).Close()
	if err := next(t, ended); !errors.Is(err, zmtp.ErrLost) {
		t.Errorf("Run: got %v, want %v", err, zmtp.ErrLost)
	}
	if err := c.Send([][]byte{{}}); err != zmtp.ErrLost {
		t.Errorf("Send: got %v, want %v", err, zmtp.ErrLost)
	}
}

func TestAPeerThatReadsNothingHoldsUpNoSenderAndTakesBoundedMemory(t *testing.T) {
	address, conn := peer(t, greetingOf("NULL")+aRouter)
	c, _, ended := dial(t, address, 1000)
	defer next(t, conn).Close()
	c.Bound(1 << 20)
	body := make([]byte, 256<<10)
	var err error
	sent := 0
	for ; err == nil; sent++ {
		err = c.Send([][]byte{body})
	}
	if err != zmtp.ErrFull && err != zmtp.ErrLost { // lost after 4 s
		t.Errorf("got %v, want %v", err, zmtp.ErrFull)
	}
	if waits, most := c.Waits(), 2<<20; waits > most { // the queue, and the message that came to it last
		t.Errorf("after %d messages %d bytes wait, want at most %d", sent, waits, most)
	}
	c.Interrupt()
	next(t, ended)
}

func TestInterruptEndsRun(t *testing.T) {
	address, conn := peer(t, greetingOf("NULL")+aRouter)
	c, _, ended := dial(t, address, 1000)
	defer next(t, conn).Close()
	c.Interrupt()
	if err := next(t, ended); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestNoConnectionIsMadeToOthers(t *testing.T) {
	for name, sends := range map[string]string{
		"a PUB": greetingOf("NULL") + "\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB", "CURVE": greetingOf("CURVE"), "HTTP": "HTTP/1.1 400\r\n",
	} {
		address, _ := peer(t, sends)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if c, err := zmtp.Dial(ctx, address, []byte("it's me"), 1000, nil); err == nil {
			t.Errorf("%s: got a connection", name)
			_ = c.Close()
		}
		if ctx.Err() != nil {
			t.Errorf("%s: not told at once", name)
		}
		cancel()
	}
	address, _ := peer(t, "") // and says nothing
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := zmtp.Dial(ctx, address, nil, 1000, nil); err == nil {
		t.Error("a mute peer: got a connection")
	}
}

// FuzzMessages holds that no bytes of a peer make more of a message than the limit lets through.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("\x01\x02hi\x00\x02ho\x04\x07\x04PING\x00\x0a"))
	f.Add([]byte("\x03\x00\x00\x00\x00\x00\x00\x04\x00\x02\x7f\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, sends []byte) {
		const limit = 4096
		zmtp.ReadAll(sends, limit, func(frames [][]byte, whole bool) {
			size := 0
			for _, frame := range frames {
				size += len(frame)
			}
			if size > limit || len(frames) > limit/32 || whole && len(frames) == 0 {
				t.Errorf("%q: a message of %d bytes in %d frames, whole %v", sends, size, len(frames), whole)
			}
		})
	})
}
