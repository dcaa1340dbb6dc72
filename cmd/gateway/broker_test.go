package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/mdpx"
)

// TestMain is the program itself in the processes that tests start.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Unsetenv(asProgram)
		if point := os.Getenv(diesAt); point != "" {
			os.Unsetenv(diesAt)
			os.Exit(dieAt(point))
		}
		main()
	}
	goleak.VerifyTestMain(m)
}

// background runs a command until stop is called, which returns its exit code.
// The lines of its log are decoded into the channel.
func background(t *testing.T, args string) (lines <-chan map[string]any, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, strings.Fields(args), nil, io.Discard, writer)
		writer.Close()
	}()
	decoded := make(chan map[string]any, 100)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(decoded)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			line := make(map[string]any)
			if json.Unmarshal(scanner.Bytes(), &line) != nil {
				line["text"] = scanner.Text()
			}
			select {
			case decoded <- line:
			default: // nobody reads that far
			}
		}
	}()
	return decoded, func() int {
		cancel()
		<-read
		return <-code
	}
}

// logged waits for a line of the log with that message, and returns it.
func logged(t *testing.T, lines <-chan map[string]any, message string) map[string]any {
	t.Helper()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("the command ended without logging %q", message)
			}
			if line["msg"] == message {
				return line
			}
		case <-t.Context().Done():
			t.Fatalf("no line %q", message)
		}
	}
}

func TestTheBrokerAndTheWorkerServeAClient(t *testing.T) {
	lines, stopBroker := background(t, "broker --bind tcp://127.0.0.1:*")
	endpoint := logged(t, lines, "broker listens")["endpoint"].(string)
	for _, dialect := range []string{"mdp/0.1", "mdp/0.2", "loudify"} {
		_, stopWorker := background(t, "worker --concurrency 1 --broker "+endpoint+" --dialect "+dialect)
		mdptest.WaitForService(t, endpoint, "echo")
		echo(t, endpoint, dialect)
		echoes(t, endpoint)
		if code := stopWorker(); code != exitOK {
			t.Errorf("%s: the worker's exit code is %d, want 0", dialect, code)
		}
	}
	if code := stopBroker(); code != exitOK {
		t.Errorf("the broker's exit code is %d, want 0", code)
	}
}

// echo calls the service echo once through a pool.
func echo(t *testing.T, endpoint, body string) {
	t.Helper()
	pool, err := client.New(client.Config{Endpoints: []client.Endpoint{{Address: endpoint, Dialect: mdp.V01}}})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close(t.Context())
	reply, err := pool.Call(t.Context(), gateway.Request{Service: "echo", Frames: [][]byte{[]byte(body)}})
	if err != nil || len(reply.Frames) != 1 || string(reply.Frames[0]) != body {
		t.Errorf("echo of %q: got %q, %v", body, reply.Frames, err)
	}
}

// echoes calls the service echo many times at once over one connection (MDPX/1).
func echoes(t *testing.T, endpoint string) {
	t.Helper()
	const calls = 100
	d := mdptest.NewDealer(t, endpoint)
	defer d.Close()
	ttl := mdpx.NewTTL(time.Minute)
	open := make(map[mdpx.ID]string, calls)
	for n := range calls {
		id, body := mdpx.NumberID(uint64(n)), fmt.Sprint("call ", n)
		request, err := mdpx.AppendRequest(nil, &id, &ttl, []byte("echo"), [][]byte{[]byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		d.Send(request)
		open[id] = body
	}
	for len(open) > 0 {
		m, err := mdpx.ParseFromBroker(d.Receive())
		want, ok := open[m.ID]
		if err != nil || m.Command != mdpx.Final || !ok || len(m.Body) != 1 || string(m.Body[0]) != want {
			t.Fatalf("got %+v, %v, want the FINAL %q, in flight %v", m, err, want, ok)
		}
		delete(open, m.ID)
	}
}

func TestABrokerThatCannotBindSaysSo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	code, _, stderr := runGateway(t, "broker --bind tcp://"+address, nil, "")
	if code != exitFailed || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, address) {
		t.Errorf("got %d %q, want %d and one line that names %s", code, stderr, exitFailed, address)
	}
}
