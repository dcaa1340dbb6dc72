package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/mdp/broker"
)

// logFlags say how the small commands log.
type logFlags struct {
	LogLevel  string `default:"info" one:"debug|info|warn|error" placeholder:"LEVEL" help:"Least level that is logged: debug, info, warn or error (${default})."`
	LogFormat string `default:"json" one:"json|console" placeholder:"FORMAT" help:"Format of the log: json or console (${default})."`
}

// brokerCmd is gateway broker: the embedded broker without the gateway.
type brokerCmd struct {
	Config string `placeholder:"FILE" help:"YAML file with settings."`

	Bind            []string      `type:"bind" default:"tcp://127.0.0.1:5555" placeholder:"ENDPOINT" help:"Address for clients and workers; port * is any free one; repeatable (${default})."`
	Heartbeat       time.Duration `default:"2.5s" placeholder:"DURATION" help:"Interval of heartbeats from and to workers (${default})."`
	QueueMax        int           `default:"10000" min:"1" placeholder:"N" help:"Requests that may wait for a worker, of all services (${default})."`
	ServiceQueueMax int           `hidden:"" default:"1000" min:"1" placeholder:"N" help:"Requests that may wait for a worker of one service (${default})."`
	Expiry          time.Duration `default:"5m" placeholder:"DURATION" help:"Time that a request may wait for a worker (${default})."`
	Redispatch      int           `default:"0" min:"0" placeholder:"N" help:"Times that a request whose worker was lost is sent to another (${default})."`
	Padded          bool          `hidden:"" help:"Put an empty frame before the body of replies to clients of mdp/0.1, as those of jheise/majordomogo expect."`
	CurveKeyFile    string        `placeholder:"FILE" help:"Pair of CURVE keys of the broker, such as ID.key_secret of curve new; then it encrypts and lets in only the keys of --curve-allowed."`
	CurveAllowed    string        `placeholder:"FILE" help:"YAML file with the keys that may connect: {id, key, role, services}; read again by SIGHUP."`
	logFlags
}

// Run runs the broker until the process is told to stop.
func (c *brokerCmd) Run(p *process) error {
	logs, err := newLogs(p.stderr, c.LogLevel, c.LogFormat)
	if err != nil {
		return err
	}
	defer logs.close()
	log := logs.main
	keys, err := readCurve(p.resolver, c.CurveKeyFile, c.CurveAllowed)
	if err != nil {
		return usageError{err}
	}
	hangups := make(chan os.Signal, 1)
	if keys != nil {
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
	}
	b, err := broker.New(broker.Config{
		Bind: c.Bind, Heartbeat: c.Heartbeat, QueueMax: c.QueueMax, ServiceQueueMax: c.ServiceQueueMax,
		Expiry: c.Expiry, Redispatch: c.Redispatch, Padded: c.Padded, Curve: keys, Log: log,
	})
	if err != nil {
		return err
	}
	for _, endpoint := range b.Endpoints() {
		log.Info("broker listens", zap.String("endpoint", endpoint))
		if keys == nil && !isLocalEndpoint(endpoint) {
			warn(log, exposure{openBroker, "bind", endpoint})
		}
	}
	for {
		select {
		case <-hangups:
			c.reloadPeers(p.resolver, b, log)
			continue
		case <-p.ctx.Done():
		case <-b.Done():
		}
		return b.Close()
	}
}
