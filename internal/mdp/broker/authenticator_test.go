package broker_test

import (
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/internal/zsock"
)

// A broker whose authenticator fails lets nobody in any more: it ends, and says why.
func TestABrokerEndsWithItsAuthenticator(t *testing.T) {
	t.Parallel()
	pair := curve.NewPair()
	b, err := broker.New(broker.Config{Bind: []string{"tcp://127.0.0.1:*"}, Curve: &broker.Curve{
		Public: pair.Public, Secret: pair.Secret,
		Allowed: curve.NewList(curve.Peer{ID: "c", Key: pair.Public, Role: curve.RoleClient}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	// libzmq never asks like this: a request of one frame, after which a REP can neither answer nor receive.
	d, err := b.Context().Dealer(zsock.DealerOptions{Linger: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Connect(broker.AuthenticatorAddress); err != nil {
		t.Fatal(err)
	}
	if err := d.Send([][]byte{nil, []byte("1.0")}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.Done():
	case <-time.After(20 * time.Second):
		t.Error("the broker is still there")
	}
	if err := b.Close(); err == nil || !strings.Contains(err.Error(), "authenticator: a request of 1 frames") {
		t.Errorf("the broker ended with %v, want why its authenticator did", err)
	}
}
