package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"mdpgateway/internal/access"
	"mdpgateway/internal/certs"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/oidc"
)

// accessCmd is gateway access.
type accessCmd struct {
	Check accessCheckCmd `cmd:"" help:"Say what the caller with a key, a certificate or a token may do, and why."`
}

// accessCheckCmd is gateway access check. It knows all settings of serve, and judges by the same code. A proof is read from a
// file, since others see the command line of a process.
type accessCheckCmd struct {
	settings
	As      string   `given:"" required:"" placeholder:"FILE" help:"File with what the caller shows: a key, a token, or a certificate (PEM); - for stdin."`
	Service []string `given:"" placeholder:"NAME" help:"Service that it wants to call; repeatable; without it, those that it may call are listed."`
}

// mostProof bounds what is read as a proof.
const mostProof = 1 << 20

// Run prints the verdict. It fails if the caller is refused, or may not call one of the services.
func (c *accessCheckCmd) Run(p *process) error {
	if err := c.finish(p.resolver); err != nil {
		return usageError{err}
	}
	proof, err := readProof(c.As)
	if err != nil {
		return usageError{err}
	}
	shown, kind := parseProof(proof)
	if kind == certificateProof {
		shown.Certificate, err = c.verified(proof)
	}
	if err != nil {
		return err
	}
	tokens := oidc.New(nil)
	defer tokens.Close()
	if kind == tokenProof { // only then are the issuers asked for their keys
		if err := tokens.Swap(c.issuersOf()); err != nil {
			return usageError{err}
		}
	}
	return c.judge(p, access.NewStore(c.Principals, tokens), shown, kind)
}

func (c *accessCheckCmd) judge(p *process, who *access.Store, shown access.Shown, kind string) error {
	if !who.Enabled() {
		_, err := fmt.Fprintln(p.stdout, "anyone who reaches the port may call every service: there is no list of principals")
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	pass, err := who.Authenticate(ctx, shown, time.Now())
	if err != nil {
		return explainRefusal(pass, shown, kind, err)
	}
	fmt.Fprintf(p.stdout, "the %s is that of the principal %s\n", kind, pass.ID)
	for _, principal := range c.Principals.Principals() {
		if principal.ID == pass.ID {
			describe(p.stdout, principal, pass)
		}
	}
	for _, name := range c.Service {
		if !pass.May(name) {
			err = errors.Join(err, fmt.Errorf("it may not call %s: none of its services matches", name))
			continue
		}
		fmt.Fprintf(p.stdout, "it may call %s\n", name)
	}
	return err
}

// describe prints what a principal may do, in the words of the list.
func describe(w io.Writer, p *access.Principal, pass access.Pass) {
	limit := func(n int) string {
		if n == 0 {
			return "any"
		}
		return strconv.Itoa(n)
	}
	expires := "never"
	if !p.Expires.IsZero() {
		expires = p.Expires.UTC().Format(time.RFC3339)
	}
	for _, line := range [][2]string{
		{"subject", pass.Subject}, {"owner", pass.Owner()}, {"services", strings.Join(p.Services, ", ")}, {"metrics", strconv.FormatBool(p.Metrics)},
		{"expires", expires}, {"rate", p.Rate.String()}, {"max_in_flight", limit(p.MaxInFlight)}, {"max_jobs", limit(p.MaxJobs)},
	} {
		if line[1] != "" {
			fmt.Fprintf(w, "  %s: %s\n", line[0], line[1])
		}
	}
}

// says returns what a proof says of its caller, for an operator to compare with the list; nothing for a key.
func says(shown access.Shown, kind string) string {
	switch kind {
	case certificateProof:
		c := shown.Certificate
		return fmt.Sprintf("; its names are uri %q, dns %q, cn %q, and it is for %v to %v", c.URIs, c.DNSNames, c.Subject.CommonName,
			c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339))
	case tokenProof:
		if payload, err := base64.RawURLEncoding.DecodeString(strings.Split(shown.Authorization[0], ".")[1]); err == nil {
			return fmt.Sprintf("; it says %.2000q", payload)
		}
	}
	return ""
}

// explainRefusal returns why a proof is refused, with what a caller is not told.
func explainRefusal(pass access.Pass, shown access.Shown, kind string, err error) error {
	e := gateway.AsError(err)
	text := fmt.Sprintf("the %s is refused: %s", kind, e.Detail)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if pass.Result == access.Expired {
		text += " (it is that of the principal " + pass.ID + ")"
	}
	return errors.New(text + says(shown, kind))
}

// readProof reads a file, - for stdin. Its error does not show the name: it may be the proof itself.
func readProof(name string) (string, error) {
	file := os.Stdin
	if name != "-" {
		var err error
		if file, err = os.Open(name); err != nil {
			return "", fmt.Errorf("--as is no file that can be read, want one with a key, a token or a certificate: %w", errors.Unwrap(err))
		}
		defer file.Close()
	}
	data, err := io.ReadAll(io.LimitReader(file, mostProof))
	return strings.TrimSpace(string(data)), err
}

// verified returns the first certificate of a PEM file, if a caller who shows the file's certificates passes the handshake.
func (c *accessCheckCmd) verified(text string) (*x509.Certificate, error) {
	var chain []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			each, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, usageError{fmt.Errorf("--as has a certificate that can't be read: %w", err)}
			}
			chain = append(chain, each)
		}
	}
	switch {
	case len(chain) == 0:
		return nil, usageError{errors.New("--as has no certificate in its PEM")}
	case c.TLSClientAuth == certs.None:
		return nil, errors.New("the certificate is refused: none is asked for (--tls-client-ca)")
	}
	if err := c.Certs.Verify(chain, time.Now()); err != nil {
		shown := access.Shown{Certificate: chain[0]}
		return nil, fmt.Errorf("the certificate is refused in the handshake: %w%s", err, says(shown, certificateProof))
	}
	return chain[0], nil
}

// The kinds of proofs, for people.
const (
	keyProof         = "key"
	tokenProof       = "token"
	certificateProof = "certificate"
)

// parseProof tells a certificate from a token and a key.
func parseProof(text string) (shown access.Shown, kind string) {
	if strings.HasPrefix(text, "-----BEGIN ") {
		return access.Shown{}, certificateProof
	}
	kind = keyProof
	if strings.Count(text, ".") == 2 {
		kind = tokenProof
	}
	return access.Shown{Authorization: []string{"Bearer " + text}}, kind
}
