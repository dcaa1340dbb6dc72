package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

func TestTheFilesOfOthersAreAsTheirSumsSay(t *testing.T) {
	sums, err := os.ReadFile("docs/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	g := serve(t, Config{})
	for line := range strings.Lines(string(sums)) {
		want, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
		a := g.get("/docs/"+file, "Accept-Encoding: gzip")
		if a.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(bytes.NewReader(a.body))
			if err != nil {
				t.Fatal(err)
			}
			if a.body, err = io.ReadAll(unzipped); err != nil {
				t.Fatal(err)
			}
		}
		if sum := sha256.Sum256(a.body); a.StatusCode != 200 || hex.EncodeToString(sum[:]) != want {
			t.Errorf("/docs/%s is %d, %d bytes with the sum %x, want %s: run make docs-assets", file, a.StatusCode, len(a.body), sum, want)
		}
	}
	if n := strings.Count(string(sums), "\n"); n != 4 {
		t.Errorf("%d files have a sum, want the two of Elements and their two licenses", n)
	}
}

// What the page does in a browser is tested in Chromium (make test-web).
func TestThePageHasNothingWithinItAndLoadsItsOwnFilesOnly(t *testing.T) {
	g := serve(t, Config{})
	a := g.get("/docs")
	a.wantHeader(t, "Content-Type", "text/html; charset=utf-8")
	a.wantHeader(t, "X-Content-Type-Options", "nosniff")
	a.wantHeader(t, "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; style-src-attr 'none'; "+
		"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	page := string(a.body)
	for _, within := range []string{`<script(\s[^>]*)?>\s*[^<\s]`, `<style`, `\sstyle=`, `\son[a-z]+=`, `javascript:`, `//`} {
		if found := regexp.MustCompile(within).FindString(page); found != "" {
			t.Errorf("the page has %q", found)
		}
	}
	files := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(files) != 5 {
		t.Errorf("the page loads %q, want two styles, two scripts and an icon", files)
	}
	for _, file := range files {
		a := g.get("/" + file[1])
		a.wantHeader(t, "Content-Type", map[string]string{
			".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
		}[path.Ext(file[1])])
		a.wantHeader(t, "Content-Security-Policy", "sandbox; default-src 'none'")
		if a.StatusCode != 200 || len(a.body) == 0 {
			t.Errorf("%s is %d with %d bytes", file[1], a.StatusCode, len(a.body))
		}
	}
}

func TestAFileOfThePageIsSentOnceAndTheLargeOnesCompressed(t *testing.T) {
	g := serve(t, Config{})
	for path, encoding := range map[string]string{"/docs": "", "/docs/docs.js": "", "/docs/web-components.min.js": "gzip", "/docs/styles.min.css": "gzip"} {
		first := g.get(path, "Accept-Encoding: gzip")
		first.wantHeader(t, "Content-Encoding", encoding)
		first.wantHeader(t, "Cache-Control", "no-cache")
		if first.StatusCode != 200 || len(first.body) == 0 || len(first.body) > 700_000 {
			t.Errorf("%s is %d with %d bytes, want 200 and at most 700,000", path, first.StatusCode, len(first.body))
		}
		tag := first.Header.Get("Etag")
		for _, known := range []string{tag, `"x", ` + tag, "W/" + tag} {
			again := g.get(path, "If-None-Match: "+known)
			again.wantBody(t, 304, "")
			again.wantHeader(t, "Etag", tag)
			again.wantHeader(t, "Cache-Control", "no-cache")
		}
		g.get(path, `If-None-Match: "0000000000000000"`, "Accept-Encoding: gzip").wantBody(t, 200, string(first.body))
	}
}

func TestWhatIsNoFileOfThePageIsNotFound(t *testing.T) {
	g := serve(t, Config{})
	for _, path := range []string{"/docs/", "/docs/index.html", "/docs/SHA256SUMS", "/docs/nothing.js", "/docs/..%2Fdocs.go", "/docs/%2E%2E/docs.go", "/docs/docs.js/"} {
		g.get(path).wantProblem(t, gateway.NotFound)
	}
}
