package access

import (
	"crypto/x509"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/yamlnode"
)

// A Certificate proves a principal by the names in a client's certificate, which TLS has verified. All that
// are given must match.
type Certificate struct {
	URI string // a SAN; a segment of its path may be *, which is any one
	DNS string // a SAN; a label may be *, which is any one
	CN  string // the subject's common name; * is any text. Whoever issues the certificates must vouch for it
}

// matches returns the name by which the certificate is the principal's.
func (want *Certificate) matches(c *x509.Certificate) (name string, ok bool) {
	for _, kind := range []struct {
		want  string
		names []string
		match func(pattern, name string) bool
	}{
		{want.URI, uris(c), matchURI}, {want.DNS, c.DNSNames, matchDNS}, {want.CN, []string{c.Subject.CommonName}, match},
	} {
		if kind.want == "" {
			continue
		}
		i := slices.IndexFunc(kind.names, func(name string) bool { return name != "" && kind.match(kind.want, name) })
		if i < 0 {
			return "", false
		}
		if name == "" {
			name = kind.names[i]
		}
	}
	return name, true
}

// uris returns the URIs of a certificate. One that has a SPIFFE id must have no other URI (X509-SVID section 2).
func uris(c *x509.Certificate) (all []string) {
	for _, u := range c.URIs {
		if u.Scheme == "spiffe" && len(c.URIs) > 1 {
			return nil
		}
		all = append(all, u.String())
	}
	return all
}

// matchDNS compares label by label, without regard to case (RFC 4343). A wildcard in the certificate is the
// name of many, and so of nobody.
func matchDNS(pattern, name string) bool {
	if strings.Contains(name, "*") {
		return false
	}
	return matchParts(strings.Split(pattern, "."), strings.Split(strings.ToLower(name), "."))
}

// matchURI compares segment by segment. The parts before the path are compared as they are.
func matchURI(pattern, name string) bool { return matchParts(uriParts(pattern), uriParts(name)) }

// uriParts returns a URI's scheme and authority, and the segments of its path; the whole of one without a path.
func uriParts(uri string) []string {
	scheme, rest, found := strings.Cut(uri, "://")
	if !found {
		return []string{uri}
	}
	parts := strings.Split(rest, "/")
	parts[0] = scheme + "://" + parts[0]
	return parts
}

// matchParts reports whether each part is that of the pattern, or any but an empty one for *.
func matchParts(pattern, parts []string) bool {
	return slices.EqualFunc(pattern, parts, func(want, part string) bool { return want == part || want == "*" && part != "" })
}

func readCertificate(dst **Certificate) yamlnode.Reader {
	c := new(Certificate)
	*dst = nil
	return func(path string, n *yaml.Node) error {
		err := yamlnode.Object(path, n, []yamlnode.Field{
			{Key: "uri", Read: yamlnode.Scalar(&c.URI, parseURI)},
			{Key: "dns", Read: yamlnode.Scalar(&c.DNS, parseDNS)},
			{Key: "cn", Read: yamlnode.Scalar(&c.CN, parseCN)},
		})
		if err == nil && *c == (Certificate{}) {
			err = yamlnode.Wrong(n, path, "has no name, want at least one of uri, dns, cn")
		}
		*dst = c
		return err
	}
}

func parseURI(text string) (string, error) {
	u, err := url.Parse(text)
	parts := uriParts(text)
	wild := func(part string) bool { return strings.Contains(part, "*") && part != "*" }
	if err != nil || u.Scheme == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		strings.Contains(parts[0], "*") || slices.ContainsFunc(parts, wild) || u.String() != text {
		return "", errors.New("a URI such as spiffe://lab/hall/*, in which a whole segment of the path may be *")
	}
	return text, nil
}

// dnsForm is labels of which the last is no wildcard.
var dnsForm = regexp.MustCompile(`^((\*|[a-z0-9_-]{1,63})\.)*[a-z0-9_-]{1,63}$`)

func parseDNS(text string) (string, error) {
	text = strings.ToLower(text)
	if len(text) > 253 || !dnsForm.MatchString(text) {
		return "", errors.New("a DNS name such as *.hall.lab, in which a whole label but the last may be *")
	}
	return text, nil
}

func parseCN(text string) (string, error) {
	if text == "" || len(text) > 200 {
		return "", errors.New("a common name, in which * is any text")
	}
	return text, nil
}
