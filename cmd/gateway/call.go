package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mux"
	"mdpgateway/internal/mdp/upstream"
)

// callCmd is gateway call: one call straight to a broker.
type callCmd struct {
	Config string `placeholder:"FILE" help:"YAML file with settings; those of serve alone are ignored." beside:"serve"`

	Service string `arg:"" help:"Service to call."`
	File    string `arg:"" optional:"" help:"File with the body, - for standard input; without it, the body is empty."`

	Body    *string       `placeholder:"TEXT" help:"The body, in place of a file." given:""`
	Broker  string        `default:"tcp://127.0.0.1:5555" placeholder:"ENDPOINT" help:"Broker: tcp://host:5555, ipc://path, or the name of a broker in the file (${default})."`
	Dialect *mdp.Dialect  `default:"mdp/0.1" placeholder:"DIALECT" help:"Dialect of the broker, such as mdp/0.2 or loudify (${default}); another name lists all."`
	Vars    string        `placeholder:"JSON" help:"Flowgraph vars, a JSON object; sent as a Python literal." given:""`
	Timeout time.Duration `default:"${timeout}" placeholder:"DURATION" help:"Timeout of the call (${default})."`
	curveFlags
	Hex bool `help:"Print every frame, sent and received, with its time, instead of the reply."`
}

// Run makes the call. The reply's frames are printed as they are, those of several
// with a line end after each, also if they mean that the worker failed.
func (c *callCmd) Run(p *process) error {
	broker, err := c.endpoint(p)
	if err != nil {
		return usageError{err}
	}
	req, err := c.request(p, broker.Dialect)
	if err != nil {
		return usageError{err}
	}
	cfg := mux.Config{Config: client.Config{Endpoints: []client.Endpoint{broker}, Max: 1}, NoWorkersWait: c.Timeout}
	if c.Hex {
		cfg.Trace = tracer(p.stdout, time.Now())
	}
	pool, err := upstream.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, c.Timeout)
	defer cancel()
	reply, err := pool.Call(ctx, req)
	refusal := refusals[pool.Stats().Endpoints[0].Refusal]
	if closed := pool.Close(ctx); err == nil {
		err = closed
	}
	var failure *gateway.Error
	switch {
	case errors.As(err, &failure) && failure.Kind == gateway.Timeout:
		return fmt.Errorf("%w: no reply within %s: is the service there, and is the dialect right?", err, c.Timeout)
	case failure != nil && refusal != "":
		return fmt.Errorf("%w: %s", err, refusal)
	case failure != nil && failure.Kind == gateway.BrokerUnavailable:
		return fmt.Errorf("%w: is there a broker at %s?", err, broker.Address)
	case err != nil:
		return err
	}
	if !c.Hex {
		if err := printFrames(p.stdout, reply); err != nil {
			return err
		}
	}
	if broker.Dialect.HasFailed(reply.Frames) {
		return gateway.FlowgraphFailed(reply.Frames)
	}
	return nil
}

// endpoint returns the broker that --broker names: its address, or its name in the file, where
// it has a dialect of its own.
func (c *callCmd) endpoint(p *process) (client.Endpoint, error) {
	listed, err := p.resolver.file.endpoints(c.Dialect, mdp.MMIOff)
	if err != nil {
		return client.Endpoint{}, err
	}
	for _, e := range listed {
		if e.Name == c.Broker {
			return e, nil
		}
	}
	if client.CheckAddress(c.Broker) != nil {
		return client.Endpoint{}, &valueError{p.resolver.origin("broker"), c.Broker, brokerWanted + ", or a name of brokers in the file"}
	}
	keys, err := c.client()
	return client.Endpoint{Address: c.Broker, Dialect: c.Dialect, Curve: keys}, err
}

func (c *callCmd) request(p *process, dialect *mdp.Dialect) (gateway.Request, error) {
	req := gateway.Request{Service: c.Service}
	body, err := c.body()
	if err != nil {
		return req, err
	}
	req.Frames = [][]byte{body}
	vars := c.Vars
	if vars == "" && dialect.NeedsVars {
		vars = "{}" // its workers die of a request without
	}
	if vars == "" {
		return req, nil
	}
	var frame []byte
	object, err := ijson.ParseObject([]byte(vars))
	if err == nil {
		frame, err = flowgraph.Python.Append(nil, object)
	}
	if err != nil {
		return req, &valueError{p.resolver.origin("vars"), vars, "a JSON object: " + err.Error()}
	}
	req.Frames = append(req.Frames, frame)
	return req, nil
}

func (c *callCmd) body() ([]byte, error) {
	switch {
	case c.Body != nil && c.File != "":
		return nil, &valueError{"--body", *c.Body, "no body, since there is a file of it"}
	case c.Body != nil:
		return []byte(*c.Body), nil
	}
	switch c.File {
	case "":
		return nil, nil
	case "-":
		return io.ReadAll(os.Stdin)
	}
	body, err := os.ReadFile(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &valueError{"FILE", c.File, "a file with the body, or --body for the body itself"}
	}
	return body, err
}

func printFrames(w io.Writer, reply gateway.Reply) error {
	var all [][]byte
	for _, partial := range reply.Partials {
		all = append(all, partial...)
	}
	all = append(all, reply.Frames...)
	for _, frame := range all {
		if _, err := w.Write(frame); err != nil {
			return err
		}
		if len(all) > 1 {
			fmt.Fprintln(w)
		}
	}
	return nil
}

// tracer prints messages: > for sent and < for received, the milliseconds since
// start, and per frame its number, length and, if it has any, its bytes in hex, and
// as text if they are.
func tracer(w io.Writer, start time.Time) func(out bool, frames [][]byte) {
	return func(out bool, frames [][]byte) {
		direction := "<"
		if out {
			direction = ">"
		}
		elapsed := float64(time.Since(start)) / float64(time.Millisecond)
		for i, frame := range frames {
			fmt.Fprintf(w, "%s %10.3f ms  %d  %d bytes", direction, elapsed, i, len(frame))
			if len(frame) > 0 {
				fmt.Fprintf(w, "  %s", hex.EncodeToString(frame))
				if utf8.Valid(frame) {
					fmt.Fprintf(w, "  %q", frame)
				}
			}
			fmt.Fprintln(w)
		}
	}
}
