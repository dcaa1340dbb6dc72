package main

import (
	"go.uber.org/zap"

	"mdpgateway/internal/demo"
	"mdpgateway/internal/mdp"
)

// workerCmd is gateway worker: the demo worker, at any broker.
type workerCmd struct {
	Config string `placeholder:"FILE" help:"YAML file with settings."`

	Broker      string       `type:"broker" default:"tcp://127.0.0.1:5555" placeholder:"ENDPOINT" help:"Broker: tcp://host:5555 or ipc://path (${default})."`
	Dialect     *mdp.Dialect `default:"mdp/0.1" placeholder:"DIALECT" help:"Dialect of the broker: mdp/0.1, mdp/0.2 (for streams) or loudify (${default})."`
	Concurrency int          `default:"4" min:"1" placeholder:"N" help:"Requests that each service works on at once (${default})."`
	logFlags
}

// Run serves the demo services until the process is told to stop.
func (c *workerCmd) Run(p *process) error {
	if !c.Dialect.HasWorkers() {
		return usageError{&valueError{p.resolver.origin("dialect"), c.Dialect.String(), "a dialect with workers: mdp/0.1, mdp/0.2 or loudify"}}
	}
	logs, err := newLogs(p.stderr, c.LogLevel, c.LogFormat)
	if err != nil {
		return err
	}
	defer logs.close()
	log := logs.main
	w, err := demo.Start(demo.Config{Endpoint: c.Broker, Dialect: c.Dialect, Concurrency: c.Concurrency, Log: log})
	if err != nil {
		return err
	}
	log.Info("demo worker", zap.String("endpoint", c.Broker))
	<-p.ctx.Done()
	return w.Close()
}
