package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"mdpgateway/internal/gateway"
)

// consoleFiles is the page of GET /console, as `make console` builds it from console/.
//
//go:embed console/*.html console/*.js console/*.css
var consoleFiles embed.FS

// consolePolicy lets the page load its own files, ask this gateway, and show and play replies; nothing else. It ends with
// what the page may ask.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'"

// A consoleBundle is the page's files, compressed, by name.
type consoleBundle struct {
	tag   string // their ETag: they change together
	files map[string][]byte
}

// bundle compresses the files once. Any browser takes gzip.
var bundle = sync.OnceValue(func() *consoleBundle {
	b, sum := &consoleBundle{files: map[string][]byte{}}, sha256.New()
	names, _ := fs.Glob(consoleFiles, "console/*") // the pattern is well formed, and the files are in the program
	for _, name := range names {
		content, _ := consoleFiles.ReadFile(name)
		_, _ = sum.Write(content)
		b.files[path.Base(name)] = pack(content)
	}
	b.tag = `"` + hex.EncodeToString(sum.Sum(nil)[:8]) + `"`
	return b
})

// pack compresses content.
func pack(content []byte) []byte {
	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // a level that there is
	_, _ = z.Write(content)
	_ = z.Close()
	return packed.Bytes()
}

// A Login is an OpenID Connect issuer at which people log in to the console, and what the page is there: a public
// client, which has no secret.
type Login struct {
	Issuer   string `json:"issuer"` // its URL
	ClientID string `json:"client_id"`
}

// originForm is what can stand in a policy as the origin of an issuer.
var originForm = regexp.MustCompile(`^https?://([a-zA-Z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]+)?$`)

// Check returns an error unless a policy can name the issuer.
func (l *Login) Check() error {
	if !originForm.MatchString(l.origin()) {
		return fmt.Errorf("login issuer is %q, want a URL such as https://login.lab", l.Issuer)
	}
	return nil
}

// origin returns scheme, host and port of the issuer.
func (l *Login) origin() string {
	u, err := url.Parse(l.Issuer)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// A front is the page of GET /console, as this gateway gives it.
type front struct {
	policy, tag string
	content     []byte // compressed
}

// newFront returns the page; with a login it tells the page of it, and lets it ask the issuer.
func newFront(login *Login) front {
	f := front{consolePolicy, bundle().tag, bundle().files["index.html"]}
	if login == nil {
		return f
	}
	text, _ := consoleFiles.ReadFile("console/index.html")
	told, _ := json.Marshal(login) // two strings
	meta := `<meta name="login" content="` + html.EscapeString(string(told)) + `">`
	text = bytes.Replace(text, []byte("</head>"), []byte(meta+"\n</head>"), 1)
	sum := sha256.Sum256(append([]byte(f.tag), text...))
	return front{f.policy + " " + login.origin(), `"` + hex.EncodeToString(sum[:8]) + `"`, pack(text)}
}

// page answers GET /console. Like GET /docs it needs no key: it tells nothing of this gateway but its version of the
// page and where to log in, and asks for everything else with the key of whoever looks at it.
func (f front) page(w *response, r *http.Request) error {
	w.Header().Set("Content-Security-Policy", f.policy)
	sendPacked(w, r, f.tag, ".html", f.content)
	return nil
}

// consoleFile answers GET /console/{file}: what the page loads.
func consoleFile(w *response, r *http.Request) error {
	file := chi.URLParam(r, "file")
	if strings.HasSuffix(file, ".html") {
		return notFound(w, r)
	}
	content, ok := bundle().files[file]
	if !ok {
		return &gateway.Error{Kind: gateway.NotFound, Detail: "the page has no file of this name"}
	}
	sendPacked(w, r, bundle().tag, path.Ext(file), content)
	return nil
}

// sendPacked answers with compressed content of the type that an extension stands for.
func sendPacked(w *response, r *http.Request, tag, extension string, content []byte) {
	w.timeout = min(w.timeout, docsTimeout)
	h := w.Header()
	h.Set("Content-Encoding", "gzip")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Content-Type", docsTypes[extension])
	serveTagged(w, r, tag, bytes.NewReader(content))
}

// root answers GET /: a browser is sent to the console, others get the routes to begin with. Whoever reads either still
// needs a key for what is of this gateway.
func (a *API) root(w *response, r *http.Request) error {
	if !a.cfg.NoConsole && strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Location", "console") // relative, for proxies that serve the gateway below a path
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	index := struct {
		Services string `json:"services"`
		OpenAPI  string `json:"openapi"`
		Docs     string `json:"docs"`
		Console  string `json:"console,omitempty"`
	}{"/services", "/openapi.json", "/docs", "/console"}
	if a.cfg.NoConsole {
		index.Console = ""
	}
	return sendJSON(w, index)
}
