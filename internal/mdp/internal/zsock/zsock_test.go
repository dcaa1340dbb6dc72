package zsock_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/mdp/internal/zsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newContext(t *testing.T) *zsock.Context {
	t.Helper()
	c, err := zsock.NewContext(512) // one that was closed counts until libzmq's thread has seen to it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// closing closes a socket when the test ends, before its context.
func closing[S interface{ Close() error }](t *testing.T, s S, err error) S {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func router(t *testing.T, c *zsock.Context) (*zsock.Socket, string) {
	t.Helper()
	return routerWith(t, c, zsock.RouterOptions{})
}

func routerWith(t *testing.T, c *zsock.Context, o zsock.RouterOptions) (*zsock.Socket, string) {
	t.Helper()
	r, err := c.Router(o)
	closing(t, r, err)
	endpoint, err := r.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	return r, endpoint
}

func dealer(t *testing.T, c *zsock.Context, endpoint string, o zsock.DealerOptions) *zsock.Socket {
	t.Helper()
	d, err := c.Dealer(o)
	closing(t, d, err)
	if err := d.Connect(endpoint); err != nil {
		t.Fatal(err)
	}
	return d
}

func frames(s ...string) (f [][]byte) {
	for _, x := range s {
		f = append(f, []byte(x))
	}
	return f
}

// echo answers each message with itself until the router is interrupted.
func echo(r *zsock.Socket) <-chan error {
	done := make(chan error, 1)
	go func() {
		for {
			m, err := r.Receive()
			if err == nil {
				err = r.Send(m)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	return done
}

func TestAMessageGoesToARouterAndBack(t *testing.T) {
	c := newContext(t)
	r, endpoint := router(t, c)
	done := echo(r)
	d := dealer(t, c, endpoint, zsock.DealerOptions{})
	if err := d.WaitWritable(); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		want := frames("", fmt.Sprint(i), "\x00\xff")
		if err := d.Send(want); err != nil {
			t.Fatal(err)
		}
		got, err := d.Receive()
		if err != nil || !equal(got, want) {
			t.Fatalf("round trip %d: got %q, %v, want %q", i, got, err, want)
		}
	}
	r.Interrupt()
	if err := <-done; !zsock.IsInterrupted(err) {
		t.Errorf("interrupted router: got %v, want os.ErrDeadlineExceeded", err)
	}
}

func equal(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func TestAWaitEndsByInterruptAndByDeadline(t *testing.T) {
	c := newContext(t)
	_, endpoint := router(t, c)
	d := dealer(t, c, endpoint, zsock.DealerOptions{})
	if err := d.WaitWritable(); err != nil {
		t.Fatal(err)
	}
	d.SetDeadline(time.Now().Add(time.Millisecond))
	if _, err := d.Receive(); !zsock.IsInterrupted(err) {
		t.Errorf("past the deadline: got %v, want os.ErrDeadlineExceeded", err)
	}
	d.SetDeadline(time.Time{})
	go d.Interrupt()
	if _, err := d.Receive(); !zsock.IsInterrupted(err) {
		t.Errorf("interrupted: got %v, want os.ErrDeadlineExceeded", err)
	}
	if _, err := d.Receive(); !zsock.IsInterrupted(err) {
		t.Errorf("interrupted before: got %v, want os.ErrDeadlineExceeded", err)
	}
}

func TestALostConnectionEndsTheWait(t *testing.T) {
	c, other := newContext(t), newContext(t)
	r, err := other.Router(zsock.RouterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := r.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	d := dealer(t, c, endpoint, zsock.DealerOptions{})
	if err := d.WaitWritable(); err != nil {
		t.Fatal(err)
	}
	if err := d.Check(); err != nil {
		t.Errorf("a fresh socket: got %v, want nil", err)
	}
	go r.Close()
	if _, err := d.Receive(); err != zsock.ErrLost {
		t.Errorf("got %v, want %v", err, zsock.ErrLost)
	}
	if err := d.Check(); err != zsock.ErrLost {
		t.Errorf("check: got %v, want %v", err, zsock.ErrLost)
	}
	if _, err := d.SendReceive(frames("hello"), func() { t.Error("a message was sent on a lost connection") }); err != zsock.ErrLost {
		t.Errorf("exchange: got %v, want %v", err, zsock.ErrLost)
	}
}

func TestASocketWithAMessageIsNotClean(t *testing.T) {
	c := newContext(t)
	r, endpoint := router(t, c)
	d := dealer(t, c, endpoint, zsock.DealerOptions{RoutingID: []byte("me")})
	if err := d.WaitWritable(); err != nil {
		t.Fatal(err)
	}
	if err := d.Send(frames("hello")); err != nil {
		t.Fatal(err)
	}
	m, err := r.Receive()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Receive(); err != nil {
		t.Fatal(err)
	}
	for err = d.Check(); err == nil; err = d.Check() { // the duplicate is on its way
	}
	if err != zsock.ErrStray {
		t.Errorf("got %v, want %v", err, zsock.ErrStray)
	}
	if _, err := d.SendReceive(frames("hello"), func() { t.Error("a message was sent behind another's back") }); err != zsock.ErrStray {
		t.Errorf("exchange: got %v, want %v", err, zsock.ErrStray)
	}
	if err := r.Send(frames("nobody", "hello")); err != zsock.ErrUnreachable {
		t.Errorf("to nobody: got %v, want %v", err, zsock.ErrUnreachable)
	}
}

// What comes before an exchange waits must end its wait: here the answer is on its
// way then, or there.
func TestSendReceiveSeesWhatCameBeforeItWaits(t *testing.T) {
	c := newContext(t)
	r, endpoint := router(t, c)
	d := dealer(t, c, endpoint, zsock.DealerOptions{RoutingID: []byte("me")})
	if err := d.WaitWritable(); err != nil {
		t.Fatal(err)
	}
	d.SetDeadline(time.Now().Add(20 * time.Second))
	for range 1000 {
		got, err := d.SendReceive(frames("hello"), func() {
			m, err := r.Receive()
			if err == nil {
				err = r.Send(m)
			}
			if err != nil {
				t.Error(err)
			}
		})
		if err != nil || string(got[0]) != "hello" {
			t.Fatalf("got %q, %v, want hello", got, err)
		}
	}
}

// To send takes what libzmq's thread has told the socket, a stray message's coming
// too, and after that nobody is told of the reply: an exchange that does not look
// once more waits for ever. The stray comes at about the time of the request.
func TestAStrayWhileTheRequestIsSentHidesNoReply(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := newContext(t)
	r, endpoint := router(t, c)
	ids := make(chan string)
	defer close(ids)
	go func() {
		for id := range ids {
			for r.Send(frames(id, "stray")) == zsock.ErrUnreachable {
				_ = r.Check() // takes the news of who has connected
			}
			m, err := r.Receive()
			if err == nil {
				err = r.Send(append(m[:1], []byte("reply")))
			}
			if err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range 1500 {
		id := fmt.Sprint("client ", i)
		d, err := c.Dealer(zsock.DealerOptions{RoutingID: []byte(id)})
		if err == nil {
			err = errors.Join(d.Connect(endpoint), d.WaitWritable())
		}
		if err != nil {
			t.Fatal(err)
		}
		d.SetDeadline(time.Now().Add(20 * time.Second))
		ids <- id
		pause := time.Duration(random.IntN(200)) * time.Microsecond
		for begun := time.Now(); time.Since(begun) < pause; {
		}
		got, err := d.SendReceive(frames("hello"), func() {})
		if err == zsock.ErrStray {
			if got, err = d.Receive(); err == nil {
				got, err = d.SendReceive(frames("hello"), func() {})
			}
		}
		for err == nil && string(got[0]) == "stray" {
			got, err = d.Receive()
		}
		if err != nil || string(got[0]) != "reply" {
			t.Fatalf("round %d: got %q, %v, want the reply", i, got, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMessageOverItsLimitIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply [][]byte
		want  error
	}{
		{"one frame drops the connection", frames(string(make([]byte, 4097))), zsock.ErrLost},
		{"the sum of the frames", frames(string(make([]byte, 4000)), string(make([]byte, 4000))), zsock.ErrTooLarge},
		{"many empty frames", make([][]byte, 100), zsock.ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := newContext(t)
			r, endpoint := router(t, ctx)
			d := dealer(t, ctx, endpoint, zsock.DealerOptions{RoutingID: []byte("me"), MaxMessage: 4096})
			if err := d.WaitWritable(); err != nil {
				t.Fatal(err)
			}
			if err := d.Send(frames("hello")); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Receive(); err != nil {
				t.Fatal(err)
			}
			if err := r.Send(append(frames("me"), c.reply...)); err != nil {
				t.Fatal(err)
			}
			if got, err := d.Receive(); !errors.Is(err, c.want) {
				t.Errorf("got %d frames, %v, want %v", len(got), err, c.want)
			}
		})
	}
}

func TestWithoutPeerNothingIsSentOrKept(t *testing.T) {
	c := newContext(t)
	d := dealer(t, c, "tcp://127.0.0.1:1", zsock.DealerOptions{})
	if err := d.Send(frames("hello")); err != zsock.ErrAgain {
		t.Errorf("send: got %v, want %v", err, zsock.ErrAgain)
	}
	d.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if err := d.WaitWritable(); !zsock.IsInterrupted(err) {
		t.Errorf("wait: got %v, want os.ErrDeadlineExceeded", err)
	}
}

func TestAContextOutOfSocketsSaysSo(t *testing.T) {
	c, err := zsock.NewContext(1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, err := c.Dealer(zsock.DealerOptions{})
	closing(t, d, err)
	if _, err := c.Dealer(zsock.DealerOptions{}); !errors.Is(err, zsock.ErrDescriptors) {
		t.Errorf("got %v, want %v", err, zsock.ErrDescriptors)
	}
	d.Close()
}

func TestRoutingIDsAreRandomPrintableCharacters(t *testing.T) {
	seen, characters := map[string]bool{}, [16]map[byte]bool{}
	for range 10_000 {
		id := zsock.RandomRoutingID()
		if len(id) != 16 || seen[string(id)] {
			t.Fatalf("routing id %q", id)
		}
		seen[string(id)] = true
		for i, b := range id {
			if b <= ' ' || b > '~' {
				t.Fatalf("routing id %q", id)
			}
			if characters[i] == nil {
				characters[i] = map[byte]bool{}
			}
			characters[i][b] = true
		}
	}
	for i := range characters {
		if n := len(characters[i]); n != 94 {
			t.Errorf("byte %d has %d values, want 94", i, n)
		}
	}
}

var watchOptions = zsock.WatchOptions{Handshake: time.Second, Interval: time.Second, Timeout: 3 * time.Second}

func TestAWatchSaysWhatBecomesOfItsConnection(t *testing.T) {
	c, other := newContext(t), newContext(t)
	r, err := other.Router(zsock.RouterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := r.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Watch(endpoint, watchOptions)
	closing(t, w, err)
	expect(t, w, zsock.WatchUp)
	r.Close()
	expect(t, w, zsock.WatchLost)

	refused, err := c.Watch(endpoint, watchOptions)
	closing(t, refused, err)
	expect(t, refused, zsock.WatchRefused)

	go w.Interrupt()
	if e, err := w.Next(); !zsock.IsInterrupted(err) || e != zsock.WatchFailed {
		t.Errorf("interrupted: got %v, %v, want %v, os.ErrDeadlineExceeded", e, err, zsock.WatchFailed)
	}
}

func TestAWatchEndsWhereNobodySpeaksZMTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := watchOptions
	o.Handshake = 20 * time.Millisecond
	w, err := newContext(t).Watch("tcp://"+l.Addr().String(), o)
	closing(t, w, err)
	if e, err := w.Next(); err != nil || e == zsock.WatchUp {
		t.Errorf("got %v, %v, want an end", e, err)
	}
}

func expect(t *testing.T, w *zsock.Watch, want zsock.Event) {
	t.Helper()
	if got, err := w.Next(); err != nil || got != want {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
}

func TestARouterBindsIPv6(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	} else {
		l.Close()
	}
	c := newContext(t)
	r, err := c.Router(zsock.RouterOptions{})
	closing(t, r, err)
	endpoint, err := r.Bind("tcp://[::1]:*")
	if err != nil {
		t.Fatal(err)
	}
	d := dealer(t, c, endpoint, zsock.DealerOptions{})
	if err := d.WaitWritable(); err != nil {
		t.Fatal(err)
	}
}
