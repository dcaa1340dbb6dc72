package client_test

import (
	"net"
	"testing"

	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// The broker listens at one of its name's addresses only.
func TestEveryAddressOfABrokersNameIsTried(t *testing.T) {
	for name, c := range map[string]struct {
		broker    string
		addresses []string
	}{
		"the first is dead":    {"127.0.0.1", []string{"127.0.0.2", "127.0.0.1"}},
		"the last is dead":     {"127.0.0.1", []string{"127.0.0.1", "127.0.0.2"}},
		"IPv6 after dead IPv4": {"::1", []string{"127.0.0.2", "::1"}},
		"IPv6 alone":           {"::1", []string{"::1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.broker == "::1" {
				probe, err := net.Listen("tcp6", "[::1]:0")
				if err != nil {
					t.Skipf("this machine has no IPv6: %v", err)
				}
				_ = probe.Close()
			}
			broker := mdptest.NewRouterAt(t, "tcp://"+net.JoinHostPort(c.broker, "*"), func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m} })
			_, port, err := net.SplitHostPort(broker.Endpoint()[len("tcp://"):])
			if err != nil {
				t.Fatal(err)
			}
			p := newPool(t, client.Config{Resolver: mdptest.NameServer(t, c.addresses...)}, at("tcp://broker.test:"+port))
			eventually(t, "a call is answered", func() bool {
				_, err := p.Call(t.Context(), echo("hello"))
				return err == nil
			})
		})
	}
}
