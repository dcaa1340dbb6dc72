package jetstream

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"mdpgateway/internal/certs/certstest"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/jobs/jobstest"
	"mdpgateway/internal/jobs/natstest"
)

// A server that speaks TLS alone and knows users by their credentials. The user has the rights that docs/jobs.md names,
// and no others.
func TestTLSAndCredentials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := certstest.New(t, "jobs")
	cert, key := authority.Server().Write(dir)
	creds, lines := operator(t, dir)
	c := natstest.Start(t, 1, append(lines, fmt.Sprintf("tls: { cert_file: %q, key_file: %q }", cert, key))...)
	cfg := Config{
		URL: strings.ReplaceAll(c.URL(), "nats://", "tls://"), Replicas: 1, MaxBytes: 16 << 20,
		CA: certstest.Write(t, dir, "ca.crt", authority.PEM), Creds: creds,
	}
	open := func(cfg Config) (*Store, error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return New(ctx, cfg)
	}
	first, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	second, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	job := jobstest.Submit(t, first, jobstest.New("echo"))
	for deadline := time.Now().Add(patience); len(second.index.open()) == 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("another gateway is not told of a job")
		}
	}
	if _, err := second.Move(context.Background(), jobs.Move{ID: job.ID, From: []jobs.State{jobs.Queued}, To: jobs.Running, At: time.Now()}); err != nil {
		t.Error(err)
	}
	var running []*entry
	for deadline := time.Now().Add(patience); len(running) == 0; running = first.index.running() {
		if time.Now().After(deadline) {
			t.Fatal("a gateway is not told that its job runs at another")
		}
		<-time.After(10 * time.Millisecond)
	}
	if lacks, err := first.ask(context.Background(), second.process, running); err != nil || len(lacks) != 0 {
		t.Errorf("the other gateway lacks %v, %v, want it to have its job", lacks, err)
	}
	unknown := cfg
	unknown.Creds = filepath.Join(dir, "none.creds")
	strange := cfg
	strange.CA = certstest.Write(t, dir, "other.crt", certstest.New(t, "other").PEM)
	for want, cfg := range map[string]Config{"no such file": unknown, "certificate signed by unknown authority": strange} {
		if s, err := open(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v, want %s", s, err, want)
		}
	}
}

// operator makes an operator with an account for jobs. It returns the credentials of a user, and what the servers need.
func operator(t *testing.T, dir string) (creds string, lines []string) {
	t.Helper()
	must := func(key nkeys.KeyPair, err error) (nkeys.KeyPair, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		public, err := key.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return key, public
	}
	top, topID := must(nkeys.CreateOperator())
	_, systemID := must(nkeys.CreateAccount())
	account, accountID := must(nkeys.CreateAccount())
	user, userID := must(nkeys.CreateUser())
	encode := func(claims interface {
		Encode(nkeys.KeyPair) (string, error)
	}, key nkeys.KeyPair) string {
		t.Helper()
		text, err := claims.Encode(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	rights := jwt.NewAccountClaims(accountID)
	rights.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, MemoryStorage: -1, Streams: -1, Consumer: -1}
	permissions := jwt.NewUserClaims(userID)
	subjects := jwt.StringList{"mdp.>", "$JS.API.>", "_INBOX.>"}
	permissions.Pub.Allow, permissions.Sub.Allow = subjects, subjects
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(encode(permissions, account), seed)
	if err != nil {
		t.Fatal(err)
	}
	creds = filepath.Join(dir, "user.creds")
	if err := os.WriteFile(creds, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return creds, []string{
		"operator: " + encode(jwt.NewOperatorClaims(topID), top), "system_account: " + systemID, "resolver: MEMORY",
		fmt.Sprintf("resolver_preload: { %s: %s, %s: %s }", systemID, encode(jwt.NewAccountClaims(systemID), top), accountID, encode(rights, top)),
	}
}
