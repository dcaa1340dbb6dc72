// Command provider is an OpenID provider for tests: zitadel/oidc's server, with its example's users and clients in memory.
// It listens on the address of the first argument, prints its URL when it does, and makes a new signing key at each SIGUSR1;
// tokens of the keys of before stay valid. The others are the pages that a login may return to.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rs/cors"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: provider ADDRESS REDIRECT_URI…")
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	issuer := "http://" + listener.Addr().String()
	storage.RegisterClients(storage.NativeClient("mdp-gateway", os.Args[2:]...), storage.NativeClient("other", os.Args[2:]...))
	p := &provider{Storage: storage.NewStorage(storage.NewUserStore("http://localhost:0"))}
	p.rotate()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			p.rotate()
			fmt.Println("rotated")
		}
	}()
	quiet := slog.New(slog.DiscardHandler)
	handler := exampleop.SetupServer(issuer, p, quiet, false, op.WithLogger(quiet))
	fmt.Println(issuer)
	log.Fatal(http.Serve(listener, cors.AllowAll().Handler(handler))) //nolint:gosec // for tests
}

// A provider is the example's storage, but for its keys, and with groups in tokens.
type provider struct {
	*storage.Storage
	mu   sync.Mutex
	keys []*key // the last signs; guarded by mu
}

func (p *provider) rotate() {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append(p.keys, &key{fmt.Sprint("key-", len(p.keys)+1), private})
}

// SigningKey is op.Storage.
func (p *provider) SigningKey(context.Context) (op.SigningKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return signing{p.keys[len(p.keys)-1]}, nil
}

// KeySet is op.Storage.
func (p *provider) KeySet(context.Context) (all []op.Key, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range slices.Backward(p.keys) {
		all = append(all, k)
	}
	return all, nil
}

// GetClientByClientID is op.Storage.
func (p *provider) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := p.Storage.GetClientByClientID(ctx, id)
	return client{c}, err
}

// SetUserinfoFromRequest is op.CanSetUserinfoFromRequest.
func (p *provider) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, token op.IDTokenRequest, scopes []string) error {
	err := p.Storage.SetUserinfoFromRequest(ctx, info, token, scopes)
	info.AppendClaims("groups", []string{"lab", "students"})
	return err
}

// A client gets what is known of the user in its ID token.
type client struct{ op.Client }

// IDTokenUserinfoClaimsAssertion is op.Client.
func (client) IDTokenUserinfoClaimsAssertion() bool { return true }

// IDTokenLifetime is op.Client.
func (client) IDTokenLifetime() time.Duration { return time.Hour }

// DevMode is op.Client.
func (client) DevMode() bool { return true }

// A key is one that is published.
type key struct {
	id      string
	private *rsa.PrivateKey
}

func (k *key) ID() string                       { return k.id }
func (*key) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (*key) Use() string                        { return "sig" }
func (k *key) Key() any                         { return &k.private.PublicKey }

// signing is the key that signs.
type signing struct{ *key }

func (signing) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (s signing) Key() any                                  { return s.private }
