package zsock_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"mdpgateway/internal/mdp/internal/zsock"
)

// A Watch needs three sockets. Wherever it runs out of them, nothing may get
// stuck: a monitor that nobody listens to stops the thread in which libzmq frees
// the sockets of the whole context.
func TestAWatchThatFindsTooFewSocketsLeavesTheContextInOrder(t *testing.T) {
	const sockets = 8
	for room := range 4 {
		zctx, err := zsock.NewContext(sockets)
		if err != nil {
			t.Fatal(err)
		}
		var open []*zsock.Socket
		for range sockets - room {
			s, err := zctx.Dealer(zsock.DealerOptions{})
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, s)
		}
		w, err := zctx.Watch("tcp://127.0.0.1:1", zsock.WatchOptions{Handshake: time.Second, Interval: time.Second, Timeout: time.Second})
		switch {
		case err == nil && room < 3:
			t.Errorf("with %d sockets left: no error, want none left", room)
		case err != nil && !errors.Is(err, zsock.ErrDescriptors):
			t.Errorf("with %d sockets left: got %v, want none left", room, err)
		}
		if err == nil {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, s := range open {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		ended := make(chan error, 1)
		go func() { ended <- zctx.Close() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("with %d sockets left for the watch, the context did not close", room)
		}
	}
}

// A Watch is closed while its connection is in each of its states, by a context
// that has sockets for a few of them: they have to be freed. A monitor that
// outlives its listener waits for somebody to take its next event, and with it
// the thread that frees sockets, until the context ends.
func TestWatchesAreFreedWhateverTheStateOfTheirConnection(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	_, up := router(t, newContext(t))
	for state, endpoint := range map[string]string{"refused": "tcp://127.0.0.1:1", "shaking hands": "tcp://" + mute.Addr().String(), "up": up} {
		t.Run(state, func(t *testing.T) {
			zctx, err := zsock.NewContext(12)
			if err != nil {
				t.Fatal(err)
			}
			defer zctx.Close()
			for i := range 50 {
				w := watchWhenThereAreSockets(t, zctx, endpoint, i)
				for event := zsock.Event(-1); state != "shaking hands" && event < 0; {
					if event, err = w.Next(); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// watchWhenThereAreSockets is the nth Watch of a context that may have to free
// the sockets of others before.
func watchWhenThereAreSockets(t *testing.T, zctx *zsock.Context, endpoint string, n int) *zsock.Watch {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
		w, err := zctx.Watch(endpoint, zsock.WatchOptions{Handshake: time.Minute, Interval: time.Second, Timeout: time.Minute})
		switch {
		case err == nil:
			return w
		case !errors.Is(err, zsock.ErrDescriptors):
			t.Fatal(err)
		case time.Now().After(deadline):
			t.Fatalf("the sockets of closed watches are not freed: %v, at the watch %d", err, n)
		}
	}
}
