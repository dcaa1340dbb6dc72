package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi"
)

// serveNull measures what the gateway's own server costs, at the address of its first
// argument. /null returns the body without any code of the gateway; /wait does so 10 ms later.
// All other paths pass through httpapi, with a service that answers at once in place of the
// broker.
func serveNull(ctx context.Context, args []string) error {
	server, err := nullHTTP()
	if err != nil {
		return err
	}
	return serveUntil(ctx, server, args[0])
}

func nullHTTP() (*http.Server, error) {
	api, err := httpapi.New(httpapi.Config{Caller: instants{}, Health: instants{}})
	if err != nil {
		return nil, err
	}
	server := api.Server()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /null", echo)
	mux.HandleFunc("POST /wait", func(w http.ResponseWriter, r *http.Request) { echoAfter(10*time.Millisecond, w, r) })
	mux.Handle("/", server.Handler)
	server.Handler = mux
	return server, nil
}

// serveEcho serves the null handler from a plain server.
func serveEcho(ctx context.Context, args []string) error {
	return serveUntil(ctx, &http.Server{Handler: http.HandlerFunc(echo)}, args[0])
}

func echo(w http.ResponseWriter, r *http.Request) { echoAfter(0, w, r) }

func echoAfter(wait time.Duration, w http.ResponseWriter, r *http.Request) {
	body := make([]byte, max(r.ContentLength, 0))
	if _, err := io.ReadFull(r.Body, body); err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	if wait > 0 {
		time.Sleep(wait) // in place of a worker's answer: a handler that waits is what is measured
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(body)
}

func serveUntil(ctx context.Context, server *http.Server, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// instants has every service. No window uses the methods that it lacks.
type instants struct{ httpapi.Caller }

func (instants) Service(string) gateway.Service { return instant{} }

func (instants) SilentServices() int { return 0 }

func (instants) Brokers() (reached, connected bool, lost, silent, mute []string) {
	return true, true, nil, nil, nil
}

// instant replies with a copy of the request's frames.
type instant struct{ gateway.Service }

func (instant) Call(_ context.Context, call gateway.Call) (gateway.Reply, error) {
	frames := make([][]byte, len(call.Frames))
	for i, frame := range call.Frames {
		frames[i] = bytes.Clone(frame)
	}
	return gateway.Reply{Frames: frames}, nil
}

func (instant) Admit() error { return nil }

func (instant) Limit(gateway.Call) time.Duration { return 25 * time.Second }

func (instant) Form() (string, gateway.Encoding) { return "", "" }
