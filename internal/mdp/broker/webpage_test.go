package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

// smuggled is a request for a service as ZMTP/1.0 frames: a length that counts the
// flags, the flags, the bytes. Bytes of 0x01 before it are empty frames, wherever
// among them a reader begins; the first frame here ends the message that they are.
func smuggled(sled int, service, body string) []byte {
	b := bytes.Repeat([]byte{1}, sled)
	b = append(b, 1, 0)
	for _, frame := range []string{"", "MDPC01", service} {
		b = append(append(b, byte(len(frame)+1), 1), frame...)
	}
	return append(append(b, byte(len(body)+1), 0), body...)
}

// A web page may post any bytes to any port, and ZMTP/1.0 has no handshake that
// would tell such a post from a peer.
func TestWhatAWebPagePostsReachesNoWorker(t *testing.T) {
	b := mdptest.Broker(t)
	endpoint := mdptest.Endpoint(b)
	var ran atomic.Int64
	mdptest.Worker(t, endpoint, "echo", func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
		ran.Add(1)
		return body, nil
	})
	address := strings.TrimPrefix(endpoint, "tcp://")
	for sled := range 90 {
		body := smuggled(400+sled, "echo", "from a page")
		post(t, address, fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nOrigin: http://evil.test\r\n\r\n%s", address, len(body), body))
	}
	// Every connection above has ended, so whatever it brought is before this.
	client := mdptest.NewDealer(t, endpoint)
	request(t, client, mdp.V01, "echo", "hi")
	if got, _ := reply(t, client, mdp.V01, "echo"); got != "hi" {
		t.Errorf("a ZMTP/3 client got %q, want hi", got)
	}
	if got, want := [2]int64{ran.Load(), int64(b.Stats().Requests)}, [2]int64{1, 1}; got != want {
		t.Errorf("the worker ran and the broker took %d requests, want %d", got, want)
	}
}

// post sends bytes and waits until the other side ends the connection.
func post(t *testing.T, address string, message []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(message); err != nil {
		return // it was refused before all was sent
	}
	_ = conn.(*net.TCPConn).CloseWrite() // fails if it was refused meanwhile
	if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
}
