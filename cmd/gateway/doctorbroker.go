package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mux"
	"mdpgateway/internal/mdp/upstream"
	"mdpgateway/internal/zmtp"
)

// examineBrokers goes to every broker, and asks them for the services of the file.
func (c *doctorCmd) examineBrokers(ctx context.Context, r *report) {
	if *c.Embedded {
		r.say(isOK, "broker embedded", "runs in the gateway, with the demo worker", "")
	}
	workers := map[string][]string{} // brokers that have workers, by service
	asked := map[string]bool{}
	for _, b := range c.Brokers {
		what := "broker " + b.Name
		if !c.reach(ctx, r, b) {
			continue
		}
		for _, m := range b.Dialect.Messages() {
			r.say(isOK, what, fmt.Sprintf("%s is %s", m.Name, mdp.Show(m.Frames)), "")
		}
		if b.Dialect.MMI == mdp.MMIOff {
			r.say(isOK, what, "is not asked which services have workers (mmi: off)", "")
			continue
		}
		switch refusal, err := c.discover(ctx, r, b, asked, workers); {
		case refusal != "":
			r.say(isFail, what, refusals[refusal], "compare the keys at both ends: CURVE in docs/access.md")
		case err != nil:
			r.say(isFail, what, "answers no look-up (MMI): "+err.Error(), gateway.SilentHint+"; docs/brokers.md has the dialects")
		}
	}
	for _, name := range c.Catalogued.Names() {
		switch what := "service " + name; {
		case len(workers[name]) > 0:
			r.say(isOK, what, "has workers at "+strings.Join(workers[name], ", "), "")
		case asked[name]:
			r.say(isFail, what, "no broker has workers of it", "start its workers, or compare the name with the one that they register")
		default:
			r.say(isWarn, what, "no broker could be asked for it", "try it: gateway call "+name+" --broker …")
		}
	}
}

// reach goes the steps to a broker, as far as they lead.
func (c *doctorCmd) reach(ctx context.Context, r *report, b client.Endpoint) bool {
	what := "broker " + b.Name
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	network, address := "unix", strings.TrimPrefix(b.Address, "ipc://")
	if hostport, tcp := cutTCP(b.Address); tcp {
		host, port, _ := net.SplitHostPort(hostport) // client.CheckAddress has seen it
		all, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return r.check(what, err, "", "correct the name, or ask whoever runs the name server")
		}
		if all[0] != host {
			r.say(isOK, what, host+" is "+strings.Join(all, ", "), "")
		}
		network, address = "tcp", net.JoinHostPort(host, port)
	}
	begun := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return r.check(what, err, "", "start the broker, compare host and port with where it listens, and look for a firewall between")
	}
	defer conn.Close()
	r.say(isOK, what, fmt.Sprintf("%s is connected after %s", b.Address, rounded(time.Since(begun))), "")
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // of a socket that is open
	peer, err := zmtp.Greet(conn)
	return judgePeer(r, what, peer, b.Curve != nil, err)
}

// judgePeer says whether what is at a broker's address is a broker, for which there are keys of CURVE or none.
func judgePeer(r *report, what string, peer zmtp.Peer, keys bool, err error) bool {
	shown := fmt.Sprintf("speaks ZMTP %s, mechanism %s, socket %s", peer.Version, peer.Mechanism, cmp.Or(peer.SocketType, "unknown"))
	var late net.Error
	switch {
	case errors.As(err, &late) && late.Timeout():
		r.say(isFail, what, "no handshake in time", "the broker hangs, or the port is another program's")
	case err != nil:
		r.say(isFail, what, "no handshake: "+err.Error(), "give the port of the broker's ROUTER socket, not that of HTTP or of another program")
	case peer.Mechanism == "CURVE" && keys:
		r.say(isOK, what, fmt.Sprintf("speaks ZMTP %s, mechanism CURVE", peer.Version), "")
		return true
	case peer.Mechanism != "NULL":
		r.say(isFail, what, shown, "the broker wants keys: see CURVE in docs/access.md")
	case keys:
		r.say(isFail, what, shown, "the broker does not speak CURVE: take curve out of its entry, or give the broker its keys")
	case peer.Version == "2.0":
		r.say(isWarn, what, shown, "the broker has libzmq 3 or older: heartbeats, which tell a hung broker, need libzmq 4.2")
		return true
	case peer.SocketType != "ROUTER":
		r.say(isFail, what, shown+", want ROUTER", "give the endpoint for clients, not that of another socket")
	default:
		r.say(isOK, what, shown, "")
		return true
	}
	return false
}

// discover asks a broker for every service of the file that may go there, and for one that there is not, which shows
// whether it answers such questions at all. If CURVE's keys are why it cannot be asked, refusal is one of
// gateway.EndpointStats.
func (c *doctorCmd) discover(ctx context.Context, r *report, b client.Endpoint, asked map[string]bool, workers map[string][]string) (refusal string, err error) {
	pool, err := upstream.New(mux.Config{Config: client.Config{Endpoints: []client.Endpoint{b}, Max: 1, ConnectTimeout: c.ConnectTimeout}})
	if err != nil {
		return "", err
	}
	defer func() { _ = pool.Close(ctx) }()
	ask := func(name string) (string, error) { return c.ask(ctx, pool, name) }
	status, err := ask("gateway-doctor")
	if err != nil {
		return pool.Stats().Endpoints[0].Refusal, err
	}
	r.say(isOK, "broker "+b.Name, fmt.Sprintf("answers look-ups (MMI): %s for a service that there is not", status), "")
	for _, name := range c.Catalogued.Names() {
		spec, _ := c.Catalogued.Get(name)
		if !spec.MayAsk(b.Name) {
			continue
		}
		if status, err := ask(name); err == nil {
			asked[name] = asked[name] || b.Dialect.MMI == mdp.MMIOn
			if status == mdp.StatusFound {
				workers[name] = append(workers[name], b.Name)
			}
		}
	}
	return "", nil
}

// ask asks a broker about a service until it answers or refuses the keys. A slow one may need longer than a call would
// wait.
func (c *doctorCmd) ask(ctx context.Context, pool *upstream.Brokers, name string) (status string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	for {
		status, failed := pool.Lookup(ctx, 0, name)
		if failed == nil {
			return status, nil
		}
		if err == nil {
			err = failed // later ones may only say that the time is over
		}
		if pool.Stats().Endpoints[0].Refusal != "" {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(askAgain):
		}
	}
}

// askAgain is the pause between two questions.
const askAgain = 50 * time.Millisecond

// cutTCP returns the host and port of a TCP endpoint.
func cutTCP(endpoint string) (address string, tcp bool) { return strings.CutPrefix(endpoint, "tcp://") }
