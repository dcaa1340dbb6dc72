// Package certs holds what a TLS listener shows and whom it believes: its certificate and key, the authorities of
// callers' certificates, and the certificates that these have revoked. All of it is read from files as one Set, and
// replaced as one while connections are open.
//
// It does not decide what the holder of a certificate may do.
package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// Whether callers are asked for a certificate.
const (
	None    = "none"    // no
	Request = "request" // yes; one that does not hold ends the handshake
	Require = "require" // yes, and none ends the handshake too
)

// Files names the files of a Set.
type Files struct {
	Cert, Key  string // PEM; Cert begins with the listener's own certificate, then come those up to its authority
	ClientCA   string // PEM, the authorities of callers' certificates; "" for none
	ClientCRL  string // PEM or DER, what these have revoked; "" if nothing is looked up
	ClientAuth string // None, Request or Require; the last two need ClientCA
}

// A Set is what Files said when they were read. It never changes.
type Set struct {
	files Files
	sum   [sha256.Size]byte // of all contents
	tls   *tls.Config       // with session tickets of its own, whose keys crypto/tls rotates daily
	lists []revocations
	dates []Date
}

// A Date says from when to when a file holds: for several certificates or lists, when the first of them ends.
type Date struct {
	Setting      string // that names the file: tls-cert, tls-client-ca or tls-client-crl
	Issued, Ends time.Time
}

// Read reads files. The error says in one line which is wrong.
func Read(files Files) (*Set, error) {
	c, err := files.read()
	if err != nil {
		return nil, err
	}
	return files.parse(c)
}

// contents are those of Files.
type contents struct{ cert, key, ca, crl []byte }

func (f Files) read() (c contents, err error) {
	for _, one := range []struct {
		setting, path string
		to            *[]byte
	}{{"tls-cert", f.Cert, &c.cert}, {"tls-key", f.Key, &c.key}, {"tls-client-ca", f.ClientCA, &c.ca}, {"tls-client-crl", f.ClientCRL, &c.crl}} {
		if one.path == "" {
			continue
		}
		if *one.to, err = os.ReadFile(one.path); err != nil {
			return c, wrong(one.setting, one.path, "a file that can be read", errors.Unwrap(err))
		}
	}
	return c, nil
}

func (c contents) sum() [sha256.Size]byte {
	h := sha256.New()
	for _, data := range [][]byte{c.cert, c.key, c.ca, c.crl} {
		fmt.Fprintf(h, "%d\n", len(data))
		h.Write(data)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (f Files) parse(c contents) (*Set, error) {
	s := &Set{files: f, sum: c.sum()}
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, wrong("tls-cert", f.Cert, "a certificate in PEM, and its key in "+f.Key, err)
	}
	chain, err := certificates(c.cert)
	if err != nil {
		return nil, wrong("tls-cert", f.Cert, "certificates in PEM", err)
	}
	s.dates = append(s.dates, dateOf("tls-cert", chain))
	s.tls = &tls.Config{
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"h2", "http/1.1"},
		MinVersion:   tls.VersionTLS12,
		ClientAuth:   map[string]tls.ClientAuthType{Request: tls.VerifyClientCertIfGiven, Require: tls.RequireAndVerifyClientCert}[f.ClientAuth],
	}
	if f.ClientCA == "" {
		return s, nil
	}
	authorities, err := certificates(c.ca)
	if err != nil {
		return nil, wrong("tls-client-ca", f.ClientCA, "certificates in PEM", err)
	}
	s.dates = append(s.dates, dateOf("tls-client-ca", authorities))
	s.tls.ClientCAs = x509.NewCertPool()
	for _, a := range authorities {
		s.tls.ClientCAs.AddCert(a)
	}
	if f.ClientCRL == "" {
		return s, nil
	}
	if s.lists, err = revoked(c.crl, authorities); err != nil {
		return nil, wrong("tls-client-crl", f.ClientCRL, "lists of revoked certificates", err)
	}
	s.dates = append(s.dates, dateOfLists(s.lists))
	s.tls.VerifyConnection = func(c tls.ConnectionState) error { // of resumed sessions, too
		if len(c.PeerCertificates) == 0 {
			return nil
		}
		if _, err := s.unrevoked(c.VerifiedChains, time.Now()); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: c.PeerCertificates, Err: err}
		}
		return nil
	}
	return s, nil
}

// Dates returns from when to when each file holds.
func (s *Set) Dates() []Date { return s.dates }

// Files returns the names of the files that were read.
func (s *Set) Files() Files { return s.files }

// certificates reads one or more.
func certificates(data []byte) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if all == nil {
		return nil, errors.New("it has none")
	}
	return all, nil
}

func dateOf(setting string, chain []*x509.Certificate) Date {
	d := Date{setting, chain[0].NotBefore, chain[0].NotAfter}
	for _, c := range chain {
		if c.NotAfter.Before(d.Ends) {
			d.Issued, d.Ends = c.NotBefore, c.NotAfter
		}
	}
	return d
}

func wrong(setting, path, want string, err error) error {
	return fmt.Errorf("%s is %q, want %s: %w", setting, path, want, err)
}
