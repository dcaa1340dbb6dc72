package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/certs"
	"mdpgateway/internal/yamlnode"
)

// finishTLS checks the settings of TLS together and reads its files. Without --tls-client-auth, callers must show a
// certificate if there is an authority for them.
func (s *settings) finishTLS(r *resolver) (err error) {
	if s.TLSClientAuth == "" {
		s.TLSClientAuth = certs.None
		if s.TLSClientCA != "" {
			s.TLSClientAuth = certs.Require
		}
	}
	if err := s.checkTLS(r); err != nil || s.TLSCert == "" {
		return err
	}
	s.Certs, err = certs.Read(certs.Files{
		Cert: s.TLSCert, Key: s.TLSKey, ClientCA: s.TLSClientCA, ClientCRL: s.TLSClientCRL, ClientAuth: s.TLSClientAuth,
	})
	return err
}

func (s *settings) checkTLS(r *resolver) error {
	need := func(name, value, want string) error { return &valueError{r.origin(name), value, want} }
	secure := slices.ContainsFunc(s.sockets(), func(s socket) bool { return s.secure })
	switch {
	case s.TLSCert == "" && s.TLSKey != "":
		return need("tls-cert", "", "the certificate of the key "+s.TLSKey)
	case s.TLSCert != "" && s.TLSKey == "":
		return need("tls-key", "", "the key of the certificate "+s.TLSCert)
	case secure && s.TLSCert == "":
		return need("tls-cert", "", "a certificate for "+strings.Join(s.Listen, ", "))
	case s.TLSCert != "" && !secure:
		return need("listen", strings.Join(s.Listen, ", "), "an address that "+r.origin("tls-cert")+" is for, without http:// before it")
	case s.TLSClientCA != "" && s.TLSCert == "":
		return need("tls-cert", "", "a certificate, or no "+r.origin("tls-client-ca"))
	case s.TLSClientAuth != certs.None && s.TLSClientCA == "":
		return need("tls-client-ca", "", "the authorities of callers' certificates, which "+r.origin("tls-client-auth")+" asks for")
	case s.TLSClientCRL != "" && s.TLSClientCA == "":
		return need("tls-client-ca", "", "the authorities whose lists "+r.origin("tls-client-crl")+" has")
	}
	return nil
}

// checkTLSReload refuses a reload that would begin or end TLS, which is the listeners', or ask callers for less.
func (d *daemon) checkTLSReload(next *settings) error {
	switch strict := []string{certs.None, certs.Request, certs.Require}; {
	case (next.Certs == nil) != (d.certs == nil):
		return errors.New("tls-cert is set or is no longer, want it as it was: only a restart begins or ends TLS")
	case slices.Index(strict, next.TLSClientAuth) < slices.Index(strict, d.settings.TLSClientAuth):
		return fmt.Errorf("tls-client-auth is %q, want at least %q: only a restart asks callers for less", next.TLSClientAuth, d.settings.TLSClientAuth)
	}
	return nil
}

// certsChanged is told what became of files of TLS that have changed by themselves.
func (d *daemon) certsChanged(err error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.badCerts = err != nil
	d.tellReloaded()
	if err != nil {
		d.log.Error("the files of TLS are invalid, the previous ones stay in force", zap.String("error", yamlnode.OneLine(err.Error())))
		return
	}
	set := d.certs.Set()
	d.log.Info("the files of TLS were read again", zap.Time("expires", set.Dates()[0].Ends))
	warn(d.log, expired(set)...)
}

// tellReloaded tells the metrics whether what was read last is in force: settings and files of TLS. d.reloading is held.
func (d *daemon) tellReloaded() { d.metrics.Reloaded(!d.badSettings && !d.badCerts, time.Now()) }

// expired returns what of TLS holds no longer.
func expired(s *certs.Set) (all []exposure) {
	for _, d := range s.Dates() {
		if !d.Ends.IsZero() && time.Now().After(d.Ends) {
			all = append(all, exposure{"a file of TLS is out of date", d.Setting, d.Ends.Format(time.RFC3339)})
		}
	}
	return all
}
