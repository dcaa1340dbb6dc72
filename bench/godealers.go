package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	zmq "github.com/pebbe/zmq4"
)

// callDealers calls like callPool, but as a Go program without a pool would: each
// goroutine has a DEALER and blocks in libzmq, which takes a thread.
func callDealers(ctx context.Context, args []string) error {
	l, err := parseLoad(args)
	if err != nil {
		return err
	}
	zctx, err := zmq.NewContext()
	if err != nil {
		return err
	}
	dealers := make(chan *zmq.Socket, l.callers)
	for range l.callers {
		s, err := zctx.NewSocket(zmq.DEALER)
		if err != nil {
			return err
		}
		if err := errors.Join(s.SetLinger(0), s.SetRcvtimeo(25*time.Second), s.Connect(l.endpoint)); err != nil {
			return err
		}
		dealers <- s
	}
	r := callAll(l, func() func() bool {
		s := <-dealers
		return func() bool { return ask(s, l.service, l.body) == nil }
	})
	return json.NewEncoder(os.Stdout).Encode(r)
}

// ask sends a request of mdp/0.1 and checks its reply.
func ask(s *zmq.Socket, service string, body []byte) error {
	if _, err := s.SendMessage("", "MDPC01", service, body); err != nil {
		return err
	}
	reply, err := s.RecvMessageBytes(0)
	if err != nil {
		return err
	}
	if len(reply) != 4 || string(reply[2]) != service || !bytes.Equal(reply[3], body) {
		return errors.New("not the reply")
	}
	return nil
}
