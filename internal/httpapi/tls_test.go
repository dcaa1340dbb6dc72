package httpapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"mdpgateway/internal/certs"
	"mdpgateway/internal/certs/certstest"
	"mdpgateway/internal/edge"
	"mdpgateway/internal/gateway"
)

// A secured is a gateway with TLS on virtual time.
type secured struct {
	*testServer
	t         *testing.T
	listener  *edge.Listener
	authority *certstest.Authority
	files     certs.Files
	store     *certs.Store
	dial      func(context.Context, string, string) (net.Conn, error)
}

// overTLS runs test with a gateway whose listener is secure, and asks callers for certificates in that way.
func overTLS(t *testing.T, bounds edge.Config, cfg Config, clientAuth string, test func(t *testing.T, s *secured)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &secured{t: t, authority: certstest.New(t, "lab"), files: certs.Files{ClientAuth: clientAuth}}
		dir := t.TempDir()
		s.files.Cert, s.files.Key = s.authority.Server().Write(dir)
		if clientAuth != certs.None {
			s.files.ClientCA = certstest.Write(t, dir, "ca.crt", s.authority.PEM)
		}
		s.store = certs.NewStore(s.read())
		pipes := newPipeListener()
		var pumps sync.WaitGroup
		s.dial = pumped(pipes.dial, &pumps)
		s.listener = edge.Listen(pipes, bounds).Secure(s.store)
		s.testServer = serveOn(t, s.listener, s.dial, cfg)
		test(t, s)
		s.stop()
		s.listener.Wait()
		pumps.Wait()
		if n := s.listener.Stats().Open; n != 0 {
			t.Errorf("%d connections are open at the end", n)
		}
	})
}

func (s *secured) read() *certs.Set {
	s.t.Helper()
	set, err := certs.Read(s.files)
	if err != nil {
		s.t.Fatal(err)
	}
	return set
}

// pumped gives connections a buffer: over a pipe without one, both ends of a handshake may wait for the other to read.
func pumped(dial func(context.Context, string, string) (net.Conn, error), pumps *sync.WaitGroup) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		far, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		ours, near := net.Pipe()
		pump := func(from, to net.Conn) {
			chunks := make(chan []byte, 10_000)
			pumps.Go(func() {
				defer close(chunks)
				for {
					b := make([]byte, 16<<10)
					n, err := from.Read(b)
					if err != nil {
						return
					}
					chunks <- b[:n]
				}
			})
			pumps.Go(func() {
				defer to.Close()
				for b := range chunks {
					if _, err := to.Write(b); err != nil {
						from.Close()
					}
				}
			})
		}
		pump(near, far)
		pump(far, near)
		return ours, nil
	}
}

// client returns a client over HTTP/1.1 or HTTP/2, which may show a certificate.
func (s *secured) client(http2 bool, pairs ...certstest.Pair) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	config := &tls.Config{RootCAs: s.authority.Pool(), ServerName: "localhost"}
	for _, p := range pairs { // also to a server that does not name its authority
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p.TLS, nil }
	}
	transport := &http.Transport{Protocols: &protocols, DialContext: s.dial, TLSClientConfig: config}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// status asks for the services and returns the answer's status and code, and whether the connection goes on.
func (s *secured) status(c *http.Client) (status int, body string, goesOn bool) {
	s.t.Helper()
	resp, err := c.Get("https://localhost/services")
	if err != nil {
		return 0, err.Error(), false
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(all), !resp.Close
}

// handshakes wants the number of handshakes that failed for a reason, and no other.
func (s *secured) handshakes(reason string, want uint64) {
	s.t.Helper()
	synctest.Wait()
	for r, n := range s.listener.Stats().Handshakes {
		if r == reason && n != want || r != reason && n != 0 {
			s.t.Errorf("%d handshakes failed by %s, want %d by %s alone", n, r, want, reason)
		}
	}
}

func TestCallsGoOverTLSByBothProtocols(t *testing.T) {
	var seen []*tls.ConnectionState
	var protocols []int
	look := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen, protocols = append(seen, r.TLS), append(protocols, r.ProtoMajor)
	})
	overTLS(t, edge.Config{Max: 10}, Config{Metrics: look}, certs.Request, func(t *testing.T, s *secured) {
		pair := s.authority.Client("hall.lab")
		for _, pairs := range [][]certstest.Pair{nil, {pair}} {
			for _, h2 := range []bool{false, true} {
				c := s.client(h2, pairs...)
				for range 2 {
					if resp, err := c.Get("https://localhost/metrics"); err != nil || resp.StatusCode != 200 {
						t.Fatalf("got %v, %v", resp, err)
					}
				}
				c.CloseIdleConnections()
			}
		}
		for i, state := range seen {
			h2, with := i%4 >= 2, i >= 4
			if state == nil || (state.NegotiatedProtocol == "h2") != h2 || (protocols[i] == 2) != h2 || state.Version != tls.VersionTLS13 {
				t.Fatalf("request %d over HTTP/%d has the TLS state %+v", i, protocols[i], state)
			}
			if (len(state.VerifiedChains) == 1) != with || with && !state.VerifiedChains[0][0].Equal(pair.Cert) {
				t.Errorf("request %d has %d chains, a certificate was shown: %v", i, len(state.VerifiedChains), with)
			}
		}
		s.handshakes(edge.NotTLS, 0)
	})
}

func TestAHandshakeThatNeverEndsTakesNobodysPlace(t *testing.T) {
	overTLS(t, edge.Config{Max: 1, HeaderTimeout: 7 * time.Second}, Config{HeaderTimeout: 7 * time.Second}, certs.None, func(t *testing.T, s *secured) {
		stranger, err := s.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		_, _ = stranger.Write([]byte{22, 3, 1, 1, 0}) // the head of a record that never comes
		synctest.Wait()
		if status, body, _ := s.status(s.client(true)); status != 200 {
			t.Errorf("a caller beside it got %d %s", status, body)
		}
		if n := s.listener.Stats().Refused[edge.MadeRoom]; n != 1 {
			t.Errorf("%d made room, want the stranger", n)
		}
		if _, err := stranger.Read(make([]byte, 1)); err == nil {
			t.Error("the stranger got an answer")
		}
		s.handshakes(edge.Unfinished, 0)
	})
}

func TestAHandshakeHasTheTimeOfTheHeaders(t *testing.T) {
	overTLS(t, edge.Config{Max: 10, HeaderTimeout: 7 * time.Second}, Config{HeaderTimeout: 7 * time.Second}, certs.None, func(t *testing.T, s *secured) {
		for name, speak := range map[string]func(c net.Conn){
			"in silence":       func(net.Conn) {},
			"with half a word": func(c net.Conn) { _, _ = c.Write([]byte{22, 3, 1}) },
		} {
			before := s.listener.Stats().Handshakes[edge.Unfinished]
			c, err := s.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			speak(c)
			_, _ = io.Copy(io.Discard, c)
			if took := time.Since(began); took != 7*time.Second {
				t.Errorf("%s: the connection was open for %v", name, took)
			}
			c.Close()
			s.handshakes(edge.Unfinished, before+1)
		}
	})
}

// What TestHTTP2... hold without TLS: a caller cannot wait within a frame, or without any request.
func TestFramesOfHTTP2HaveTheirTimeOverTLS(t *testing.T) {
	settings := http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for name, sent := range map[string]string{
		"no request": settings, "half a frame": settings + "\x00\x00\x09\x01", "headers without end": settings + "\x00\x00\x01\x01\x01\x00\x00\x00\x01\x82",
	} {
		overTLS(t, edge.Config{Max: 10, HeaderTimeout: 7 * time.Second}, Config{HeaderTimeout: 7 * time.Second}, certs.None, func(t *testing.T, s *secured) {
			raw, err := s.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			c := tls.Client(raw, &tls.Config{RootCAs: s.authority.Pool(), ServerName: "localhost", NextProtos: []string{"h2"}})
			defer raw.Close()
			began := time.Now()
			if _, err := io.WriteString(c, sent); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, c)
			if took := time.Since(began); took < 7*time.Second || took > 8*time.Second {
				t.Errorf("%s: the connection was open for %v", name, took)
			}
			synctest.Wait()
			if n := s.listener.Stats().Refused[edge.NoRequest]; n != 1 {
				t.Errorf("%s: counted %d, want 1", name, n)
			}
		})
	}
}

// A caller that has agreed on HTTP/2 and sent nothing yet is told nothing in the words of HTTP/1.1 when it has to go.
func TestAConnectionOfHTTP2ThatWasNeverUsedEndsInSilence(t *testing.T) {
	for _, c := range []struct {
		protocol string
		told     bool
	}{{"h2", false}, {"http/1.1", true}} {
		overTLS(t, edge.Config{Max: 10, IdleTimeout: time.Minute}, Config{IdleTimeout: time.Minute}, certs.None, func(t *testing.T, s *secured) {
			raw, err := s.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			conn := tls.Client(raw, &tls.Config{RootCAs: s.authority.Pool(), ServerName: "localhost", NextProtos: []string{c.protocol}})
			said, _ := io.ReadAll(conn)
			if (len(said) > 0) != c.told {
				t.Errorf("%s: was told %q", c.protocol, said)
			}
		})
	}
}

func TestHTTPAtAPortOfHTTPSIsToldSo(t *testing.T) {
	overTLS(t, edge.Config{Max: 10}, Config{}, certs.None, func(t *testing.T, s *secured) {
		c, err := s.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, getLive)
		if all, _ := io.ReadAll(c); !strings.HasPrefix(string(all), "HTTP/1.0 400 Bad Request\r\n") || !strings.HasSuffix(string(all), "This port speaks HTTPS.\n") {
			t.Errorf("got %q", all)
		}
		s.handshakes(edge.ClearText, 1)
	})
}

func TestHandshakesThatFailAreCountedByTheirReason(t *testing.T) {
	overTLS(t, edge.Config{Max: 10}, Config{}, certs.Require, func(t *testing.T, s *secured) {
		if status, _, _ := s.status(s.client(false)); status != 0 {
			t.Errorf("a caller without a certificate got %d", status)
		}
		if status, _, _ := s.status(s.client(true, certstest.New(t, "other").Client())); status != 0 {
			t.Errorf("a caller with another authority's certificate got %d", status)
		}
		s.handshakes(edge.NoCertificate, 2)
	})
	overTLS(t, edge.Config{Max: 10}, Config{}, certs.None, func(t *testing.T, s *secured) {
		s.authority = certstest.New(t, "other") // whom the caller believes
		if status, _, _ := s.status(s.client(false)); status != 0 {
			t.Errorf("a caller who does not know the gateway got %d", status)
		}
		s.handshakes(edge.Alert, 1)
	})
	overTLS(t, edge.Config{Max: 10}, Config{}, certs.None, func(t *testing.T, s *secured) {
		c, err := s.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "\x00\x01\x02\x03\x04\x05\x06\x07")
		_, _ = io.ReadAll(c)
		c.Close()
		s.handshakes(edge.NotTLS, 1)
	})
}

// An open connection does not outlive what its caller's certificate stands on.
func TestACertificateThatHoldsNoMoreEndsItsConnection(t *testing.T) {
	for name, end := range map[string]func(s *secured, pair certstest.Pair){
		"expired": func(_ *secured, pair certstest.Pair) { time.Sleep(time.Until(pair.Cert.NotAfter) + time.Second) },
		"revoked": func(s *secured, pair certstest.Pair) {
			s.files.ClientCRL = certstest.Write(s.t, s.t.TempDir(), "ca.crl", s.authority.Revoke(pair))
			s.store.Swap(s.read())
		},
		"of an authority that is gone": func(s *secured, _ certstest.Pair) {
			s.files.ClientCA = certstest.Write(s.t, s.t.TempDir(), "ca.crt", certstest.New(s.t, "next").PEM)
			s.store.Swap(s.read())
		},
	} {
		for _, h2 := range []bool{false, true} {
			overTLS(t, edge.Config{Max: 10}, Config{IdleTimeout: 1000 * time.Hour}, certs.Request, func(t *testing.T, s *secured) {
				pair := s.authority.Issue(func(c *x509.Certificate) {
					c.ExtKeyUsage, c.NotAfter = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, time.Now().Add(time.Hour)
				})
				c, other := s.client(h2, pair), s.client(h2)
				for _, one := range []*http.Client{c, other} {
					if status, body, goesOn := s.status(one); status != 200 || !goesOn {
						t.Fatalf("%s: got %d %s", name, status, body)
					}
				}
				end(s, pair)
				status, body, goesOn := s.status(c)
				if status != 401 || !strings.Contains(body, `"code":"`+string(gateway.Unauthorized)+`"`) || !h2 && goesOn {
					t.Errorf("%s, HTTP/2 %v: got %d %s, goes on: %v", name, h2, status, body, goesOn)
				}
				if status, body, _ := s.status(c); status != 0 {
					t.Errorf("%s, HTTP/2 %v: a new connection got %d %s, want none", name, h2, status, body)
				}
				if status, body, _ := s.status(other); status != 200 {
					t.Errorf("%s, HTTP/2 %v: a caller without certificate got %d %s", name, h2, status, body)
				}
			})
		}
	}
}
