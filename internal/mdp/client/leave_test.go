package client_test

import (
	"context"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// Handshakes that no answer comes to.
func TestCallersWhoLeaveWhileTheirConnectionIsOpenedAreLetGo(t *testing.T) {
	broker := mdptest.NewRouter(t, nil)
	link := mdptest.NewProxy(t, broker.Endpoint())
	p := newPool(t, client.Config{ConnectTimeout: time.Hour, QueueTimeout: patience}, at(link.Endpoint()))
	eventually(t, "the sentinel is connected", func() bool { return p.Stats().Endpoints[0].State == gateway.Up })
	link.Stall()
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	const calls = 9
	var ended []<-chan error
	for range calls {
		ended = append(ended, inBackground(ctx, p, echo("hello")))
	}
	eventually(t, "all wait", func() bool { return p.Stats().Connecting == calls })
	leave()
	for _, c := range ended {
		failure(t, await(t, c), gateway.Canceled, "")
	}
}

func TestACallerWhoLeavesBeforeAnyBrokerWasReachedIsLetGo(t *testing.T) {
	link := mdptest.NewProxy(t, mdptest.NewRouter(t, nil).Endpoint())
	link.Stall()
	p := newPool(t, client.Config{}, at(link.Endpoint()))
	ctx, leave := context.WithCancel(context.Background())
	ended := inBackground(ctx, p, echo("hello"))
	leave()
	failure(t, await(t, ended), gateway.Canceled, "")
}
