package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/access"
	"mdpgateway/internal/audit"
	"mdpgateway/internal/budget"
	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/certs"
	"mdpgateway/internal/demo"
	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/edge"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mux"
	"mdpgateway/internal/mdp/upstream"
	"mdpgateway/internal/mdp/worker"
	"mdpgateway/internal/metrics"
	"mdpgateway/internal/oidc"
	"mdpgateway/internal/tracing"
)

// embeddedName is the embedded broker's, for logs, metrics and the catalogue.
const embeddedName = "embedded"

// A daemon is all parts of a running gateway, in the order in which they are
// made. They are taken down in the opposite order.
type daemon struct {
	settings *settings
	log      *zap.Logger     // of all but requests
	requests *zap.Logger     // see logs
	level    zap.AtomicLevel // of both
	stderr   io.Writer       // of the process
	manager  supervisor      // who is told when it is ready and when it stops
	config   *process        // whose settings can be read again

	brokerNames []string         // that services may refer to
	catalogue   *catalogue.Store // swapped by a reload, like access
	access      *access.Store    // who may call
	tokens      *oidc.Issuers    // who says so

	broker  *broker.Broker // embedded, or nil
	peers   *embeddedPeers // the keys of the demo worker and of ourselves at the embedded broker
	demo    *worker.Worker // embedded, or nil
	pool    *upstream.Brokers
	tracer  *tracing.Tracer // or nil
	audit   *audit.Log      // or nil
	metrics *metrics.Metrics
	calls   *dispatch.Dispatcher
	store   jobs.Store   // of jobs, or nil
	jobs    *jobs.Runner // or nil
	api     *httpapi.API
	certs   *certs.Store // swapped by a reload, or when its files change; nil without TLS

	reloading   sync.Mutex
	badSettings bool // what was read last is not in force; guarded by reloading, as is badCerts
	badCerts    bool

	servers []server
}

// newDaemon makes every part and opens the listeners, so that whatever can fail
// has failed when it returns. It serves nothing yet.
func newDaemon(s *settings, logs *logs) (*daemon, error) {
	d := &daemon{
		settings: s, log: logs.main, requests: logs.requests, level: logs.level, stderr: logs.writer.to, brokerNames: s.brokerNames(),
		catalogue: catalogue.NewStore(s.Catalogued),
	}
	d.tokens = oidc.New(d.log.Named("tokens"))
	d.access = access.NewStore(s.Principals, d.tokens)
	for _, part := range []func() error{d.record, d.trustIssuers, d.embed, d.trace, d.connect, d.listen} {
		if err := part(); err != nil {
			return nil, errors.Join(err, d.close(context.Background()))
		}
	}
	return d, nil
}

// record opens the audit log, if there is to be one.
func (d *daemon) record() (err error) {
	if d.settings.AuditLog == "" {
		return nil
	}
	d.audit, err = audit.New(d.settings.AuditLog, d.stderr, d.settings.AuditLogMode == auditBestEffort)
	return err
}

// trustIssuers begins to fetch the keys of the issuers.
func (d *daemon) trustIssuers() error { return d.tokens.Swap(d.settings.issuersOf()) }

// auditBestEffort is the mode in which calls go on while the audit log can't be written.
const auditBestEffort = "best-effort"

// embed starts the embedded broker and its demo worker.
func (d *daemon) embed() (err error) {
	if !*d.settings.Embedded {
		return nil
	}
	peers, keys := newEmbeddedPeers(d.settings.Curve), d.settings.Curve
	if keys != nil {
		keys = &broker.Curve{Public: keys.Public, Secret: keys.Secret, Allowed: peers.with(keys.Allowed)}
	}
	d.peers = peers
	cfg := d.settings.embeddedBroker()
	cfg.Curve, cfg.Log = keys, d.log.Named("broker")
	d.broker, err = broker.New(cfg)
	if err != nil {
		return fmt.Errorf("embedded %w", err)
	}
	endpoint := d.broker.Endpoints()[0]
	d.log.Info("embedded broker", zap.String("endpoint", endpoint))
	dialect := mdp.V02.WithMMI(d.settings.MMI)
	if d.settings.Dialect.Multiplexed {
		dialect = mdp.X1
	}
	d.settings.Brokers = append(d.settings.Brokers, client.Endpoint{Name: embeddedName, Address: endpoint, Curve: peers.gateway, Dialect: dialect})
	d.demo, err = demo.Start(demo.Config{Endpoint: endpoint, Curve: peers.demo, Log: d.log.Named("demo"), Dialect: mdp.V02})
	return err
}

// embeddedBroker configures the embedded broker. All calls that the gateway has in flight may wait there for one service,
// beside as many of other clients: what is over its own bounds was let in for nothing.
func (s *settings) embeddedBroker() broker.Config {
	return broker.Config{
		Bind: []string{s.EmbeddedBind}, MaxConnections: s.brokerConnections(),
		QueueMax: max(broker.DefaultQueueMax, 4*s.PoolMax), ServiceQueueMax: max(broker.DefaultServiceQueueMax, 2*s.PoolMax),
	}
}

// trace makes what sends traces, if there is a collector for them.
func (d *daemon) trace() (err error) {
	if d.settings.OTLPEndpoint == "" {
		return nil
	}
	d.tracer, err = tracing.New(tracing.Config{
		Endpoint: d.settings.OTLPEndpoint, Headers: d.settings.OTLPHeaders, Version: buildOf().Version, Log: d.log.Named("tracing"),
	})
	return err
}

// connect makes the way of a call, from the pool up.
func (d *daemon) connect() (err error) {
	s := d.settings
	held := budget.New(s.MaxBuffered)
	d.pool, err = upstream.New(mux.Config{Config: client.Config{
		Endpoints: s.Brokers, Max: s.PoolMax, Reserve: s.PoolReserve, QueueMax: s.QueueMax, QueueTimeout: s.QueueTimeout,
		ConnectTimeout: s.ConnectTimeout, Idle: s.PoolIdle, MaxReply: s.MaxReply, Late: s.LateReplies, Log: d.log.Named("pool"),
	}, Connections: s.MuxConnections, NoWorkersWait: s.NoWorkersWait})
	if err != nil {
		return err
	}
	var brokers []dispatch.Broker
	for i, b := range s.Brokers {
		broker := dispatch.Broker{Name: b.Name, Dialect: b.Dialect}
		if told := d.pool.Table(i); told != nil {
			broker.Live = told
		}
		brokers = append(brokers, broker)
	}
	if d.broker != nil {
		brokers[len(brokers)-1].Live = d.broker // embed put it last
	}
	build := buildOf()
	d.metrics = metrics.New(metrics.Config{MaxServices: s.MetricsMaxServices, Build: metrics.Build(build)})
	d.calls, err = dispatch.New(dispatch.Config{
		Pool: d.pool, Brokers: brokers, Catalogue: d.catalogue, Observer: d.metrics, Log: d.log.Named("dispatch"),
		Timeout: s.Timeout, MaxTimeout: s.MaxTimeout, Vars: s.Vars, MaxVars: s.MaxVars,
		LookupWait: 2*time.Second + 3*s.ConnectTimeout, CatalogueMode: s.Catalogue, NoWorkersWait: s.NoWorkersWait,
	})
	if err != nil {
		return err
	}
	d.metrics.WatchPool(d.pool.Stats)
	d.metrics.WatchBudget(held)
	d.metrics.WatchOrphans(d.calls.Orphans)
	d.metrics.WatchSilent(d.calls.Silent)
	d.metrics.WatchCatalogue(d.catalogue.Names)
	if d.broker != nil {
		d.metrics.WatchBroker(func() map[string]uint64 { return d.broker.Stats().Dropped })
		d.metrics.WatchConnections("broker", d.brokerConnections)
	}
	d.metrics.WatchPrincipals(d.access)
	d.metrics.WatchIssuers(d.issuers)
	d.metrics.Reloaded(true, time.Now())
	if err := d.runJobs(held); err != nil {
		return err
	}
	return d.openAPI(held, build)
}

// brokerConnections says how many connections the embedded broker has.
func (d *daemon) brokerConnections() gateway.ConnectionStats {
	s := d.broker.Stats()
	return gateway.ConnectionStats{Open: s.Open, Max: s.Max, Refused: map[string]uint64{edge.Full: s.Refused, "key": s.KeysRefused}}
}

// openAPI makes the HTTP side.
func (d *daemon) openAPI(held *budget.Budget, build build) (err error) {
	s := d.settings
	cfg := httpapi.Config{
		Caller: d.calls, Health: health{d.pool, d.calls}, Observer: d.metrics.HTTP(), Log: d.requests.Named("http"),
		Budget: held, Version: httpapi.Version(build), MaxRequests: s.MaxRequests, MaxBody: s.MaxBody, MaxHeader: s.MaxHeader,
		HeaderTimeout: s.HeaderTimeout, BodyIdleTimeout: s.BodyIdleTimeout, MinBodyRate: s.MinBodyRate, IdleTimeout: s.IdleTimeout,
		SlowLog: s.SlowLog, MaxConnectionAge: s.MaxConnectionAge, ReadyBroker: s.ReadyBroker, AllowedHosts: s.AllowedHosts, Origins: s.CORSOrigin, Access: d.access, Proxies: s.proxies(),
	}
	cfg.Insight, cfg.NoConsole, cfg.Login = insight{d.pool, d.calls}, !s.Console, s.Login
	cfg.Jobs, cfg.MaxJobWait, cfg.ListJobs = d.jobs, s.JobsMaxWait, s.onLoopback()
	cfg.LateReplies = s.LateReplies > 0
	if d.tracer != nil {
		cfg.Tracer = d.tracer
	}
	if d.audit != nil {
		cfg.Audit = d.audit
		d.metrics.WatchAudit(d.audit.Dropped)
	}
	if s.AdminListen == "" {
		cfg.Metrics = d.metrics.Handler()
	}
	d.api, err = httpapi.New(cfg)
	return err
}

// issuers returns what metrics tell of the issuers of tokens.
func (d *daemon) issuers() (all []metrics.Issuer) {
	for _, each := range d.tokens.Status() {
		all = append(all, metrics.Issuer{Name: each.Issuer, Keys: each.Keys, Up: each.Up})
	}
	return all
}

// insight is httpapi.Insight.
type insight struct {
	*upstream.Brokers
	*dispatch.Dispatcher
}

// health is how the brokers and the services are.
type health struct {
	pool  *upstream.Brokers
	calls *dispatch.Dispatcher
}

// SilentServices is httpapi.Health.
func (h health) SilentServices() int { return len(h.calls.Silent()) }

// Brokers is httpapi.Health.
func (h health) Brokers() (reached, connected bool, lost, silent, mute []string) {
	for _, e := range h.pool.Stats().Endpoints {
		reached = reached || !e.Since.IsZero()
		switch {
		case e.State == gateway.Up && e.Silent:
			silent = append(silent, e.Name)
		case e.Silent:
			mute = append(mute, e.Name)
		case e.State != gateway.Up:
			lost = append(lost, e.Name)
		}
		connected = connected || e.State == gateway.Up
	}
	return reached, connected, lost, silent, mute
}
