package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/access"
	"mdpgateway/internal/certs"
	"mdpgateway/internal/httpapi"
	"mdpgateway/internal/oidc"
	"mdpgateway/internal/yamlnode"
)

// readPrincipals reads the list of those who may call from the one place that has it: access in the configuration
// file, --access-file or --keys-file. Nil means that there is none: anyone may call.
func (s *settings) readPrincipals(r *resolver) (*access.List, error) {
	issuers, err := access.ReadIssuers(issuersKey, s.issuers)
	if err != nil {
		return nil, yamlnode.In(r.file.name, err)
	}
	if err := oidc.Check(issuers); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", r.file.name, s.issuers.Line, err)
	}
	if s.accessList != nil {
		list, err := access.ReadList(accessKey, s.accessList, r.file.text, issuers)
		return list, yamlnode.In(r.file.name, err)
	}
	path, key, name := s.AccessFile, r.origin("access-file"), accessKey
	if path == "" {
		path, key, name = s.KeysFile, r.origin("keys-file"), "keys"
	}
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s is %q, want a file that can be read: %w", key, path, errors.Unwrap(err))
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		return nil, fmt.Errorf("%s is %q, want a file that ends in a line break: this one may be half written", key, path)
	}
	list, err := access.ParseList(name, data, issuers)
	return list, yamlnode.In(filepath.Base(path), err)
}

// checkCertificates refuses a principal that nobody could be: its certificate is never asked for.
func (s *settings) checkCertificates(r *resolver) error {
	if s.Principals == nil || s.TLSClientAuth != certs.None {
		return nil
	}
	for _, p := range s.Principals.Principals() {
		if p.Certificate != nil {
			return &valueError{r.origin("tls-client-auth"), s.TLSClientAuth,
				fmt.Sprintf("request or require, and %s, for the certificate of the principal %q", r.origin("tls-client-ca"), p.ID)}
		}
	}
	return nil
}

// issuersOf returns the issuers of the tokens of those who may call.
func (s *settings) issuersOf() []access.Issuer {
	if s.Principals == nil {
		return nil
	}
	return s.Principals.Issuers()
}

// closed reports whether callers must prove who they are.
func (s *settings) closed() bool {
	return s.accessList != nil || s.AccessFile != "" || s.KeysFile != ""
}

// checkAccess refuses settings by which a stranger can call, unless --access says so: a call may run code on workers
// that unpickle. It also refuses two answers to the question who may call.
func (s *settings) checkAccess(r *resolver) error {
	var given []string
	for _, setting := range []struct {
		is   bool
		name string
	}{
		{s.Access != "", r.origin("access")}, {s.accessList != nil, r.file.name + ": access"},
		{s.AccessFile != "", r.origin("access-file")}, {s.KeysFile != "", r.origin("keys-file")},
	} {
		if setting.is {
			given = append(given, setting.name)
		}
	}
	switch {
	case len(given) > 1:
		return fmt.Errorf("%s are there together, want one of them", strings.Join(given, " and "))
	case len(given) == 0 && !s.onLoopback():
		return &valueError{r.origin("listen"), strings.Join(s.Listen, ", "),
			"a list of principals (--access-file), or --access open to let anyone who reaches the port call, or a loopback address"}
	}
	return nil
}

// readLogin reads console, {oidc: {issuer, client_id}}, from the configuration file. The issuer is one of those whose
// tokens are taken: a login at any other would give nobody a right.
func (s *settings) readLogin(r *resolver) (*httpapi.Login, error) {
	if s.console == nil {
		return nil, nil
	}
	var names []string
	for _, i := range s.issuersOf() {
		names = append(names, i.Issuer)
	}
	known := func(text string) (string, error) {
		switch {
		case len(names) == 0:
			return "", errors.New("an issuer of the list issuers, and principals with its tokens")
		case !slices.Contains(names, text):
			return "", fmt.Errorf("one of %s", strings.Join(names, ", "))
		case (&httpapi.Login{Issuer: text}).Check() != nil:
			return "", errors.New("a URL such as https://login.lab")
		}
		return text, nil
	}
	named := func(text string) (string, error) {
		if text == "" {
			return "", errors.New(clientWanted)
		}
		return text, nil
	}
	login := new(httpapi.Login)
	err := yamlnode.Object(consoleKey, s.console, []yamlnode.Field{{Key: "oidc", Need: "{issuer, client_id}", Read: func(path string, n *yaml.Node) error {
		return yamlnode.Object(path, n, []yamlnode.Field{
			{Key: "issuer", Read: yamlnode.Scalar(&login.Issuer, known), Need: "one of issuers"},
			{Key: "client_id", Read: yamlnode.Scalar(&login.ClientID, named), Need: clientWanted},
		})
	}}})
	return login, yamlnode.In(r.file.name, err)
}

const clientWanted = "what the console is called at the issuer"
