package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/access"
	"mdpgateway/internal/curve"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/yamlnode"
)

// curveCmd is gateway curve.
type curveCmd struct {
	New newCurveCmd `cmd:"" help:"Write a new pair of keys to ID.key and, for its owner alone, ID.key_secret."`
}

// newCurveCmd is gateway curve new.
type newCurveCmd struct {
	ID  string `arg:"" help:"What the files are called, and the owner in logs, such as hall1-worker."`
	Dir string `default:"." given:"" placeholder:"DIR" help:"Directory for the files (${default})."`
}

// Run writes the files and prints the public key, which the list of a broker needs.
func (c *newCurveCmd) Run(p *process) error {
	if err := access.CheckID(c.ID); err != nil {
		return usageError{err}
	}
	pair := curve.NewPair()
	public, secret, err := curve.Write(c.Dir, c.ID, pair)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n%s\n%s\n", pair.Public, public, secret)
	return err
}

// readCurve returns the keys of a broker of ours and of those that it lets in; nil without CURVE.
func readCurve(r *resolver, keyFile, allowed string) (*broker.Curve, error) {
	switch {
	case keyFile == "" && allowed == "":
		return nil, nil
	case keyFile == "":
		return nil, &valueError{r.origin("curve-key-file"), "", "the broker's pair of keys, beside " + r.origin("curve-allowed")}
	case allowed == "":
		return nil, &valueError{r.origin("curve-allowed"), "", "the list of the keys that may connect, beside " + r.origin("curve-key-file")}
	}
	pair, err := curve.LoadPair(keyFile)
	if err != nil {
		return nil, &valueError{r.origin("curve-key-file"), keyFile, err.Error()}
	}
	list, err := readPeers(r, allowed)
	return &broker.Curve{Public: pair.Public, Secret: pair.Secret, Allowed: list}, err
}

func readPeers(r *resolver, path string) (*curve.List, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &valueError{r.origin("curve-allowed"), path, fmt.Sprintf("a file that can be read: %v", errors.Unwrap(err))}
	}
	list, err := curve.ParseList("curve-allowed", data)
	return list, yamlnode.In(filepath.Base(path), err)
}

// curveFlags are the keys of a command that connects to one broker.
type curveFlags struct {
	CurveServerKey     string `given:"" placeholder:"KEY" help:"CURVE key of the broker, 40 characters."`
	CurveServerKeyFile string `given:"" placeholder:"FILE" help:"File with the CURVE key of the broker, such as hall1.key."`
	CurveKeyFile       string `given:"" placeholder:"FILE" help:"File with our own pair of CURVE keys, such as ID.key_secret."`
}

// client returns the keys for the broker, nil without CURVE.
func (f *curveFlags) client() (*curve.Client, error) {
	if *f == (curveFlags{}) {
		return nil, nil
	}
	c := new(curve.Client)
	var err error
	switch {
	case f.CurveKeyFile == "":
		return nil, &valueError{"--curve-key-file", "", "our own pair of keys"}
	case (f.CurveServerKey == "") == (f.CurveServerKeyFile == ""):
		return nil, &valueError{"--curve-server-key", f.CurveServerKey, "the broker's key, here or in --curve-server-key-file"}
	case f.CurveServerKey != "":
		if c.Server, err = curve.ParseKey(f.CurveServerKey); err != nil {
			return nil, &valueError{"--curve-server-key", f.CurveServerKey, err.Error()}
		}
	default:
		if c.Server, err = curve.LoadKey(f.CurveServerKeyFile); err != nil {
			return nil, &valueError{"--curve-server-key-file", f.CurveServerKeyFile, err.Error()}
		}
	}
	if c.Own, err = curve.LoadPair(f.CurveKeyFile); err != nil {
		return nil, &valueError{"--curve-key-file", f.CurveKeyFile, err.Error()}
	}
	return c, nil
}

// readClient reads the keys of one of brokers.
func readClient(dst **curve.Client) yamlnode.Reader {
	return func(path string, n *yaml.Node) error {
		c, servers := new(curve.Client), 0
		server := func(parse func(string) (curve.Key, error)) yamlnode.Reader {
			return func(path string, n *yaml.Node) error {
				servers++
				return yamlnode.Scalar(&c.Server, parse)(path, n)
			}
		}
		err := yamlnode.Object(path, n, []yamlnode.Field{
			{Key: "server_key", Read: server(curve.ParseKey)},
			{Key: "server_key_file", Read: server(curve.LoadKey)},
			{Key: "key_file", Need: "the file with our own pair of keys", Read: yamlnode.Scalar(&c.Own, func(file string) (curve.Pair, error) {
				c.File = file
				return curve.LoadPair(file)
			})},
		})
		if err == nil && servers != 1 {
			err = yamlnode.Wrong(n, path, "has %d keys of the broker, want one of server_key, server_key_file", servers)
		}
		*dst = c
		return err
	}
}

// clientNode returns what readClient reads.
func clientNode(c *curve.Client) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{
		scalarNode("server_key"), quotedNode(c.Server.String()), scalarNode("key_file"), scalarNode(c.File),
	}}
}

// quotedNode returns a string in quotes.
func quotedNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: text}
}

// embeddedPeers are the gateway and the demo worker at an embedded broker with CURVE. Their keys live as long as the
// process.
type embeddedPeers struct{ gateway, demo *curve.Client }

func newEmbeddedPeers(c *broker.Curve) *embeddedPeers {
	if c == nil {
		return new(embeddedPeers)
	}
	return &embeddedPeers{
		gateway: &curve.Client{Server: c.Public, Own: curve.NewPair()},
		demo:    &curve.Client{Server: c.Public, Own: curve.NewPair()},
	}
}

// with returns a list with these peers, too.
func (e *embeddedPeers) with(l *curve.List) *curve.List {
	return l.With(
		curve.Peer{ID: "embedded-gateway", Key: e.gateway.Own.Public, Role: curve.RoleClient},
		curve.Peer{ID: "embedded-demo", Key: e.demo.Own.Public, Role: curve.RoleWorker, Services: []string{"*"}},
	)
}

// refusals are what the reasons of gateway.EndpointStats mean to an operator.
var refusals = map[string]string{
	gateway.KeyRefused: "the broker refused our key: it is not in its list",
	gateway.OtherKey:   "the broker's key is another than the one that was given, or the broker does not speak CURVE",
	gateway.WantsCurve: "the broker ended the handshake: does it want CURVE (--curve-server-key, --curve-key-file)?",
	gateway.NoCurve:    "the broker does not speak CURVE",
}

// reloadPeers puts the list as it is now in force at each signal.
func (c *brokerCmd) reloadPeers(r *resolver, b *broker.Broker, log *zap.Logger) {
	list, err := readPeers(r, c.CurveAllowed)
	if err != nil {
		log.Error("the configuration is invalid, the previous one stays in force", zap.String("error", yamlnode.OneLine(err.Error())))
		return
	}
	b.Allow(list)
	log.Info("configuration reloaded", zap.Int("principals", list.Len()))
}
