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
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"mdpgateway/internal/gateway"
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

// A document is one of the page's files, plain and compressed.
type document struct {
	plain, zipped []byte
	tag           string // of its content, in either form
}

// documents are the page's files by their names, compressed when the first of them
// is asked for. Nobody may write to them.
var documents = sync.OnceValue(func() map[string]document {
	// None of these can fail: the pattern is well formed, the files are in the program,
	// and the writer is memory.
	all := make(map[string]document)
	files, _ := fs.Glob(docs, "docs/*")
	for _, file := range files {
		plain, _ := docs.ReadFile(file)
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		_, _ = z.Write(plain)
		_ = z.Close()
		sum := sha256.Sum256(plain)
		all[path.Base(file)] = document{plain, zipped.Bytes(), `W/"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return all
})

// sendDocs answers with a file. Browsers may keep it, but must ask whether it is still
// the same: its name says nothing of the gateway's version.
func sendDocs(w *response, r *http.Request, file string) error {
	d, ok := documents()[file]
	if !ok {
		return &gateway.Error{Kind: gateway.NotFound, Detail: "the page has no file of this name"}
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding, Origin")
	h.Set("ETag", d.tag)
	if lists(r.Header["If-None-Match"], d.tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body := d.plain
	if lists(r.Header["Accept-Encoding"], "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = d.zipped
	}
	w.send(http.StatusOK, docsTypes[path.Ext(file)], body)
	return nil
}

// lists reports whether one of the elements of a header is this one. An element that
// has parameters is not: who gives gzip a weight gets the file as it is.
func lists(values []string, element string) bool {
	for _, value := range values {
		for e := range strings.SplitSeq(value, ",") {
			if strings.TrimSpace(e) == element {
				return true
			}
		}
	}
	return false
}
