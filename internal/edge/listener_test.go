package edge

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// serve serves a handler behind a Listener on loopback, and returns both.
func serve(t *testing.T, cfg Config, h http.HandlerFunc) *Listener {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(raw, cfg)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: h, Protocols: &protocols}
	l.Guard(s)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l
}

// A client is one connection to a Listener.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

// dial connects from one of this machine's addresses.
func dial(t *testing.T, l *Listener, from string) *client {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &client{c, t, bufio.NewReader(c)}
}

// send asks for a path.
func (c *client) send(path string) {
	c.t.Helper()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads an answer, and returns its body; "" if there is none.
func (c *client) answer() string {
	c.t.Helper()
	a, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return ""
	}
	defer a.Body.Close()
	body, _ := io.ReadAll(a.Body) // its end may be lost to a reset
	return string(body)
}

// ask is send and answer.
func (c *client) ask(path string) string {
	c.t.Helper()
	c.send(path)
	return c.answer()
}

// closed waits until the other side has closed the connection.
func (c *client) closed(what string) {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c.r); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		c.t.Errorf("%s is still open", what)
	}
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// until polls for what is about to become true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not true that %s", what)
		}
	}
}

// waiting answers /stranger and /member when it is told to, and says when one has come.
type waiting struct {
	came, leave chan struct{}
}

func (w waiting) serve(rw http.ResponseWriter, r *http.Request) {
	c := Of(r.Context())
	switch r.URL.Path {
	case "/member":
		c.Admitted()
	case "/probe":
		c.Probed()
	case "/spare":
		_, _ = io.WriteString(rw, strconv.FormatBool(c.Spare()))
		return
	default:
		c.Refused()
	}
	w.came <- struct{}{}
	select {
	case <-w.leave:
	case <-r.Context().Done():
	}
	_, _ = io.WriteString(rw, r.URL.Path)
}

func newWaiting() waiting { return waiting{make(chan struct{}), make(chan struct{})} }

// A stranger makes room although a request of it is open: else so many could take all places. A caller whose request
// was let in keeps its place until it is answered.
func TestAStrangerWithAnOpenRequestMakesRoom(t *testing.T) {
	w := newWaiting()
	l := serve(t, Config{Max: 2}, w.serve)
	member := dial(t, l, "127.0.0.1")
	member.send("/member")
	<-w.came
	stranger := dial(t, l, "127.0.0.2")
	stranger.send("/stranger")
	<-w.came
	if got := dial(t, l, "127.0.0.3").ask("/spare"); got != "false" {
		t.Errorf("a new connection is spare: %q, want false", got)
	}
	stranger.closed("the stranger's connection")
	w.leave <- struct{}{}
	if got := member.answer(); got != "/member" {
		t.Errorf("the caller got %q, want its answer", got)
	}
	if n := l.Stats().Refused[MadeRoom]; n != 1 {
		t.Errorf("%d connections made room, want 1", n)
	}
}

// So it is over HTTP/2, where a stranger can have a hundred streams open.
// An address at its bound gives up its own idle connections, and nobody else's.
func TestAnAddressAtItsBoundMakesRoomByItself(t *testing.T) {
	w := newWaiting()
	l := serve(t, Config{Max: 100, PerPeer: 2}, w.serve)
	other := dial(t, l, "127.0.0.2")
	other.send("/stranger")
	<-w.came
	first, second := dial(t, l, "127.0.0.3"), dial(t, l, "127.0.0.3")
	for _, c := range []*client{first, second} {
		c.send("/stranger")
		<-w.came
	}
	if got := dial(t, l, "127.0.0.3").ask("/spare"); got != "false" {
		t.Errorf("a third connection is spare: %q, want false", got)
	}
	first.closed("the oldest connection of the address")
	close(w.leave)
	for _, c := range []*client{other, second} {
		if got := c.answer(); got != "/stranger" {
			t.Errorf("another connection got %q, want its answer", got)
		}
	}
}

func TestAStrangerWithOpenStreamsMakesRoom(t *testing.T) {
	w := newWaiting()
	l := serve(t, Config{Max: 1}, w.serve)
	c := dial(t, l, "127.0.0.1")
	// The preface, empty SETTINGS, and the headers of GET /stranger: ":method GET", ":scheme http", ":path" and
	// ":authority" (RFC 7541, appendix A).
	block := append([]byte{0x82, 0x86, 0x04, byte(len("/stranger"))}, "/stranger"...)
	block = append(block, 0x01, 1, 'x')
	message := []byte(preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	message = append(message, 0, 0, byte(len(block)), typeHeaders, endHeaders|0x1, 0, 0, 0, 1)
	if _, err := c.Write(append(message, block...)); err != nil {
		t.Fatal(err)
	}
	<-w.came
	if got := dial(t, l, "127.0.0.2").ask("/spare"); got != "false" {
		t.Errorf("a new connection is spare: %q, want false", got)
	}
	c.closed("the stranger's connection")
}

// hog takes all places of a Listener with one of Max for a caller.
func hog(t *testing.T, l *Listener, w waiting) {
	t.Helper()
	dial(t, l, "127.0.0.1").send("/member")
	<-w.came
}

// A spare connection whose probe is being answered makes no room, so that a flood cannot end it.
func TestASpareConnectionIsKeptWhileItsProbeIsAnswered(t *testing.T) {
	w := newWaiting()
	l := serve(t, Config{Max: 1, Spare: 4}, w.serve)
	hog(t, l, w)
	var probes []*client
	for range 3 { // of which two are kept
		p := dial(t, l, "127.0.0.2")
		p.send("/probe")
		<-w.came
		probes = append(probes, p)
	}
	for i := range 20 {
		dial(t, l, "127.0.1."+strconv.Itoa(1+i))
	}
	probes[2].closed("the third probe's connection")
	close(w.leave)
	for i, p := range probes[:2] {
		if got := p.answer(); got != "/probe" {
			t.Errorf("probe %d got %q, want an answer", i, got)
		}
	}
	if open := l.Stats().Open; open > 1+4 {
		t.Errorf("%d connections are open, want at most 5", open)
	}
}

// One address takes no more than a quarter of the spare connections from others.
func TestAFloodFromOneAddressLeavesSpareConnectionsForProbes(t *testing.T) {
	w := newWaiting()
	l := serve(t, Config{Max: 1, Spare: 8}, w.serve)
	hog(t, l, w)
	for range 10 {
		dial(t, l, "127.0.0.2")
	}
	until(t, "all places are taken", func() bool { return l.Stats().Refused[MadeRoom] == 2 })
	probe := dial(t, l, "127.0.0.3")
	for range 20 {
		dial(t, l, "127.0.0.2")
	}
	until(t, "the flood was let in", func() bool { return l.Stats().Refused[MadeRoom] == 23 })
	if got := probe.ask("/spare"); got != "true" {
		t.Errorf("the probe got %q, want an answer on a spare connection", got)
	}
}

// proxyHeader is one of version 2 of the PROXY protocol, section 2.2: PROXY, TCP over IPv4, the addresses, and what else
// there is.
func proxyHeader(from string, more string) string {
	to := netip.MustParseAddrPort(from)
	a := to.Addr().As4()
	b := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11")
	b = binary.BigEndian.AppendUint16(b, uint16(12+len(more)))
	b = append(append(b, a[:]...), 10, 0, 0, 1)
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, to.Port()), 80)
	return string(b) + more
}

func trusted(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.9") }

func peerOf(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, r.RemoteAddr) }

func TestAPROXYHeaderOfATrustedProxySaysWhereAConnectionComesFrom(t *testing.T) {
	l := serve(t, Config{Max: 10, Proxied: trusted, Shared: trusted}, peerOf)
	for header, want := range map[string]string{
		proxyHeader("198.51.100.7:4711", ""):                                                           "198.51.100.7:4711",
		proxyHeader("198.51.100.7:4711", "\x04\x00\x01x"):                                              "198.51.100.7:4711",
		proxyHeader("198.51.100.7:4711", strings.Repeat("\x04\x00\x01x", 1000)):                        "198.51.100.7:4711",
		"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n":                                                 "198.51.100.7:4711",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24" + strings.Repeat("\x20\x01", 16) + "\x12\x67\x00\x50": "[2001:2001:2001:2001:2001:2001:2001:2001]:4711",
	} {
		c := dial(t, l, "127.0.0.9")
		if _, err := io.WriteString(c, header); err != nil {
			t.Fatal(err)
		}
		if got := c.ask("/"); got != want {
			t.Errorf("%.80q: the peer is %q, want %s", header, got, want)
		}
	}
	c := dial(t, l, "127.0.0.9")
	_, _ = io.WriteString(c, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00") // LOCAL: the proxy itself asks
	if got := c.ask("/"); !strings.HasPrefix(got, "127.0.0.9:") {
		t.Errorf("the proxy's own request: the peer is %q, want the proxy", got)
	}
	if n := l.Stats().Refused[NoProxy]; n != 0 {
		t.Errorf("%d connections were refused for their header, want none", n)
	}
}

// What is no PROXY header, or no whole one, is answered nothing; and only a trusted proxy may send one.
func TestABadPROXYHeaderEndsItsConnection(t *testing.T) {
	l := serve(t, Config{Max: 100, Proxied: trusted, HeaderTimeout: time.Second}, peerOf)
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	bad := map[string]string{
		"none": "", "too long": signature + "\x21\x11\xff\xff", "too long with its bytes": proxyHeader("198.51.100.7:1", strings.Repeat("x", 5000)),
		"too short": signature + "\x21\x11\x00\x04\x01\x02\x03\x04", "unknown version": signature + "\x31\x11\x00\x00",
		"unknown command": signature + "\x22\x11\x00\x0c" + strings.Repeat("x", 12), "a path": signature + "\x21\x31\x00\xd8" + strings.Repeat("x", 216),
		"a datagram": signature + "\x21\x12\x00\x0c" + strings.Repeat("\x01", 12), "no address": signature + "\x21\x00\x00\x00",
		"unknown family": signature + "\x21\x13\x00\x0c" + strings.Repeat("\x01", 12), "version 1 without end": "PROXY TCP4 " + strings.Repeat("1", 300),
		"version 1 with rubbish": "PROXY TCP4 evil.example 10.0.0.1 1 2\r\n",
	}
	for name, header := range bad {
		c := dial(t, l, "127.0.0.9")
		_, _ = io.WriteString(c, header)
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			continue // it is closed already
		}
		if got := c.answer(); got != "" {
			t.Errorf("%s: the answer is %q, want none", name, got)
		}
	}
	torn := dial(t, l, "127.0.0.9")
	_, _ = io.WriteString(torn, proxyHeader("198.51.100.7:1", "")[:20]) // the rest never comes
	torn.closed("the connection with a torn header")
	silent := dial(t, l, "127.0.0.9")
	silent.closed("the silent connection")
	until(t, "all are counted", func() bool { return l.Stats().Refused[NoProxy] == uint64(len(bad)+2) })

	stranger := dial(t, l, "127.0.0.8")
	_, _ = io.WriteString(stranger, proxyHeader("198.51.100.7:1", ""))
	if got := stranger.ask("/"); strings.Contains(got, "198.51.100.7") {
		t.Errorf("an address that is not trusted was believed: the peer is %q", got)
	}
	if got := dial(t, l, "127.0.0.8").ask("/"); !strings.HasPrefix(got, "127.0.0.8:") {
		t.Errorf("a direct caller got %q, want its own address", got)
	}
	until(t, "no connection is left but the last", func() bool { return l.Stats().Open <= 2 })
}

// The bound of one address holds for what a PROXY header says.
func TestTheBoundOfOneAddressHoldsBehindAProxy(t *testing.T) {
	l := serve(t, Config{Max: 100, PerPeer: 2, Proxied: trusted, Shared: trusted}, func(rw http.ResponseWriter, r *http.Request) {
		c := Of(r.Context())
		c.Known()
		_, _ = io.WriteString(rw, strconv.FormatBool(c.Spare()))
	})
	ask := func(from string) string {
		c := dial(t, l, "127.0.0.9")
		_, _ = io.WriteString(c, proxyHeader(from, ""))
		return c.ask("/")
	}
	for i, want := range []string{"false", "false", "true"} {
		if got := ask("198.51.100.7:" + strconv.Itoa(1+i)); got != want {
			t.Errorf("connection %d is spare: %s, want %s", i, got, want)
		}
	}
	if got := ask("198.51.100.8:1"); got != "false" {
		t.Errorf("another caller's connection is spare: %s, want false", got)
	}
	s := l.Stats()
	if s.Refused[PeerFull] != 1 || s.Open != 4 {
		t.Errorf("%d connections were refused and %d are open, want 1 and 4", s.Refused[PeerFull], s.Open)
	}
}
