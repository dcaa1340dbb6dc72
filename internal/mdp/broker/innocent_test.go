//go:build linux

package broker_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mdpx"
)

// A gateway leaves before the broker has read its first messages, and another connection of the process is given the
// descriptor. The broker does not shut that one down when it finds that the gateway is gone.
func TestNoOtherConnectionIsEndedForOneThatHasGone(t *testing.T) {
	b := mdptest.Broker(t)
	gateway := newPeer(t, mdptest.Endpoint(b))
	descriptor := descriptorTo(t, gateway.conn.LocalAddr())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go answer(listener)
	var innocents []net.Conn
	b.Stall(func() {
		for range 3 {
			gateway.send(false, mdpx.AppendWatch(nil)...)
		}
		_ = gateway.conn.Close()
		for start := time.Now(); !isEndOf(descriptor, listener.Addr()); {
			if time.Since(start) > 20*time.Second {
				t.Fatalf("none of %d connections was given the descriptor", len(innocents))
			}
			innocent, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = innocent.Close() })
			innocents = append(innocents, innocent)
		}
	})
	eventually(t, b, "answers to a gateway that has gone", func(s broker.Stats) bool { return s.Dropped["client_gone"] >= 3 })
	for _, innocent := range innocents {
		if err := innocent.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 2)
		if _, err := innocent.Write([]byte("hi")); err != nil {
			t.Fatal(err)
		}
		if _, err := innocent.Read(got); err != nil || !bytes.Equal(got, []byte("hi")) {
			t.Fatalf("another connection: got %q, %v", got, err)
		}
	}
}

// answer sends back the two bytes that come over each connection.
func answer(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			b := make([]byte, 2) // io.Copy would open pipes
			if _, err := io.ReadFull(conn, b); err == nil {
				_, _ = conn.Write(b)
			}
		}()
	}
}

// descriptorTo returns the descriptor of this process's connection whose peer has that address.
func descriptorTo(t *testing.T, peer net.Addr) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		descriptor, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		if address, err := unix.Getpeername(descriptor); err == nil && portOf(address) == peer.(*net.TCPAddr).Port {
			return descriptor
		}
	}
	t.Fatalf("no descriptor is connected to %s", peer)
	return 0
}

// isEndOf reports whether a descriptor is either end of a connection to a listener.
func isEndOf(descriptor int, listener net.Addr) bool {
	port := listener.(*net.TCPAddr).Port
	local, errLocal := unix.Getsockname(descriptor)
	peer, errPeer := unix.Getpeername(descriptor)
	return errLocal == nil && errPeer == nil && (portOf(local) == port || portOf(peer) == port)
}

func portOf(address unix.Sockaddr) int {
	if a, ok := address.(*unix.SockaddrInet4); ok {
		return a.Port
	}
	return 0
}
