package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// revocations is one list of revoked certificates (RFC 5280, section 5), complete and of one issuer.
type revocations struct {
	list    *x509.RevocationList
	serials map[string]bool // big-endian bytes
}

// revoked reads lists, in PEM or one in DER. One whose issuer is an authority must be signed by it; that of an
// intermediate, which is known only when a caller shows it, is checked then.
func revoked(data []byte, authorities []*x509.Certificate) (all []revocations, err error) {
	var ders [][]byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			ders = append(ders, block.Bytes)
		}
	}
	if ders == nil {
		ders = [][]byte{data}
	}
	for _, der := range ders {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, err
		}
		for _, e := range list.Extensions {
			if e.Critical { // a delta, or a list of some of an issuer's certificates
				return nil, fmt.Errorf("the list of %s has the critical extension %s, which is not known", list.Issuer, e.Id)
			}
		}
		if err := signedByOne(list, authorities); err != nil {
			return nil, err
		}
		r := revocations{list, make(map[string]bool, len(list.RevokedCertificateEntries))}
		for _, e := range list.RevokedCertificateEntries {
			r.serials[string(e.SerialNumber.Bytes())] = true
		}
		all = append(all, r)
	}
	return all, nil
}

func signedByOne(list *x509.RevocationList, authorities []*x509.Certificate) (err error) {
	for _, a := range authorities {
		if bytes.Equal(a.RawSubject, list.RawIssuer) {
			if err = list.CheckSignatureFrom(a); err == nil {
				return nil
			}
		}
	}
	return err
}

// unrevoked returns those of a certificate's chains, each from the certificate to an authority, in which nothing is
// revoked; an error if there is none. A certificate is looked up in the lists of its issuer. There must be one for the
// caller's own, and none may be out of date.
func (s *Set) unrevoked(chains [][]*x509.Certificate, now time.Time) (hold [][]*x509.Certificate, err error) {
	if s.lists == nil {
		return chains, nil
	}
	err = errors.New("the certificate has no chain")
	for _, chain := range chains {
		var fault error
		for i := 0; i+1 < len(chain) && fault == nil; i++ {
			fault = s.lookUp(chain[i], chain[i+1], i == 0, now)
		}
		if fault != nil {
			err = fault
			continue
		}
		hold = append(hold, chain)
	}
	if hold != nil {
		return hold, nil
	}
	return nil, err
}

func (s *Set) lookUp(c, issuer *x509.Certificate, needed bool, now time.Time) error {
	for _, r := range s.lists {
		switch {
		case !bytes.Equal(r.list.RawIssuer, c.RawIssuer) || r.list.CheckSignatureFrom(issuer) != nil:
			continue
		case !r.list.NextUpdate.IsZero() && now.After(r.list.NextUpdate):
			return fmt.Errorf("the list of what %s has revoked is out of date", c.Issuer)
		case r.serials[string(c.SerialNumber.Bytes())]:
			return fmt.Errorf("the certificate %x of %s is revoked", c.SerialNumber, c.Issuer)
		}
		needed = false
	}
	if needed {
		return fmt.Errorf("there is no list of what %s has revoked", c.Issuer)
	}
	return nil
}

func dateOfLists(lists []revocations) Date {
	d := Date{Setting: "tls-client-crl"}
	for _, r := range lists {
		if next := r.list.NextUpdate; !next.IsZero() && (d.Ends.IsZero() || next.Before(d.Ends)) {
			d.Issued, d.Ends = r.list.ThisUpdate, next
		}
	}
	return d
}
