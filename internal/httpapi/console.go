package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
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

// consolePolicy lets the page load its own files, ask this gateway, and show and play replies; nothing else.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

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
		var packed bytes.Buffer
		z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		_, _ = z.Write(content)
		_ = z.Close()
		b.files[path.Base(name)] = packed.Bytes()
	}
	b.tag = `"` + hex.EncodeToString(sum.Sum(nil)[:8]) + `"`
	return b
})

// consolePage answers GET /console. Like GET /docs it needs no key: it tells nothing of this gateway but its version of
// the page, and asks for everything else with the key of whoever looks at it.
func consolePage(w *response, r *http.Request) error {
	w.Header().Set("Content-Security-Policy", consolePolicy)
	return sendConsole(w, r, "index.html")
}

// consoleFile answers GET /console/{file}: what the page loads.
func consoleFile(w *response, r *http.Request) error {
	file := chi.URLParam(r, "file")
	if strings.HasSuffix(file, ".html") {
		return notFound(w, r)
	}
	return sendConsole(w, r, file)
}

func sendConsole(w *response, r *http.Request, file string) error {
	w.timeout = min(w.timeout, docsTimeout)
	content, ok := bundle().files[file]
	if !ok {
		return &gateway.Error{Kind: gateway.NotFound, Detail: "the page has no file of this name"}
	}
	h := w.Header()
	h.Set("Content-Encoding", "gzip")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Content-Type", docsTypes[path.Ext(file)])
	serveTagged(w, r, bundle().tag, bytes.NewReader(content))
	return nil
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
