//go:build linux

package zsock_test

import (
	"testing"
	"time"

	"mdpgateway/internal/mdp/internal/zsock"
)

func TestAConnectionThatHasEndedIsToldFromOneThatHasItsDescriptor(t *testing.T) {
	c, other := newContext(t), newContext(t)
	r, endpoint := router(t, c)
	r.SetDeadline(time.Now().Add(20 * time.Second))
	receive := func(d *zsock.Socket) zsock.Connection {
		t.Helper()
		d.SetDeadline(time.Now().Add(20 * time.Second))
		if err := d.WaitWritable(); err != nil {
			t.Fatal(err)
		}
		if err := d.Send([][]byte{[]byte("hi")}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Receive(); err != nil {
			t.Fatal(err)
		}
		return r.Connection()
	}
	stays := receive(dealer(t, other, endpoint, zsock.DealerOptions{}))
	for range 20 {
		goes := dealer(t, other, endpoint, zsock.DealerOptions{})
		gone := receive(goes)
		if gone.Ended() {
			t.Fatal("a connection that is open has ended")
		}
		_ = goes.Close()
		ticker := time.NewTicker(time.Millisecond)
		for start := time.Now(); !gone.Ended(); <-ticker.C {
			if time.Since(start) > 20*time.Second {
				t.Fatal("a connection that was closed has not ended")
			}
		}
		ticker.Stop()
		if receive(dealer(t, other, endpoint, zsock.DealerOptions{})).Ended() || !gone.Ended() {
			t.Fatal("the connection that got its descriptor has ended, or the one before it has not")
		}
	}
	if stays.Ended() {
		t.Error("the connection that stayed has ended")
	}
	if (zsock.Connection{}).Ended() {
		t.Error("a connection of which nothing is known has ended")
	}
}

func TestAConnectionCanBeEndedAndNoOtherIs(t *testing.T) {
	c, other := newContext(t), newContext(t)
	r, endpoint := router(t, c)
	r.SetDeadline(time.Now().Add(20 * time.Second))
	dealers := make([]*zsock.Socket, 2)
	connections := make([]zsock.Connection, 2)
	for i := range dealers {
		d := dealer(t, other, endpoint, zsock.DealerOptions{})
		d.SetDeadline(time.Now().Add(20 * time.Second))
		if err := d.WaitWritable(); err != nil {
			t.Fatal(err)
		}
		if err := d.Send([][]byte{[]byte("hi")}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Receive(); err != nil {
			t.Fatal(err)
		}
		dealers[i], connections[i] = d, r.Connection()
	}
	connections[0].End()
	if _, err := dealers[0].Receive(); err != zsock.ErrLost {
		t.Fatalf("got %v, want the connection lost", err)
	}
	for ticker := time.NewTicker(time.Millisecond); !connections[0].Ended(); <-ticker.C {
	}
	connections[0].End()
	(zsock.Connection{}).End()
	if err := dealers[1].Check(); err != nil || connections[1].Ended() {
		t.Errorf("the other connection: %v, ended %v", err, connections[1].Ended())
	}
}
