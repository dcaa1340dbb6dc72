package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager listens as systemd does, and returns the address and a function that
// waits for the next message.
func manager(t *testing.T) (address string, next func() string) {
	t.Helper()
	address = filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return address, func() string {
		message := make([]byte, 100)
		if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := socket.Read(message)
		if err != nil {
			t.Fatalf("nothing was told: %v", err)
		}
		return string(message[:n])
	}
}

func TestTheServiceManagerIsToldWhenTheGatewayIsReadyAndWhenItStops(t *testing.T) {
	address, next := manager(t)
	ctx, stop := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*"},
			[]string{"NOTIFY_SOCKET=" + address}, io.Discard, io.Discard)
	}()
	if got := next(); got != "READY=1" {
		t.Errorf("first: got %q, want READY=1", got)
	}
	stop()
	if got := next(); got != "STOPPING=1" {
		t.Errorf("then: got %q, want STOPPING=1", got)
	}
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d, want 0", got)
	}
}

func TestAServiceManagerThatIsGoneIsNoReasonNotToServe(t *testing.T) {
	var stderr bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	stop()
	gone := filepath.Join(t.TempDir(), "gone")
	code := run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*"},
		[]string{"NOTIFY_SOCKET=" + gone}, io.Discard, &stderr)
	if code != exitOK || !strings.Contains(stderr.String(), "the service manager can't be reached") {
		t.Errorf("got exit code %d and %s, want 0 and a warning", code, stderr.String())
	}
}
