package broker

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp"
)

// A transcript is a conversation with a state on virtual time. Its lines:
//
//	# comment
//	config queue=2 service-queue=1 bytes=100 outbox=100 expiry=1m redispatch=1   before all others
//	peer w1 mdp/0.2                a peer's dialect, if it is not mdp/0.1
//	allow w1=lora_*,echo c1=       CURVE is on: peers that may serve, and, without services, call; no others may
//	> w1 READY service=echo        a message to the broker
//	> c1 REQUEST service=echo body=a|b
//	> w1 FINAL client=c1 body=a    the reply to the request of c1 that w1 got last
//	> w1 FINAL client=c1/1 body=a  the reply to the first request of c1
//	> x1 RAW ''|MDPC01|echo        any frames
//	< w1 REQUEST client=c1 body=a  a message from the broker: all must be listed, but HEARTBEAT
//	< w1 RAW ''|MDPW01|\x04        the same, frame by frame
//	+ 13s                          time passes
//	part w1 8192                   so many bytes come of a message of a peer that is not whole
//	stall 13s                      time passes, and the broker does not look at its clock
//	user w1 w2                     w1 has the key of w2 from here on; else each has its own
//	! c1 gone                      sending to a peer fails: gone, slow; back
//	peer g1 mdpx/1                 a gateway: its messages are in mux_test.go
//	! c1 left                      the peer's connection has ended; it has a new one
//	! c1 late                      the peer's connection has ended; what it sent before is read from here on
//	= queued=1 unread=0            what the broker's statistics say
//	= service=echo workers=1 busy=0 queued=0
//	= dropped=expired count=1
//	close                          the broker goes
//	heartbeats                     from here on HEARTBEATs must be listed too
type transcript struct {
	t          *testing.T
	line       int
	state      *state
	now        time.Time
	dialects   map[string]*mdp.Dialect
	broken     map[string]error
	gateways   map[string]bool     // the peers that speak MDPX/1 (see mux_test.go)
	users      map[string]string   // whose key a peer has, if not its own
	left       map[string]int      // how often a peer's connection has ended
	late       map[string]bool     // peers whose messages are read after their connection ended
	arrived    map[string]uint64   // bytes that came of a peer
	sender     string              // of the message that the broker takes now
	tokens     int                 // how many there were
	clients    map[string]string   // whose request has this token
	requests   map[string][]string // the tokens of each client's requests
	given      map[string]string   // "worker client": the token of the last request
	out        [][][]byte
	heartbeats bool
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			runTranscript(t, string(text))
		})
	}
}

func runTranscript(t *testing.T, text string) {
	tr := &transcript{
		t: t, now: time.Unix(0, 0), dialects: map[string]*mdp.Dialect{}, gateways: map[string]bool{}, broken: map[string]error{},
		users: map[string]string{}, left: map[string]int{}, late: map[string]bool{}, arrived: map[string]uint64{}, clients: map[string]string{}, requests: map[string][]string{}, given: map[string]string{},
	}
	tr.start(Config{})
	for i, line := range strings.Split(text, "\n") {
		tr.line = i + 1
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		if words[0] != "<" {
			tr.silent()
		}
		tr.do(words)
		checkState(t, tr.state)
	}
	tr.silent()
}

func (tr *transcript) start(cfg Config) {
	tr.state = newState(cfg.withDefaults(), tr.now, shell{send: tr.send, newToken: tr.newToken, connection: tr.connection, user: tr.user})
}

// newToken counts: what is not guessable is not readable either.
func (tr *transcript) newToken() []byte {
	tr.tokens++
	tr.clients[string(tr.lastToken())] = tr.sender
	return tr.lastToken()
}

func (tr *transcript) lastToken() []byte { return fmt.Appendf(nil, "token-%010d", tr.tokens) }

// A leg is a connection of a peer. It has ended once the peer has left more often.
type leg struct {
	tr   *transcript
	peer string
	left int
}

func (l leg) Ended() bool { return l.tr.left[l.peer] > l.left }

// End is seen as a message ENDED to the peer.
func (l leg) End() {
	if !l.Ended() {
		l.tr.left[l.peer]++
		l.tr.out = append(l.tr.out, [][]byte{[]byte(l.peer), []byte("ENDED")})
	}
}

// Received counts the bytes of parts alone.
func (l leg) Received() uint64 { return l.tr.arrived[l.peer] }

func (tr *transcript) connection() connection {
	if tr.late[tr.sender] {
		return leg{tr, tr.sender, tr.left[tr.sender] - 1}
	}
	return leg{tr, tr.sender, tr.left[tr.sender]}
}

func (tr *transcript) fatalf(format string, args ...any) {
	tr.t.Helper()
	tr.t.Fatalf("line %d: %s", tr.line, fmt.Sprintf(format, args...))
}

func (tr *transcript) do(words []string) {
	switch words[0] {
	case "config":
		tr.start(tr.config(attributes(words[1:])))
	case "peer":
		if words[2] == "mdpx/1" {
			tr.gateways[words[1]] = true
			return
		}
		d, err := mdp.ParseDialect(words[2])
		if err != nil {
			tr.fatalf("%v", err)
		}
		tr.dialects[words[1]] = d
	case "allow":
		tr.allow(words[1:])
	case "user":
		tr.users[words[1]] = words[2]
	case "close":
		tr.state.close(tr.now)
	case "heartbeats":
		tr.heartbeats = true
	case ">":
		tr.receive(words[1], words[2], words[3:])
	case "<":
		tr.expect(words[1], strings.Join(words[2:], " "))
	case "+":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			tr.fatalf("%v", err)
		}
		tr.pass(tr.now.Add(d))
	case "part":
		n, err := strconv.ParseUint(words[2], 10, 64)
		if err != nil {
			tr.fatalf("%v", err)
		}
		tr.arrived[words[1]] += n
	case "stall":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			tr.fatalf("%v", err)
		}
		tr.now = tr.now.Add(d)
	case "!":
		switch words[2] {
		case "left":
			tr.left[words[1]]++
			return
		case "late":
			tr.late[words[1]] = true
			return
		}
		tr.broken[words[1]] = map[string]error{"gone": errGone, "slow": errSlow}[words[2]]
	case "=":
		tr.compare(attributes(words[1:]))
	default:
		tr.fatalf("unknown line %q", words)
	}
}

func (tr *transcript) config(a map[string]string) Config {
	number := func(key string) int {
		n, err := strconv.Atoi(a[key])
		if a[key] != "" && err != nil {
			tr.fatalf("%v", err)
		}
		return n
	}
	expiry, err := time.ParseDuration(cmp.Or(a["expiry"], "0s"))
	if err != nil {
		tr.fatalf("%v", err)
	}
	return Config{
		Expiry: expiry, QueueMax: number("queue"), ServiceQueueMax: number("service-queue"),
		QueueBytes: int64(number("bytes")), OutboxBytes: int64(number("outbox")), Redispatch: number("redispatch"), Padded: a["padded"] != "",
	}
}

func attributes(words []string) map[string]string {
	a := map[string]string{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		a[key] = value
	}
	return a
}

// frames reads frames that are separated by |. A pair of quotes is an empty one, \x02 a byte.
func (tr *transcript) frames(s string) (frames [][]byte) {
	for _, f := range strings.Split(s, "|") {
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(f, "''", "") + `"`)
		if err != nil {
			tr.fatalf("frame %q: %v", f, err)
		}
		frames = append(frames, []byte(text))
	}
	return frames
}

// receive hands the state one message.
func (tr *transcript) receive(peer, command string, words []string) {
	before := tr.tokens
	frames := append([][]byte{[]byte(peer)}, tr.message(peer, command, words)...)
	tr.sender = peer
	tr.state.receive(tr.now, frames)
	if tr.tokens != before {
		tr.requests[peer] = append(tr.requests[peer], string(tr.lastToken()))
	}
}

func (tr *transcript) message(peer, command string, words []string) [][]byte {
	d := tr.dialect(peer)
	if command == "RAW" {
		return tr.frames(words[0])
	}
	a := attributes(words)
	var body [][]byte
	if text, ok := a["body"]; ok {
		body = tr.frames(text)
	}
	if tr.gateways[peer] {
		return tr.fromGateway(command, a, body)
	}
	if command == "REQUEST" {
		if mdp.IsMMI(a["service"]) { // which AppendRequest refuses
			lookup, err := d.AppendLookup(nil, []byte("x"))
			if err != nil {
				tr.fatalf("%v", err)
			}
			lookup[len(lookup)-2] = []byte(a["service"])
			return append(lookup[:len(lookup)-1], body...)
		}
		frames, err := d.AppendRequest(nil, []byte(a["service"]), body)
		if err != nil {
			tr.fatalf("%v", err)
		}
		return frames
	}
	m := mdp.WorkerMessage{Service: []byte(a["service"]), Client: tr.token(peer, a["client"]), Body: body}
	for m.Command = mdp.Ready; m.Command.String() != command; m.Command++ {
	}
	return d.AppendWorker(nil, m)
}

// token returns what the worker got as the client's address.
func (tr *transcript) token(worker, client string) []byte {
	name, nth, ok := strings.Cut(client, "/")
	token, known := tr.given[worker+" "+name]
	if ok {
		n, err := strconv.Atoi(nth)
		if err != nil || n > len(tr.requests[name]) {
			tr.fatalf("client %q has %d requests", client, len(tr.requests[name]))
		}
		token, known = tr.requests[name][n-1], true
	}
	if !known {
		return []byte(client)
	}
	return []byte(token)
}

func (tr *transcript) send(frames [][]byte) error {
	if err := tr.broken[string(frames[0])]; err != nil {
		return err
	}
	kept := make([][]byte, len(frames))
	for i, f := range frames {
		kept[i] = bytes.Clone(f)
	}
	if m, err := tr.dialect(string(frames[0])).ParseWorker(kept[1:]); err == nil && !tr.gateways[string(frames[0])] {
		if m.Command == mdp.Heartbeat && !tr.heartbeats {
			return nil
		}
		if m.Command == mdp.Work {
			token := string(m.Client)
			tr.given[string(frames[0])+" "+tr.clients[token]] = token
		}
	}
	tr.out = append(tr.out, kept)
	return nil
}

// dialect returns that of a peer.
func (tr *transcript) dialect(peer string) *mdp.Dialect { return cmp.Or(tr.dialects[peer], mdp.V01) }

// expect takes the broker's next message.
func (tr *transcript) expect(peer, want string) {
	if len(tr.out) == 0 {
		tr.fatalf("the broker sent nothing, want %s %s", peer, want)
	}
	frames := tr.out[0]
	tr.out = tr.out[1:]
	got := tr.describe(frames)
	if strings.HasPrefix(want, "RAW ") {
		got = "RAW " + quote(frames[1:])
	}
	if string(frames[0]) != peer || got != want {
		tr.fatalf("the broker sent %s %s, want %s %s", frames[0], got, peer, want)
	}
}

func (tr *transcript) silent() {
	if len(tr.out) > 0 {
		tr.fatalf("before this line the broker sent %s %s", tr.out[0][0], tr.describe(tr.out[0]))
	}
}

// describe writes a message as transcripts do, in the receiver's dialect.
func (tr *transcript) describe(frames [][]byte) string {
	if tr.gateways[string(frames[0])] {
		return describeToGateway(frames[1:])
	}
	d := tr.dialect(string(frames[0]))
	if m, err := d.ParseWorker(frames[1:]); err == nil {
		if m.Command != mdp.Work {
			return m.Command.String()
		}
		return fmt.Sprintf("REQUEST client=%s body=%s", tr.clients[string(m.Client)], quote(m.Body))
	}
	at := 2 // of the service: after the delimiter and header, or the header and command
	body, final, err := d.ParseReply(string(frames[1+at]), frames[1:])
	if err != nil {
		return "RAW " + quote(frames[1:])
	}
	command := mdp.Final
	if !final {
		command = mdp.Partial
	}
	return fmt.Sprintf("%s service=%s body=%s", command, frames[1+at], quote(body))
}

func quote(frames [][]byte) string {
	var s []string
	for _, f := range frames {
		q := strconv.Quote(string(f))
		if q = q[1 : len(q)-1]; q == "" {
			q = "''"
		}
		s = append(s, q)
	}
	return strings.Join(s, "|")
}

// pass lets time pass as the shell does: tick by tick.
func (tr *transcript) pass(until time.Time) {
	if !tr.now.Before(tr.state.next()) {
		tr.state.tick(tr.now) // what a message made due
	}
	for next := tr.state.next(); !next.After(until); next = tr.state.next() {
		if next.Before(tr.now) {
			tr.fatalf("the next tick is %s ago", tr.now.Sub(next))
		}
		tr.now = next
		tr.state.tick(tr.now)
	}
	tr.now = until
}

func (tr *transcript) compare(want map[string]string) {
	st := tr.state.snapshot()
	got := map[string]string{
		"queued": fmt.Sprint(st.Queued), "bytes": fmt.Sprint(st.QueuedBytes), "services": fmt.Sprint(len(st.Services)),
		"requests": fmt.Sprint(st.Requests), "replies": fmt.Sprint(st.Replies), "redispatched": fmt.Sprint(st.Redispatched),
		"unread": fmt.Sprint(st.Unread), "unread-bytes": fmt.Sprint(st.UnreadBytes),
	}
	if reason, ok := want["dropped"]; ok {
		got["dropped"], got["count"] = reason, fmt.Sprint(st.Dropped[reason])
	}
	for _, svc := range st.Services {
		if svc.Name == want["service"] {
			got["service"], got["queued"] = svc.Name, fmt.Sprint(svc.Queued)
			got["workers"], got["busy"] = fmt.Sprint(svc.Workers), fmt.Sprint(svc.Busy)
		}
	}
	for key := range want {
		if got[key] != want[key] {
			tr.fatalf("%s is %q, want %q", key, got[key], want[key])
		}
	}
}

// keyOf returns the key that a peer of that name has.
func keyOf(name string) (key curve.Key) {
	copy(key[:], name)
	return key
}

// allow puts a list of peers in force.
func (tr *transcript) allow(words []string) {
	var peers []curve.Peer
	for _, w := range words {
		name, services, _ := strings.Cut(w, "=")
		p := curve.Peer{ID: name, Key: keyOf(name), Role: curve.RoleClient}
		if services != "" {
			p.Role, p.Services = curve.RoleWorker, strings.Split(services, ",")
		}
		peers = append(peers, p)
	}
	tr.state.allow(tr.now, curve.NewList(peers...))
}

// user returns the key of the sender of the message that the broker takes now.
func (tr *transcript) user() []byte {
	return []byte(keyOf(cmp.Or(tr.users[tr.sender], tr.sender)).String())
}
