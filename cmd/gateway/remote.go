package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"mdpgateway/internal/gateway"
)

// A remote is a gateway that runs somewhere, for the commands that are its callers.
type remote struct {
	URL string `default:"http://127.0.0.1:8080" given:"" placeholder:"URL" help:"The gateway (${default})."`
	As  string `given:"" placeholder:"FILE" help:"File with the key or token that is shown; - for stdin."`

	proof string // what As has
}

// open reads the proof.
func (r *remote) open() (err error) {
	r.URL = strings.TrimSuffix(r.URL, "/")
	if r.As == "" {
		return nil
	}
	if r.proof, err = readProof(r.As); err != nil {
		return usageError{err}
	}
	return nil
}

// do sends a request, whose answer the caller closes.
func (r *remote) do(ctx context.Context, client *http.Client, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.URL+path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if r.proof != "" {
		req.Header.Set("Authorization", "Bearer "+r.proof)
	}
	return client.Do(req)
}

// mostListed bounds the bytes of a list of services.
const mostListed = 64 << 20

// get reads the JSON of a route. A problem is an error with its code and detail.
func (r *remote) get(ctx context.Context, path string, to any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	res, err := r.do(ctx, http.DefaultClient, http.MethodGet, path, "", nil)
	if err != nil {
		return fmt.Errorf("%w: is the gateway at %s? --url says where", err, r.URL)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, mostListed))
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		code, detail := problemOf(text)
		return fmt.Errorf("%s: %s %s: %s", r.URL+path, res.Status, code, detail)
	}
	return json.Unmarshal(text, to)
}

// problemOf returns the code and the detail of a problem; unreadable if it is none.
func problemOf(text []byte) (code, detail string) {
	var p struct{ Code, Detail string }
	if json.Unmarshal(text, &p) != nil || p.Code == "" {
		return "unreadable", ""
	}
	return p.Code, p.Detail
}

// list returns the services that the caller may call.
func (r *remote) list(ctx context.Context) ([]gateway.ServiceInfo, error) {
	var answer struct{ Services []gateway.ServiceInfo }
	err := r.get(ctx, "/services", &answer)
	return answer.Services, err
}
