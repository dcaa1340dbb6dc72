package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mattn/go-shellwords"
	"go.uber.org/zap"

	"mdpgateway/internal/bridge"
	"mdpgateway/internal/curve"
	"mdpgateway/internal/demo"
	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/worker"
)

// workerCmd is gateway worker: a program or an HTTP server as a service, or the demo
// worker, at any broker.
type workerCmd struct {
	Config string `placeholder:"FILE" help:"YAML file with settings."`

	Broker      string       `type:"broker" default:"tcp://127.0.0.1:5555" placeholder:"ENDPOINT" help:"Broker: tcp://host:5555 or ipc://path (${default})."`
	Dialect     *mdp.Dialect `default:"mdp/0.1" placeholder:"DIALECT" help:"Dialect of the broker: mdp/0.1, mdp/0.2 (for streams) or loudify (${default})."`
	Concurrency int          `default:"4" min:"1" placeholder:"N" help:"Requests that each service works on at once (${default})."`

	Service     string             `placeholder:"NAME" help:"Service to serve with --exec or --http; without them, the demo services are served."`
	Exec        string             `placeholder:"COMMAND" help:"Program to run for each request, with its arguments; quotes as in a shell, but no shell is run."`
	Shell       bool               `help:"Have /bin/sh run COMMAND; with --input args the frames are $$1, $$2 and so on."`
	Input       string             `default:"stdin" one:"stdin|args" placeholder:"WAY" help:"How the program gets the data frames: stdin, one after the other, or args, an argument each (${default})."`
	HTTP        string             `name:"http" placeholder:"URL" help:"HTTP server to which each request is posted."`
	ContentType string             `default:"application/octet-stream" placeholder:"TYPE" help:"Content-Type of what is posted (${default})."`
	VarsIn      string             `default:"header" one:"header|query" placeholder:"PLACE" help:"Where the server gets the vars, as JSON: in the header Flowgraph-Vars or the query parameter vars (${default})."`
	Vars        flowgraph.Encoding `default:"python" placeholder:"ENCODING" help:"Encoding of the vars, the last of several frames: python, json, or none if all frames are data (${default})."`
	Timeout     time.Duration      `default:"5m" placeholder:"DURATION" help:"Time that one request may take; then its program is ended (${default})."`
	curveFlags
	MaxReply int64 `type:"bytes" default:"64MiB" placeholder:"BYTES" help:"Size of one reply (${default})."`
	logFlags

	keys *curve.Client // for the broker; nil without CURVE
}

// Help is kong.HelpProvider.
func (*workerCmd) Help() string {
	return "SIGTERM lets the requests that are worked on end, for at most --timeout. docs/workers.md tells how a program gets a request."
}

// Run serves until the process is told to stop.
func (c *workerCmd) Run(p *process) error {
	if !c.Dialect.HasWorkers() {
		return usageError{&valueError{p.resolver.origin("dialect"), c.Dialect.String(), "a dialect with workers: mdp/0.1, mdp/0.2 or loudify"}}
	}
	if err := c.check(p); err != nil {
		return usageError{err}
	}
	logs, err := newLogs(p.stderr, c.LogLevel, c.LogFormat)
	if err != nil {
		return err
	}
	defer logs.close()
	if c.keys, err = c.client(); err != nil {
		return usageError{err}
	}
	if c.Service == "" {
		return c.demo(p.ctx, logs.main)
	}
	handler, free, err := c.bridge(p, logs.main)
	if err != nil {
		return usageError{err}
	}
	defer free()
	return c.serve(p.ctx, logs.main, handler)
}

// check refuses flags that contradict each other.
func (c *workerCmd) check(p *process) error {
	at := p.resolver.origin
	switch {
	case c.Exec != "" && c.HTTP != "":
		return &valueError{at("http"), redacted(c.HTTP), "only one of --exec and --http"}
	case c.Service == "" && c.Exec+c.HTTP != "":
		return &valueError{at("service"), "", "the name of the service that --exec or --http serves"}
	case c.Service != "" && c.Exec+c.HTTP == "":
		return &valueError{at("service"), c.Service, "--exec or --http beside it"}
	case c.Service != "" && (mdp.CheckService(c.Service) != nil || mdp.IsMMI(c.Service)):
		return &valueError{at("service"), c.Service, "the name of a service: 1 to 255 bytes without NUL, not mmi.*"}
	}
	return nil
}

func (c *workerCmd) demo(ctx context.Context, log *zap.Logger) error {
	w, err := demo.Start(demo.Config{Endpoint: c.Broker, Curve: c.keys, Dialect: c.Dialect, Concurrency: c.Concurrency, Log: log})
	if err != nil {
		return err
	}
	log.Info("demo worker", zap.String("endpoint", c.Broker))
	<-ctx.Done()
	return w.Close()
}

// bridge returns what does the work; free is called when it is not needed any more.
func (c *workerCmd) bridge(p *process, log *zap.Logger) (handler worker.Handler, free func(), err error) {
	cfg := bridge.Config{Service: c.Service, Vars: c.Vars, Timeout: c.Timeout, MaxReply: c.MaxReply, Log: log}
	if c.HTTP != "" {
		server, err := c.server(p)
		if err != nil {
			return nil, nil, err
		}
		run, idle := cfg.HTTP(server)
		return cfg.Handler(run), idle, nil
	}
	args, err := c.command(p)
	if err != nil {
		return nil, nil, err
	}
	// main ignores SIGPIPE, and so would the programs: what is ignored stays so in them.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	run := cfg.Exec(bridge.Command{Args: args, Input: bridge.Input(c.Input), Env: p.env})
	return cfg.Handler(run), func() {}, nil
}

func (c *workerCmd) server(p *process) (bridge.Server, error) {
	to, err := url.Parse(c.HTTP)
	if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "" {
		return bridge.Server{}, &valueError{p.resolver.origin("http"), redacted(c.HTTP), "a URL such as http://127.0.0.1:9000/work"}
	}
	return bridge.Server{URL: to, ContentType: c.ContentType, VarsIn: bridge.VarsIn(c.VarsIn)}, nil
}

// command returns the program and its arguments. What only a shell would understand is
// refused rather than handed to the program.
func (c *workerCmd) command(p *process) ([]string, error) {
	if c.Shell {
		return bridge.Shell(c.Exec), nil
	}
	words := shellwords.NewParser()
	args, err := words.Parse(c.Exec)
	switch {
	case err != nil:
		err = errors.New("quotes that are closed, and no ( ) outside of them")
	case words.Position >= 0:
		err = errors.New("no ; & | < > outside of quotes, or --shell")
	case len(args) == 0:
		err = errors.New("a program")
	default:
		err = bridge.Find(args[0])
	}
	if err != nil {
		return nil, &valueError{p.resolver.origin("exec"), c.Exec, err.Error()}
	}
	return args, nil
}

// endingGrace is the time for a request that times out while the worker stops: its program
// ends, and the reply says so.
const endingGrace = 5 * time.Second

// serve lets what runs end, for as long as one request may take.
func (c *workerCmd) serve(ctx context.Context, log *zap.Logger, handler worker.Handler) error {
	w, err := worker.New(worker.Config{
		Endpoint: c.Broker, Curve: c.keys, Dialect: c.Dialect, Concurrency: c.Concurrency, Log: log,
		Services: map[string]worker.Handler{c.Service: handler},
	})
	if err != nil {
		return err
	}
	log.Info("worker", zap.String("endpoint", c.Broker), zap.String("service", c.Service))
	<-ctx.Done()
	log.Info("no more requests are taken")
	ending, cancel := context.WithTimeout(context.Background(), c.Timeout+endingGrace)
	defer cancel()
	return w.Shutdown(ending)
}
