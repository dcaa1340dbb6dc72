package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mdpgateway/internal/certs/certstest"
)

// Files are replaced in the ways in which people and Kubernetes do it.
func TestFilesThatChangeAreInForceWholeOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, dir := certstest.New(t, "lab"), t.TempDir()
		first, second, third := authority.Server(), authority.Server(), authority.Server()
		files := Files{ClientAuth: None}
		files.Cert, files.Key = first.Write(dir)
		set, err := Read(files)
		if err != nil {
			t.Fatal(err)
		}
		store := NewStore(set)
		var mu sync.Mutex
		var told []string // guarded by mu
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			store.Watch(ctx, func(err error) {
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					told = append(told, "ok")
					return
				}
				told = append(told, "bad")
			})
		}()
		wait := func(readings int, shown certstest.Pair, want ...string) {
			t.Helper()
			time.Sleep(time.Duration(readings) * Every)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if got := store.Set().tls.Certificates[0].Leaf; !got.Equal(shown.Cert) || !slices.Equal(told, want) {
				t.Errorf("it is the right certificate: %v; was told %v, want %v", got.Equal(shown.Cert), told, want)
			}
			told = nil
		}
		wait(3, first)
		certstest.Write(t, dir, "tls.crt", second.PEM)
		wait(1, first) // half a pair
		certstest.Write(t, dir, "tls.key", second.Key)
		wait(1, second, "ok")
		certstest.Write(t, dir, "tls.crt", third.PEM)
		wait(5, second, "bad") // half a pair for good
		certstest.Write(t, dir, "tls.crt", second.PEM)
		wait(2, second, "ok") // as before
		if err := os.Remove(files.Key); err != nil {
			t.Fatal(err)
		}
		wait(3, second, "bad")
		third.Write(dir)
		wait(2, third, "ok")
		stop()
		<-done
	})
}

// pipe returns two ends of a connection on virtual time. net.Pipe's have no buffer, and both sides of a handshake write.
func pipe(t *testing.T) (near, far net.Conn) {
	near, a := net.Pipe()
	b, far := net.Pipe()
	pump := func(from, to net.Conn) {
		chunks := make(chan []byte, 1000)
		go func() {
			defer close(chunks)
			for {
				p := make([]byte, 16<<10)
				n, err := from.Read(p)
				if err != nil {
					return
				}
				chunks <- p[:n]
			}
		}()
		go func() {
			defer to.Close()
			for p := range chunks {
				if _, err := to.Write(p); err != nil {
					from.Close()
				}
			}
		}()
	}
	pump(a, b)
	pump(b, a)
	return near, far
}

// greet connects, and returns whether an old session went on and what the store makes of the connection.
func greet(t *testing.T, store *Store, config *tls.Config) (resumed bool, err error) {
	t.Helper()
	near, far := pipe(t)
	judged := make(chan error, 1)
	go func() {
		c := store.Server(far)
		err := c.Handshake()
		if err == nil {
			_, err = c.State()
			_, _ = c.Write([]byte{1})
		}
		judged <- err
		far.Close()
	}()
	c := tls.Client(near, config)
	_, _ = io.ReadAll(c) // and the ticket
	near.Close()
	return c.ConnectionState().DidResume, <-judged
}

// Sessions are resumed for some days, by keys that change daily, but never after what their certificates stand on has
// changed.
func TestASessionDoesNotOutliveWhatItsCertificateStandsOn(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		synctest.Test(t, func(t *testing.T) {
			authority, dir := certstest.New(t, "lab"), t.TempDir()
			pair := authority.Issue(func(c *x509.Certificate) {
				c.ExtKeyUsage, c.NotAfter = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, time.Now().AddDate(1, 0, 0)
			})
			files := Files{ClientAuth: Require, ClientCA: certstest.Write(t, dir, "ca.crt", authority.PEM)}
			server := authority.Issue(func(c *x509.Certificate) { c.DNSNames, c.NotAfter = []string{"localhost"}, time.Now().AddDate(2, 0, 0) })
			files.Cert, files.Key = server.Write(dir)
			read := func() *Set {
				set, err := Read(files)
				if err != nil {
					t.Fatal(err)
				}
				return set
			}
			store := NewStore(read())
			config := &tls.Config{
				RootCAs: authority.Pool(), ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1),
				MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{pair.TLS},
			}
			want := func(what string, wantResumed, wantErr bool) {
				t.Helper()
				if resumed, err := greet(t, store, config); resumed != wantResumed || (err != nil) != wantErr {
					t.Errorf("%s, %s: resumed %v, %v", tls.VersionName(version), what, resumed, err)
				}
			}
			want("at first", false, false)
			want("again", true, false)
			time.Sleep(48 * time.Hour) // within which the keys of tickets changed
			want("after two days", true, false)
			time.Sleep(8 * 24 * time.Hour)
			want("after eight days more", false, false)
			store.Swap(read())
			want("after files that are the same", true, false)
			files.ClientCRL = certstest.Write(t, dir, "ca.crl", authority.Revoke())
			store.Swap(read())
			want("after a list of nobody", false, false)
			want("again after it", true, false)
			time.Sleep(25 * time.Hour)
			want("after that list's time", true, true) // crypto/tls resumes, and VerifyConnection ends it
			files.ClientCRL = certstest.Write(t, dir, "ca.crl", authority.Revoke(pair))
			store.Swap(read())
			want("after it was revoked", false, true)
			files.ClientCRL = ""
			store.Swap(read())
			want("without the list", false, false)
			time.Sleep(time.Until(pair.Cert.NotAfter) + time.Hour)
			want("after it has expired", false, true)
		})
	}
}

func TestWhatAFileLacksIsSaidInOneLine(t *testing.T) {
	authority, dir := certstest.New(t, "lab"), t.TempDir()
	cert, key := authority.Server().Write(dir)
	critical := filepath.Join(dir, "none.crl")
	for _, files := range []Files{
		{Cert: key, Key: key}, {Cert: cert, Key: cert}, {Cert: dir, Key: key}, {Cert: cert, Key: key, ClientCA: key},
		{Cert: cert, Key: key, ClientCA: cert, ClientCRL: critical},
	} {
		_, err := Read(files)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "tls-") {
			t.Errorf("%+v: got %v, want an error in one line", files, err)
		}
	}
}

// BenchmarkHandshake is what a listener spends on a caller with a new session, of which half is the caller's.
func BenchmarkHandshake(b *testing.B) {
	authority := certstest.New(b, "lab")
	files := Files{ClientAuth: None}
	files.Cert, files.Key = authority.Server().Write(b.TempDir())
	set, err := Read(files)
	if err != nil {
		b.Fatal(err)
	}
	store := NewStore(set)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	config := &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"}
	for b.Loop() {
		go func() {
			if c, err := tls.Dial("tcp", l.Addr().String(), config); err == nil {
				c.Close()
			}
		}()
		raw, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		if err := store.Server(raw).Handshake(); err != nil {
			b.Fatal(err)
		}
		raw.Close()
	}
}
