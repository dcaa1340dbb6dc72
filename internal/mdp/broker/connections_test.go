package broker_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
)

// Connections that say nothing take no more descriptors than the broker's share, and
// when they are gone their places are free again.
func TestConnectionsBeyondTheBoundAreEnded(t *testing.T) {
	const limit, silent = 20, 500
	b := mdptest.BrokerWith(t, broker.Config{MaxConnections: limit})
	endpoint := mdptest.Endpoint(b)
	mdptest.Worker(t, endpoint, "echo", echo)
	client := mdptest.NewDealer(t, endpoint)
	connections := make([]net.Conn, silent)
	ended := make(chan error, silent)
	for i := range connections {
		conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		connections[i] = conn
		go func() {
			_, err := io.Copy(io.Discard, conn) // the broker's greeting, and the end
			ended <- err
		}()
	}
	// All that are over the bound end at once, whatever the handshake's timeout is.
	for range silent - limit {
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("of %d connections %d are ended, want all but %d", silent, b.Stats().Refused, limit)
		}
	}
	if s := b.Stats(); s.Max != limit || s.Open < 1 || s.Open > silent {
		t.Errorf("%d of %d connections are open, want some of %d", s.Open, s.Max, limit)
	}
	eventually(t, b, "those over the bound, and no more, are counted", func(s broker.Stats) bool {
		return s.Refused >= silent-limit && s.Refused < silent
	})
	// Who was there before notices nothing.
	request(t, client, mdp.V01, "echo", "hi")
	if got, _ := reply(t, client, mdp.V01, "echo"); got != "hi" {
		t.Errorf("got %q, want hi", got)
	}
	for _, conn := range connections {
		_ = conn.Close()
	}
	eventually(t, b, "a place for another client", func(broker.Stats) bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = io.Copy(io.Discard, conn)
		return err != nil // not ended by the broker within the time
	})
	another := mdptest.NewDealer(t, endpoint)
	request(t, another, mdp.V01, "echo", "hi")
	if got, _ := reply(t, another, mdp.V01, "echo"); got != "hi" {
		t.Errorf("got %q, want hi", got)
	}
}
