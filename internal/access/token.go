package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/yamlnode"
)

// A Token proves a principal by what an issuer says of a caller.
type Token struct {
	Issuer string
	Claims []Claim // all must match; at least one
}

// A Claim is what a claim of a token must be. A list in the token matches if one of its elements does.
type Claim struct {
	Name string
	Want any // a string, in which * is any text and ? any character; a bool; an int; or []Claim, of an object
}

// An Issuer is one whose tokens are taken (OpenID Connect Discovery 1.0).
type Issuer struct {
	Issuer     string        // its URL, exactly as in the claim iss
	Audience   string        // that tokens must name in aud
	Algorithms []string      // of signatures, all asymmetric; default RS256 and ES256
	JWKSURL    string        // of its keys; empty: as its discovery document says
	CAFile     string        // certificates that sign its own; empty: the system's
	Skew       time.Duration // by which clocks may differ; default 60 s
}

// A Verified is what a token says, after its signature, issuer and audience were found right.
type Verified struct {
	Issuer, Subject string
	Expires         time.Time
	Claims          map[string]any // as encoding/json decodes them
}

// Errors of a Verifier.
var (
	ErrNoToken = errors.New("this is no token of a known issuer")
	ErrExpired = errors.New("the token has expired")
)

// A Verifier checks tokens. It is used by many goroutines at once.
type Verifier interface {
	// Verify returns what a token says, at this time. The error is ErrNoToken if the text does not look like
	// a token of a known issuer, and ErrExpired for one that is right but for its age, with what it says.
	// All others say what is wrong, for the operator. It may wait for the issuer's keys, but not long.
	Verify(ctx context.Context, token string, now time.Time) (*Verified, error)
}

// matches reports whether a verified token is the principal's.
func (t *Token) matches(v *Verified) bool {
	return t.Issuer == v.Issuer && matchClaims(t.Claims, v.Claims)
}

func matchClaims(all []Claim, object map[string]any) bool {
	return !slices.ContainsFunc(all, func(c Claim) bool { return !matchClaim(c.Want, object[c.Name]) })
}

func matchClaim(want, got any) bool {
	if list, ok := got.([]any); ok {
		return slices.ContainsFunc(list, func(element any) bool {
			_, nested := element.([]any)
			return !nested && matchClaim(want, element)
		})
	}
	switch want := want.(type) {
	case string:
		text, ok := got.(string)
		return ok && match(want, text)
	case bool:
		return got == want
	case int:
		number, ok := got.(float64)
		return ok && number == float64(want)
	case []Claim:
		object, ok := got.(map[string]any)
		return ok && matchClaims(want, object)
	}
	return false
}

func readToken(dst **Token, issuers []Issuer) yamlnode.Reader {
	t := new(Token)
	return func(path string, n *yaml.Node) error {
		*dst = t
		var names []string
		for _, issuer := range issuers {
			names = append(names, issuer.Issuer)
		}
		known := func(text string) (string, error) {
			switch {
			case len(names) == 0:
				return "", errors.New("an issuer of the list issuers, which is empty")
			case !slices.Contains(names, text):
				return "", fmt.Errorf("one of %s", strings.Join(names, ", "))
			}
			return text, nil
		}
		return yamlnode.Object(path, n, []yamlnode.Field{
			{Key: "issuer", Read: yamlnode.Scalar(&t.Issuer, known), Need: "one of issuers"},
			{Key: "claims", Read: readClaims(&t.Claims), Need: `what the token must say, such as {groups: students}, or {sub: "*"} for every token`},
		})
	}
}

// mostClaims bounds what is looked for in a token.
const mostClaims = 100

func readClaims(dst *[]Claim) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		err := yamlnode.Members(path, n, func(at string, key, value *yaml.Node) error {
			want, err := readClaim(at, value)
			*dst = append(*dst, Claim{key.Value, want})
			return err
		})
		if err == nil && (len(*dst) == 0 || len(*dst) > mostClaims) {
			err = yamlnode.Wrong(n, path, "has %d claims, want 1 to %d", len(*dst), mostClaims)
		}
		return err
	}
}

func readClaim(path string, n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!str":
		return n.Value, nil
	case "!!bool":
		var want bool
		err := n.Decode(&want)
		return want, err
	case "!!int":
		if want, err := strconv.Atoi(n.Value); err == nil {
			return want, nil
		}
	case "!!map":
		var within []Claim
		err := readClaims(&within)(path, n)
		return within, err
	}
	return nil, yamlnode.Wrong(n, path, "is %s, want text in which * is any text, a whole number, true, false, or claims within this one", yamlnode.Show(n))
}

// asymmetric are the algorithms that need no secret of the gateway (RFC 7518 section 3.1, RFC 8037).
var asymmetric = []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"}

// What an issuer has that says nothing else.
const defaultSkew = time.Minute

func defaultAlgorithms() []string { return []string{"RS256", "ES256"} }

const (
	mostIssuers = 100
	mostSkew    = 10 * time.Minute
)

// ReadIssuers reads the list issuers: {issuer, audience, algorithms, jwks_url, ca_file, skew}, of which the first two
// are required. The error is an *Error.
func ReadIssuers(name string, root *yaml.Node) (all []Issuer, err error) {
	if root == nil {
		return nil, nil
	}
	err = yamlnode.List(&all, mostIssuers, "issuers such as {issuer, audience}", readIssuer)(name, root)
	seen := make(map[string]bool)
	for i, issuer := range all {
		if err == nil && seen[issuer.Issuer] {
			err = yamlnode.Wrong(root.Content[i], fmt.Sprintf("%s[%d]", name, i), "is %q once more, want each issuer once", issuer.Issuer)
		}
		seen[issuer.Issuer] = true
	}
	return all, err
}

func readIssuer(dst *Issuer) yamlnode.Reader {
	*dst = Issuer{Skew: defaultSkew}
	algorithm := func(dst *string) yamlnode.Reader { return yamlnode.Scalar(dst, parseAlgorithm) }
	return func(path string, n *yaml.Node) error {
		err := yamlnode.Object(path, n, []yamlnode.Field{
			{Key: "issuer", Read: readURL(&dst.Issuer, false), Need: issuerWanted},
			{Key: "audience", Read: yamlnode.Scalar(&dst.Audience, parseAudience), Need: "what tokens for this gateway name in aud"},
			{Key: "algorithms", Read: yamlnode.List(&dst.Algorithms, len(asymmetric), "algorithms such as RS256", algorithm)},
			{Key: "jwks_url", Read: readURL(&dst.JWKSURL, true)},
			{Key: "ca_file", Read: yamlnode.Scalar(&dst.CAFile, func(text string) (string, error) { return text, nil })},
			{Key: "skew", Read: yamlnode.Scalar(&dst.Skew, parseSkew)},
		})
		if len(dst.Algorithms) == 0 {
			dst.Algorithms = defaultAlgorithms()
		}
		return err
	}
}

const issuerWanted = "a URL such as https://login.lab; http only on loopback"

// readURL reads the URL of something whose word is taken. Its error does not show a password.
func readURL(dst *string, query bool) yamlnode.Reader {
	read := yamlnode.Scalar(dst, func(text string) (string, error) {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || !query && u.RawQuery != "" || u.Fragment != "" ||
			u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
			return "", errors.New(issuerWanted)
		}
		return text, nil
	})
	return func(path string, n *yaml.Node) error {
		if strings.Contains(n.Value, "@") {
			return yamlnode.Wrong(n, path, "has a user or password, %s", "want "+issuerWanted)
		}
		return read(path, n)
	}
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func parseAudience(text string) (string, error) {
	if text == "" || len(text) > 1000 {
		return "", errors.New("what tokens for this gateway name in aud")
	}
	return text, nil
}

func parseAlgorithm(text string) (string, error) {
	if !slices.Contains(asymmetric, text) {
		return "", fmt.Errorf("one of %s", strings.Join(asymmetric, ", "))
	}
	return text, nil
}

func parseSkew(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > mostSkew {
		return 0, errors.New("a duration from 0s to 10m, such as 60s")
	}
	return d, nil
}
