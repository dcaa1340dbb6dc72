// Package jetstream is a jobs.Shared in a NATS JetStream cluster, for any number of gateways.
//
// All of it is one stream, which keeps one message a subject:
//
//	<prefix>.s.<id>              the record of a job: its header Job is the JSON of a record, its body the request,
//	                             then the reply, unless they are large
//	<prefix>.k.<hash>            an idempotency key of an owner, and the job that it stands for
//	<prefix>.d.<id>.<name>.<n>   pieces of a large message or of a PARTIAL, written before the record that names them
//
// A record is changed only at the sequence that was read, so of changes that compete only one is made. Records are read
// at the stream's leader: what other replicas answer may be old. Each process follows the headers of all records, which
// gives it the index that lists, the queue and waiting requests need; see index.go.
//
// On <prefix>.o.<process> a process answers whether it runs a job. So no clocks are compared to find out that a gateway
// is gone. On <prefix>.l.<process> it says that it leaves; see owner.go.
package jetstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"mdpgateway/internal/jobs"
)

const (
	connectTimeout = 5 * time.Second
	reconnectWait  = 250 * time.Millisecond
	pingInterval   = 5 * time.Second
	attemptTimeout = 2 * time.Second        // of one write
	retryWait      = 100 * time.Millisecond // between two
	measureEvery   = 2 * time.Second
	atOnce         = 16 // requests of one operation
)

// prefixForm is what Config.Prefix may be. It never changes.
var prefixForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// IsPrefix reports whether a text may be a Config.Prefix.
func IsPrefix(text string) bool { return prefixForm.MatchString(text) }

// operations are what metrics tell apart. It never changes.
var operations = [...]string{
	"submit", "stage", "claim", "unclaim", "end", "part", "delete", "forget", "get", "list", "request", "reply", "parts",
}

// Config configures a Store. The zero value of a field means its default.
type Config struct {
	URL      string        // of one or more servers, separated by commas: nats://host:4222, tls://host:4222
	Creds    string        // file with the credentials of a user; empty: none
	CA       string        // file with the authorities of the servers' certificates, in PEM; empty: those of the system
	Prefix   string        // of subjects and, in capitals, of the stream; default mdp
	Replicas int           // of the stream; default 3
	MaxBytes int64         // of the stream; default 4 GiB
	Keep     time.Duration // of a job that is over; default 24 h
	Log      *zap.Logger   // nil means none

	// AskEvery is how often processes are asked whether they still run their jobs. One that lacks a job three times in
	// a row is gone. Default 3 s.
	AskEvery time.Duration

	// Observe is told how long each operation took, and whether the store failed. Nil means nobody.
	Observe func(op string, took time.Duration, failed bool)
}

// A Store is a jobs.Shared.
type Store struct {
	// Set once.
	cfg     Config
	process string // names this one
	nc      *nats.Conn
	js      jetstream.JetStream
	stream  jetstream.Stream
	index   *index
	left    chan string // processes that have ended
	stop    context.CancelFunc
	loops   sync.WaitGroup

	used    atomic.Int64
	damaged atomic.Int64
	down    atomic.Bool
	mute    atomic.Bool // the last write was left without an answer

	mu      sync.Mutex
	errors  map[string]int64    // guarded by mu; by operation
	verdict map[string]int64    // guarded by mu; about jobs that run elsewhere
	mine    map[string]struct{} // guarded by mu; jobs that this process has claimed and not ended
}

// New connects to the servers, makes the stream if there is none, and reads the index. A stream with other settings
// than wanted is left as it is: the error says which. Close ends what New started.
func New(ctx context.Context, cfg Config) (*Store, error) {
	cfg.Prefix = cmp.Or(cfg.Prefix, "mdp")
	cfg.Replicas = cmp.Or(cfg.Replicas, 3)
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 4<<30)
	cfg.Keep = cmp.Or(cfg.Keep, 24*time.Hour)
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	cfg.AskEvery = cmp.Or(cfg.AskEvery, 3*time.Second)
	if !IsPrefix(cfg.Prefix) {
		return nil, fmt.Errorf("jobs store: prefix is %q, want %s", cfg.Prefix, prefixForm)
	}
	s := &Store{
		cfg: cfg, process: rand.Text(), index: newIndex(), left: make(chan string, mostLeft), errors: map[string]int64{}, verdict: map[string]int64{}, mine: map[string]struct{}{},
	}
	for _, op := range operations { // a counter that begins at 1 is not seen to rise
		s.errors[op] = 0
	}
	for _, verdict := range jobs.Verdicts() {
		s.verdict[verdict] = 0
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	if err := s.open(ctx, background); err != nil {
		return nil, errors.Join(fmt.Errorf("jobs store %s: %w", cfg.URL, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx, background context.Context) (err error) {
	options := []nats.Option{
		nats.Name("mdp-gateway"), nats.Timeout(connectTimeout), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // credentials may be replaced, however late
		nats.ReconnectBufSize(-1),   // a write that waits in memory would be made after its caller was told that it failed
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { s.cfg.Log.Warn("the jobs store can't be reached", zap.Error(err)) }),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			s.cfg.Log.Info("the jobs store is reached again", zap.String("endpoint", nc.ConnectedAddr()))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.cfg.Log.Warn("jobs store", zap.Error(err)) }),
	}
	if s.cfg.Creds != "" {
		options = append(options, nats.UserCredentials(s.cfg.Creds))
	}
	if s.cfg.CA != "" {
		options = append(options, nats.RootCAs(s.cfg.CA))
	}
	if err := s.eventually(ctx, func() (err error) { s.nc, err = nats.Connect(s.cfg.URL, options...); return err }); err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.nc); err != nil {
		return err
	}
	if err := s.eventually(ctx, func() error { return s.openStream(ctx) }); err != nil {
		return err
	}
	if err := errors.Join(s.answer(), s.hear()); err != nil {
		return err
	}
	if err := s.follow(ctx, background); err != nil {
		return err
	}
	s.loops.Go(func() { s.look(background) })
	s.loops.Go(func() { s.measure(background) })
	return nil
}

// eventually tries until it succeeds or ctx ends: servers that have just started have no leader yet. What will not
// change with time ends it.
func (s *Store) eventually(ctx context.Context, try func() error) error {
	for waits := 0; ; waits++ {
		err := try()
		if err == nil || ctx.Err() != nil || isLasting(err) {
			return err
		}
		if waits == 0 {
			s.cfg.Log.Warn("the jobs store is not ready; the start waits for it", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryWait):
		}
	}
}

// isLasting reports whether an error of the start is one of settings.
func isLasting(err error) bool {
	return errors.As(err, new(settingsError)) || errors.As(err, new(*tls.CertificateVerificationError)) || errors.Is(err, nats.ErrAuthorization) ||
		errors.Is(err, os.ErrNotExist)
}

// Close ends what New started, and tells the other processes that no job runs here any more: the connections that jobs
// were sent over must be closed by then.
func (s *Store) Close() error {
	s.stop()
	s.loops.Wait()
	s.tell(ended)
	if s.nc != nil {
		s.nc.Close()
	}
	return nil
}

// Stats is jobs.Store.
func (s *Store) Stats() jobs.StoreStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := jobs.StoreStats{
		Up: !s.down.Load() && !s.mute.Load() && s.nc.IsConnected(), Bytes: s.used.Load(), Max: s.cfg.MaxBytes, Damaged: s.damaged.Load(),
		Errors: map[string]int64{}, Redelivered: map[string]int64{},
	}
	for op, n := range s.errors {
		stats.Errors[op] = n
	}
	for verdict, n := range s.verdict {
		stats.Redelivered[verdict] = n
	}
	return stats
}

// measure asks now and then how large the stream is, and so finds out whether the store is up while nobody uses it.
func (s *Store) measure(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, connectTimeout)
		info, err := s.stream.Info(asked)
		if s.down.Store(err != nil); err == nil {
			s.used.Store(int64(min(info.State.Bytes, 1<<62)))
			_ = s.answers(asked) // else mute stays set
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// told counts how an operation ended, and says what its error means.
func (s *Store) told(op string, start time.Time, err error) error {
	failed := false
	switch {
	case err == nil, errors.Is(err, jobs.ErrNotFound), errors.Is(err, jobs.ErrState), errors.Is(err, jobs.ErrMismatch), errors.Is(err, jobs.ErrNewer):
		s.down.Store(false)
	case errors.Is(err, jobs.ErrFull), errors.Is(err, context.Canceled): // who asked has left
	case errors.Is(err, jobs.ErrDamaged):
		s.damaged.Add(1)
		s.cfg.Log.Error("damaged data in the jobs store", zap.String("op", op), zap.Error(err))
	default:
		failed = true
		s.mu.Lock()
		s.errors[op]++
		s.mu.Unlock()
		if !s.down.Swap(true) {
			s.cfg.Log.Error("the jobs store fails", zap.String("op", op), zap.Error(err))
		}
	}
	if s.cfg.Observe != nil {
		s.cfg.Observe(op, time.Since(start), failed)
	}
	return err
}

func (s *Store) subject(tokens ...string) string {
	return s.cfg.Prefix + "." + strings.Join(tokens, ".")
}
