// Package sqlite is a jobs.Store in one file, or in memory, for one process.
//
// One goroutine writes: the changes that wait at the same time are one transaction, with one wait for the disk.
// Readers have connections of their own and see what was committed. The file is in WAL mode with synchronous=FULL:
// what was confirmed survives a loss of power.
package sqlite

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-sqlite3"
	"go.uber.org/zap"

	"mdpgateway/internal/jobs"
)

// Names in Config.Dir.
const (
	fileName = "jobs.db"
	lockName = "jobs.lock"
)

const (
	pageSize     = 4096
	readers      = 4
	busyTimeout  = 5 * time.Second
	mostWaiting  = 1024 // writes
	vacuumPages  = 1024 // given back to the disk at a time
	leastToStage = 1 << 20
)

// operations are what metrics tell apart. It never changes.
var operations = [...]string{
	"submit", "stage", "claim", "unclaim", "end", "part", "delete", "forget", "vacuum", "get", "list", "open", "request", "reply", "parts",
}

// Config configures a Store.
type Config struct {
	Dir      string      // where jobs.db is, made with mode 0700 if it is not there; empty: in memory
	MaxBytes int64       // that the file may have; default 4 GiB
	Log      *zap.Logger // nil means none

	// Observe is told how long each operation took, and whether the store failed. Nil means nobody.
	Observe func(op string, took time.Duration, failed bool)
}

// A Store is a jobs.Store.
type Store struct {
	// Set once.
	cfg     Config
	db      *sql.DB // of the writer
	read    *sql.DB // of readers; that of the writer in memory, where there is one connection
	lock    *os.File
	writes  chan *write
	closing chan struct{}
	closed  chan struct{} // when the writer has ended
	once    sync.Once
	seq     atomic.Int64 // of the newest job

	used    atomic.Int64
	damaged atomic.Int64
	down    atomic.Bool // an operation has failed, and the writer could not write since then; see try

	mu     sync.Mutex
	errors map[string]int64 // guarded by mu
}

// New opens a store. Close frees it.
func New(cfg Config) (*Store, error) {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 4<<30)
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	s := &Store{
		cfg: cfg, writes: make(chan *write, mostWaiting), closing: make(chan struct{}), closed: make(chan struct{}),
		errors: map[string]int64{},
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("jobs store %s: %w", cmp.Or(cfg.Dir, "in memory"), err), s.free())
	}
	for _, op := range operations { // a counter that begins at 1 is not seen to rise
		s.errors[op] = 0
	}
	go s.run()
	return s, nil
}

func (s *Store) open() (err error) {
	source := "file:jobs?mode=memory&_stmt_cache_size=64"
	if s.cfg.Dir != "" {
		if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
			return err
		}
		if s.lock, err = lock(filepath.Join(s.cfg.Dir, lockName)); err != nil {
			return err
		}
		if source, err = s.file(); err != nil {
			return err
		}
	}
	if s.db, err = sql.Open("sqlite3", source+"&_auto_vacuum=incremental&_txlock=immediate"); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	s.db.SetConnMaxLifetime(0)
	s.read = s.db
	pages := fmt.Sprintf("PRAGMA max_page_count = %d", max(1, s.cfg.MaxBytes/pageSize))
	if _, err := s.db.Exec(pages); err != nil {
		return err
	}
	if err := migrate(s.db); err != nil {
		return err
	}
	if s.cfg.Dir != "" { // without _auto_vacuum, which writes to the file with each new connection
		if s.read, err = sql.Open("sqlite3", source+"&_query_only=true"); err != nil {
			return err
		}
		s.read.SetMaxOpenConns(readers)
		s.read.SetMaxIdleConns(readers)
	}
	var newest sql.NullInt64
	if err := s.db.QueryRow("SELECT max(seq) FROM jobs").Scan(&newest); err != nil {
		return err
	}
	s.seq.Store(newest.Int64)
	s.measure()
	return nil
}

// file makes the file, so that nobody else may read it, and returns what opens it.
func (s *Store) file() (source string, err error) {
	path := filepath.Join(s.cfg.Dir, fileName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return "", err
	}
	return fmt.Sprintf("file:%s?_journal_mode=WAL&_synchronous=FULL&_stmt_cache_size=64&_busy_timeout=%d",
		(&url.URL{Path: path}).EscapedPath(), busyTimeout.Milliseconds()), nil
}

// Close makes the changes that wait, and closes the file.
func (s *Store) Close() error {
	s.once.Do(func() { close(s.closing) })
	<-s.closed
	return s.free()
}

func (s *Store) free() error {
	var errs []error
	if s.read != nil && s.read != s.db {
		errs = append(errs, s.read.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Stats is jobs.Store.
func (s *Store) Stats() jobs.StoreStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := jobs.StoreStats{
		Up: !s.down.Load(), Bytes: s.used.Load(), Max: s.cfg.MaxBytes, Damaged: s.damaged.Load(), Errors: map[string]int64{},
	}
	for op, n := range s.errors {
		stats.Errors[op] = n
	}
	return stats
}

// measure finds out how many bytes are in use.
func (s *Store) measure() {
	var pages, free int64
	err := s.db.QueryRow("SELECT page_count, freelist_count FROM pragma_page_count(), pragma_freelist_count()").Scan(&pages, &free)
	if err == nil {
		s.used.Store((pages - free) * pageSize)
	}
}

// told counts how an operation ended, and says what its error means.
func (s *Store) told(op string, start time.Time, err error) error {
	var fault sqlite3.Error
	switch {
	case err == nil || isVerdict(err) && !errors.Is(err, jobs.ErrFull):
	case errors.Is(err, jobs.ErrFull):
	case errors.Is(err, jobs.ErrNewer):
	case errors.Is(err, jobs.ErrDamaged):
		s.setAside(op, err)
	case isDamage(err):
		s.setAside(op, err)
		err = fmt.Errorf("%w: %w", jobs.ErrDamaged, err)
	case errors.As(err, &fault) && fault.Code == sqlite3.ErrFull:
		err = fmt.Errorf("%w: %w", jobs.ErrFull, fault)
	default:
		return s.failed(op, start, err)
	}
	if s.cfg.Observe != nil {
		s.cfg.Observe(op, time.Since(start), false)
	}
	return err
}

// isDamage reports whether a part of the file can't be read.
func isDamage(err error) bool {
	var fault sqlite3.Error
	return errors.As(err, &fault) && (fault.Code == sqlite3.ErrCorrupt || fault.Code == sqlite3.ErrNotADB)
}

// setAside counts data that can't be read.
func (s *Store) setAside(op string, err error) {
	s.damaged.Add(1)
	s.cfg.Log.Error("damaged data in the jobs store", zap.String("op", op), zap.Error(err))
}

func (s *Store) failed(op string, start time.Time, err error) error {
	s.mu.Lock()
	s.errors[op]++
	s.mu.Unlock()
	if !s.down.Swap(true) {
		s.cfg.Log.Error("the jobs store fails", zap.String("op", op), zap.Error(err))
	}
	if s.cfg.Observe != nil {
		s.cfg.Observe(op, time.Since(start), true)
	}
	return err
}
