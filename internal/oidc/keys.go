package oidc

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
)

// When keys are fetched.
const (
	every      = 5 * time.Minute  // while nothing happens: so long a key is taken after the issuer withdrew it
	atMost     = 10 * time.Second // apart, however many tokens have keys that are not known
	firstRetry = time.Second      // after a failure; it doubles
	lastRetry  = time.Minute

	patience    = 2 * time.Second // of a request whose token has a key that is not known
	mostWaiting = 64              // such requests of an issuer at a time; others are refused at once
)

// keys are the keys of one source. They are an oidc.KeySet.
type keys struct {
	// Set once.
	fetch func(ctx context.Context) ([]jose.JSONWebKey, error)
	log   *zap.Logger
	wake  chan struct{} // has room for one
	stop  context.CancelFunc
	done  chan struct{} // closed when run has returned

	current atomic.Pointer[known]
	failing atomic.Bool // the last fetch failed

	mu      sync.Mutex
	begun   time.Time     // when the last fetch began; guarded by mu
	ended   chan struct{} // closed when the fetch that is due or under way has ended; nil if there is none; guarded by mu
	waiting int           // requests; guarded by mu
}

// known is the keys that were fetched last.
type known struct {
	keys    []jose.JSONWebKey
	fetched time.Time
}

// startKeys begins to fetch at once.
func startKeys(fetch func(context.Context) ([]jose.JSONWebKey, error), log *zap.Logger) *keys {
	ctx, stop := context.WithCancel(context.Background())
	k := &keys{fetch: fetch, log: log, wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
	k.current.Store(new(known))
	k.begin()
	go k.run(ctx)
	return k
}

// close ends the fetching and waits for it.
func (k *keys) close() {
	k.stop()
	<-k.done
}

// begin makes a fetch due, unless one is already. The channel is closed when it has ended.
func (k *keys) begin() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.beginLocked()
}

func (k *keys) beginLocked() <-chan struct{} {
	if k.ended == nil {
		k.ended, k.begun = make(chan struct{}), time.Now()
		k.wake <- struct{}{} // there is room: run took the one before
	}
	return k.ended
}

// run fetches when it is time or somebody wakes it.
func (k *keys) run(ctx context.Context) {
	defer close(k.done)
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-time.After(pause(failures)):
			k.begin()
			<-k.wake
		}
		failures = k.update(ctx, failures)
		k.mu.Lock()
		close(k.ended)
		k.ended = nil
		k.mu.Unlock()
	}
}

// pause returns the time until the next fetch after that many failures, with a jitter of a tenth so that replicas do not
// come together.
func pause(failures int) time.Duration {
	wait := every
	if failures > 0 {
		wait = min(firstRetry<<min(failures-1, 10), lastRetry)
	}
	return wait - rand.N(wait/10)
}

// update fetches the keys, and keeps those of before if that fails. It returns how often it failed since it last did not.
func (k *keys) update(ctx context.Context, failures int) int {
	fetched, err := k.fetch(ctx)
	if fetched = slices.DeleteFunc(fetched, unusable); err == nil && len(fetched) == 0 {
		err = errors.New("it has no key that can be used")
	}
	switch {
	case ctx.Err() != nil:
		return failures
	case err != nil:
		k.failing.Store(true)
		if failures == 0 {
			k.log.Warn("an issuer's keys can't be fetched, those that are known stay in force", zap.Error(err))
		}
		return failures + 1
	}
	k.failing.Store(false)
	if before := k.current.Swap(&known{fetched, time.Now()}); failures > 0 || before.fetched.IsZero() {
		k.log.Info("an issuer's keys were fetched")
	}
	return 0
}

// leastRSA is the least size of RSA keys (RFC 7518 section 3.3).
const leastRSA = 2048

// unusable reports whether a key can't sign tokens: it is secret, broken, for something else or too weak.
func unusable(key jose.JSONWebKey) bool {
	weak := false
	if public, ok := key.Key.(*rsa.PublicKey); ok {
		weak = public.N.BitLen() < leastRSA
	}
	return weak || !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig"
}

// VerifySignature is oidc.KeySet.
func (k *keys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, asymmetric)
	if err != nil {
		return nil, err
	}
	payload, found, err := k.verify(jws)
	if !found && k.await(ctx) {
		payload, _, err = k.verify(jws)
	}
	return payload, err
}

// asymmetric are the algorithms that keys may be for. Of these an issuer's verifier takes those that are configured.
var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.PS384, jose.PS512, jose.EdDSA,
}

// verify returns what was signed. Found says that the key is one of those that are known. A token that does not name its key
// may be of a new one.
func (k *keys) verify(jws *jose.JSONWebSignature) (payload []byte, found bool, err error) {
	header := jws.Signatures[0].Header
	err = fmt.Errorf("the key %.80q is not known", header.KeyID)
	for _, key := range k.current.Load().keys {
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		found = header.KeyID != ""
		if payload, err = jws.Verify(&key); err == nil {
			return payload, true, nil
		}
	}
	return nil, found, err
}

// await waits until keys were fetched that are newer than the call, and reports whether they were. It does not wait if a
// fetch ended lately, nor with many others.
func (k *keys) await(ctx context.Context) bool {
	k.mu.Lock()
	if k.waiting >= mostWaiting || k.ended == nil && time.Since(k.begun) < atMost {
		k.mu.Unlock()
		return false
	}
	ended := k.beginLocked()
	k.waiting++
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.waiting--
		k.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-ended:
		return true
	case <-ctx.Done():
		return false
	}
}
