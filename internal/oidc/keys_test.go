package oidc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
)

// A published is what a source answers.
type published struct {
	mu      sync.Mutex
	keys    []jose.JSONWebKey // none: it is away
	takes   time.Duration     // to answer
	fetches atomic.Int64
}

func (p *published) set(takes time.Duration, keys ...jose.JSONWebKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys, p.takes = keys, takes
}

func (p *published) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	p.fetches.Add(1)
	p.mu.Lock()
	keys, takes := p.keys, p.takes
	p.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if keys == nil {
		return nil, errors.New("away")
	}
	return append([]jose.JSONWebKey(nil), keys...), nil
}

// inVirtualTime runs a test of keys that are fetched from p.
func inVirtualTime(t *testing.T, p *published, test func(t *testing.T, k *keys, valid func(token string) bool)) {
	t.Helper()
	ecKey()
	synctest.Test(t, func(t *testing.T) {
		k := startKeys(p.fetch, zap.NewNop())
		defer k.close()
		test(t, k, func(token string) bool {
			_, err := k.VerifySignature(t.Context(), token)
			return err == nil
		})
	})
}

func TestANewKeyOfAnIssuerCostsNoCall(t *testing.T) {
	p := new(published)
	p.set(100*time.Millisecond, public("1", ecKey()))
	next := newECKey()
	first := sign(t, jose.ES256, "1", ecKey(), claims("https://login.lab", nil))
	second := sign(t, jose.ES256, "2", next, claims("https://login.lab", nil))
	inVirtualTime(t, p, func(t *testing.T, _ *keys, valid func(string) bool) {
		if !valid(first) { // which waits for the first fetch
			t.Fatal("the first key is not taken")
		}
		time.Sleep(atMost)
		p.set(100*time.Millisecond, public("1", ecKey()), public("2", next))
		if !valid(second) || !valid(first) {
			t.Error("after a key was added, a token of it or of the one before is refused")
		}
		p.set(100*time.Millisecond, public("2", next))
		time.Sleep(every + time.Second)
		if valid(first) || !valid(second) {
			t.Error("after a key was withdrawn, a token of it is taken, or one of the other is not")
		}
	})
}

// Strangers make up keys: neither the issuer nor the gateway pays for more than one fetch and a few that wait.
func TestMadeUpKeysCauseOneFetch(t *testing.T) {
	p := new(published)
	p.set(time.Second, public("1", ecKey()))
	tokens := make([]string, 1000)
	for i := range tokens {
		tokens[i] = sign(t, jose.ES256, fmt.Sprint("made-up-", i), ecKey(), claims("https://login.lab", nil))
	}
	good := sign(t, jose.ES256, "1", ecKey(), claims("https://login.lab", nil))
	inVirtualTime(t, p, func(t *testing.T, k *keys, valid func(string) bool) {
		valid(good)
		time.Sleep(atMost)
		before, start := p.fetches.Load(), time.Now()
		var all sync.WaitGroup
		var atOnce atomic.Int64
		for _, token := range tokens {
			all.Go(func() {
				if valid(token) {
					t.Error("a token of a made-up key is taken")
				}
				if time.Since(start) == 0 {
					atOnce.Add(1)
				}
			})
		}
		all.Wait()
		if n := p.fetches.Load() - before; n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
		if waited := int64(len(tokens)) - atOnce.Load(); waited != mostWaiting {
			t.Errorf("%d requests waited, want %d", waited, mostWaiting)
		}
		for range 100 { // 1,000 s would be too few for the timer alone to fetch so often
			valid(tokens[0])
			time.Sleep(time.Second)
		}
		if n, most := p.fetches.Load()-before, int64(1+100/int(atMost.Seconds())+1); n > most {
			t.Errorf("%d fetches in 100 s, want at most %d", n, most)
		}
		if !valid(good) {
			t.Error("a good token is refused after the flood")
		}
	})
}

func TestNobodyWaitsLongForAnIssuer(t *testing.T) {
	p := new(published)
	p.set(time.Hour, public("1", ecKey()))
	token := sign(t, jose.ES256, "1", ecKey(), claims("https://login.lab", nil))
	inVirtualTime(t, p, func(t *testing.T, k *keys, valid func(string) bool) {
		start := time.Now()
		if valid(token) || time.Since(start) != patience {
			t.Errorf("answered after %v, want it refused after %v", time.Since(start), patience)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := k.VerifySignature(ctx, token); err == nil || time.Since(start) != time.Second {
			t.Errorf("a caller that left is waited for %v with %v", time.Since(start), err)
		}
	})
}

func TestAnIssuerThatIsAwayIsTriedAgain(t *testing.T) {
	p := new(published) // away at the start
	token := sign(t, jose.ES256, "1", ecKey(), claims("https://login.lab", nil))
	inVirtualTime(t, p, func(t *testing.T, _ *keys, valid func(string) bool) {
		if valid(token) {
			t.Error("a token is taken without its key")
		}
		time.Sleep(time.Hour)
		if n := p.fetches.Load(); n < 60 || n > 90 {
			t.Errorf("%d fetches in an hour, want about one a minute", n)
		}
		p.set(0, public("1", ecKey()))
		time.Sleep(lastRetry + time.Second)
		if !valid(token) {
			t.Error("a token is refused though its issuer is back")
		}
		p.set(0) // away again, for long
		time.Sleep(24 * time.Hour)
		if !valid(token) {
			t.Error("the keys are lost while the issuer is away")
		}
	})
}
