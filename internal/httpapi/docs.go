package httpapi

import (
	"embed"
	"net/http"
	"path"
	"strings"

	"github.com/go-chi/chi/v5"

	"mdpgateway/internal/mdp"
)

// docs is the page of GET /docs: our own index.html, docs.js and docs.css, and
// what they show the document with, Stoplight Elements and its licenses, as
// `make docs-assets` takes them from npm.
//
//go:embed docs/*.html docs/*.js docs/*.css docs/*.txt
var docs embed.FS

// docsTypes are the types of its files.
var docsTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".txt":  "text/plain; charset=utf-8",
}

// docsPolicy lets the page load its own files and ask this gateway, and nothing
// else: no script or style within the page, no other host, no frame around it.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; style-src-attr 'none'; img-src data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docsPage answers GET /docs: /openapi.json as a page, to read and to try.
//
// It needs no key, since a browser that opens a page can send none, and the files
// tell nothing of this gateway: they are the same in all of one version. What is
// of this gateway is in /openapi.json, for which the page asks with the key of
// whoever reads it.
func docsPage(w *response, _ *http.Request) error {
	w.Header().Set("Content-Security-Policy", docsPolicy)
	return sendDocs(w, "index.html")
}

// docsFile answers GET /docs/{file}: what the page loads.
func docsFile(w *response, r *http.Request) error {
	file := chi.URLParam(r, "file")
	if docsTypes[path.Ext(file)] == "" || strings.HasSuffix(file, ".html") {
		return notFound(w, r)
	}
	return sendDocs(w, file)
}

func sendDocs(w *response, file string) error {
	b, err := docs.ReadFile("docs/" + file)
	if err != nil {
		return &mdp.Error{Kind: mdp.NotFound, Detail: "the page has no file of this name"}
	}
	w.send(http.StatusOK, docsTypes[path.Ext(file)], b)
	return nil
}
