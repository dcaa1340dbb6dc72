package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/worker"
)

// The variables that make this program a worker: its broker, and the file in which it
// notes each request before it answers.
const (
	workerEnv = "CHAOS_WORKER"
	ledgerEnv = "CHAOS_LEDGER"
)

// delays are the services of a worker and the longest times that they take.
var delays = map[string]time.Duration{
	"fast": 4 * time.Millisecond, "slow": 300 * time.Millisecond, "long": 18 * time.Second, narrow: 80 * time.Millisecond,
}

// narrow is the service of which a worker takes one request at a time, so that others wait at the broker.
const narrow = "narrow"

// startWorker starts this program as a worker that has its notes in a file of the given
// folder. The command, if any, runs it elsewhere.
func startWorker(t testing.TB, endpoint, ledgers string, command ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(ledgers, "worker")
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	return spawn(t, filepath.Base(file.Name()), []string{workerEnv + "=" + endpoint, ledgerEnv + "=" + file.Name()}, append(command, self)...)
}

// runWorker is this program's main if it is a worker.
func runWorker() int {
	ledger, err := os.OpenFile(os.Getenv(ledgerEnv), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	services, alone := map[string]worker.Handler{}, map[string]worker.Handler{}
	for name, longest := range delays {
		to := services
		if name == narrow {
			to = alone
		}
		to[name] = func(ctx context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) {
			if _, err := ledger.Write(append(body[0][:len(body[0]):len(body[0])], '\n')); err != nil {
				return nil, err
			}
			select {
			case <-time.After(rand.N(longest)):
				return body[:1], nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var workers []*worker.Worker
	for _, cfg := range []worker.Config{{Services: services, Concurrency: 4}, {Services: alone, Concurrency: 1}} {
		cfg.Endpoint, cfg.Dialect = os.Getenv(workerEnv), mdp.V02
		w, err := worker.New(cfg)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		workers = append(workers, w)
	}
	<-ctx.Done()
	for _, w := range workers {
		if err := w.Close(); err != nil {
			return 1
		}
	}
	return 0
}

// executed returns how often each value is in the workers' notes.
func executed(t testing.TB, ledgers string) map[string]int {
	t.Helper()
	ran := map[string]int{}
	files, err := filepath.Glob(filepath.Join(ledgers, "worker*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		notes, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(notes)) {
			ran[strings.TrimSuffix(line, "\n")]++
		}
	}
	return ran
}
