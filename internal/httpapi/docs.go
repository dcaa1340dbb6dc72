package httpapi

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"mdpgateway/internal/gateway"
)

// docs is the page of GET /docs: our own index.html, docs.js, docs.css and the icon of
// all pages, and what they show the document with: Stoplight Elements, compressed, and its licenses,
// as `make docs-assets` takes them from npm.
//
//go:embed docs/*.html docs/*.js docs/*.css docs/*.svg docs/*.gz docs/*.txt
var docs embed.FS

// docsTypes are the types of its files.
var docsTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// docsPolicy lets the page load its own files and ask this gateway, and nothing
// else: no script or style within the page, no other host, no frame around it.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; style-src-attr 'none'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docsPage answers GET /docs: /openapi.json as a page, to read and to try.
//
// It needs no key, since a browser that opens a page can send none, and the files
// tell nothing of this gateway: they are the same in all of one version. What is
// of this gateway is in /openapi.json, for which the page asks with the key of
// whoever reads it.
func docsPage(w *response, r *http.Request) error {
	w.Header().Set("Content-Security-Policy", docsPolicy)
	return sendDocs(w, r, "index.html")
}

// docsFile answers GET /docs/{file}: what the page loads.
func docsFile(w *response, r *http.Request) error {
	file := chi.URLParam(r, "file")
	if docsTypes[path.Ext(file)] == "" || strings.HasSuffix(file, ".html") {
		return notFound(w, r)
	}
	return sendDocs(w, r, file)
}

// docsTimeout is how long the next part of a file may take to be written: anyone may ask.
const docsTimeout = 5 * time.Second

// docsTag is the ETag of every file of the page: they change together.
var docsTag = sync.OnceValue(func() string {
	sum := sha256.New()
	files, _ := fs.Glob(docs, "docs/*") // the pattern is well formed, and the files are in the program
	for _, file := range files {
		content, _ := docs.ReadFile(file)
		_, _ = sum.Write(content)
	}
	return `"` + hex.EncodeToString(sum.Sum(nil)[:8]) + `"`
})

// sendDocs answers with a file. Browsers may keep it, but must ask whether it is still
// the same: its name does not change with the gateway's version. The large files are
// there in compressed form only, which any browser takes.
func sendDocs(w *response, r *http.Request, file string) error {
	w.timeout = min(w.timeout, docsTimeout)
	h := w.Header()
	opened, err := docs.Open("docs/" + file)
	if err != nil {
		if opened, err = docs.Open("docs/" + file + ".gz"); err != nil {
			return &gateway.Error{Kind: gateway.NotFound, Detail: "the page has no file of this name"}
		}
		h.Set("Content-Encoding", "gzip")
	}
	info, err := opened.Stat()
	if err != nil {
		return err
	}
	h.Set("Content-Length", strconv.FormatInt(info.Size(), 10)) // http.ServeContent leaves it out of what is encoded
	h.Set("Content-Type", docsTypes[path.Ext(file)])
	serveTagged(w, r, docsTag(), opened.(io.ReadSeeker))
	return nil
}

// serveTagged answers with content, or with 304 if the caller has what is tagged so. The
// caller may keep it, but must ask whether it is still the same.
func serveTagged(w *response, r *http.Request, tag string, content io.ReadSeeker) {
	r.Header.Del("Range") // nobody needs a part of it
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", tag)
	http.ServeContent(w, r, "", time.Time{}, content)
}
