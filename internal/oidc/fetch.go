package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	fetchTimeout = 10 * time.Second
	mostBytes    = 1 << 20 // of a document
	mostKeys     = 100
)

// fetcher returns what fetches the keys of a source: from the address that its discovery document names, unless it is
// configured.
func fetcher(from source) func(context.Context) ([]jose.JSONWebKey, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // once in minutes
	if from.ca != "" {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(from.ca))
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	client := &http.Client{
		Transport: bounded{transport}, Timeout: fetchTimeout,
		// A redirect could lead to where nothing vouches for the keys.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) ([]jose.JSONWebKey, error) {
		address := from.jwksURL
		if address == "" {
			var err error
			if address, err = discover(oidc.ClientContext(ctx, client), from.issuer); err != nil {
				return nil, err
			}
		}
		return fetchKeys(ctx, client, address)
	}
}

// discover returns where an issuer says its keys are (OpenID Connect Discovery 1.0, section 4).
func discover(ctx context.Context, issuer string) (string, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return "", err
	}
	var document struct {
		JWKSURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return "", err
	}
	from, _ := url.Parse(issuer)
	if to, err := url.Parse(document.JWKSURL); err != nil || to.Scheme != "https" && to.Scheme != from.Scheme {
		return "", fmt.Errorf("jwks_uri is %.200q, want an https address", document.JWKSURL)
	}
	return document.JWKSURL, nil
}

func fetchKeys(ctx context.Context, client *http.Client, address string) ([]jose.JSONWebKey, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, response.Status)
	}
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	if len(document.Keys) > mostKeys {
		return nil, fmt.Errorf("%s has %d keys, want at most %d", address, len(document.Keys), mostKeys)
	}
	var all []jose.JSONWebKey
	for _, text := range document.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) == nil { // a key of a type that is not known is no reason to lose the others
			all = append(all, key)
		}
	}
	return all, nil
}

// bounded bounds the bodies of answers.
type bounded struct{ http.RoundTripper }

// RoundTrip is http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, mostBytes), response.Body}
	}
	return response, err
}
