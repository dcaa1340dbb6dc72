package zsock_test

import (
	"errors"
	"net"
	"sync"
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

// Watches are closed in every state of their connection. A monitor that outlived
// its listener would stop the thread that frees sockets, and Close would hang.
func TestWatchesThatAreClosedWhileMuchHappensDoNotStopTheReaper(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	})
	defer serving.Wait()
	defer listener.Close()
	zctx, err := zsock.NewContext(5000)
	if err != nil {
		t.Fatal(err)
	}
	options := zsock.WatchOptions{Handshake: time.Second, Interval: time.Second, Timeout: time.Second}
	for i := range 500 {
		w, err := zctx.Watch("tcp://"+listener.Addr().String(), options)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(i%20) * 50 * time.Microsecond)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- zctx.Close() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the context did not close")
	}
}
