package client_test

import (
	"context"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

func TestALookupSaysWhetherAServiceHasWorkers(t *testing.T) {
	broker := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, broker, "echo", echoHandler)
	for _, d := range []*mdp.Dialect{mdp.V01, mdp.V02, mdp.Loudify} {
		p := newPool(t, client.Config{}, client.Endpoint{Address: broker, Dialect: d})
		for service, want := range map[string]string{"echo": mdp.StatusFound, "ohce": mdp.StatusNotFound} {
			for range 2 { // the second time over the same connection
				got, err := p.Lookup(context.Background(), 0, service)
				if err != nil || got != want {
					t.Errorf("%v %s: got %q, %v, want %s", d, service, got, err, want)
				}
			}
		}
	}
}

func TestABrokerThatDoesNotAnswerLookupsTimesOut(t *testing.T) {
	seen := new(peers)
	mute := mdptest.NewRouter(t, func(id []byte, m [][]byte) [][][]byte {
		seen.note(id, m)
		return nil
	})
	p := newPool(t, client.Config{}, at(mute.Endpoint()))
	for range 2 {
		_, err := p.Lookup(context.Background(), 0, "echo")
		failure(t, err, gateway.Timeout, "")
	}
	if got := seen.distinct(); got != 2 {
		t.Errorf("%d connections, want another one after a question without answer", got)
	}
}

func TestALookupEndsWithItsContext(t *testing.T) {
	script, arrived := hold()
	p := newPool(t, client.Config{}, at(mdptest.NewRouter(t, script).Endpoint()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Lookup(ctx, 0, "echo")
		ended <- err
	}()
	await(t, arrived)
	cancel()
	failure(t, await(t, ended), gateway.Canceled, "")
}

func TestALookupWhereNothingListensFailsAtOnce(t *testing.T) {
	gone := mdptest.NewRouter(t, nil)
	gone.Close()
	_, err := newPool(t, client.Config{}, at(gone.Endpoint())).Lookup(context.Background(), 0, "echo")
	failure(t, err, gateway.BrokerUnavailable, "")
}

func TestWhatIsNoAnswerToALookupIsRefused(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{frames("", "MDPC01", "echo", "200")} })
	_, err := newPool(t, client.Config{}, at(broker.Endpoint())).Lookup(context.Background(), 0, "echo")
	failure(t, err, gateway.BadReply, mdp.ReasonAsked)
}

// A broker that answers nothing is told at its first look-up, and no longer once it answers.
func TestABrokerIsSilentFromALookupWithoutAnswerToItsFirstAnswer(t *testing.T) {
	var speaks atomic.Bool
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		if !speaks.Load() {
			return nil
		}
		service, _, _ := mdp.V01.ParseRequest(m)
		return [][][]byte{mdp.V01.AppendReply(nil, service, [][]byte{[]byte(mdp.StatusFound)}, true)}
	})
	core, logs := observer.New(zap.WarnLevel)
	p := newPool(t, client.Config{Log: zap.New(core)}, at(broker.Endpoint()))
	silent := func() bool { return p.Stats().Endpoints[0].Silent }
	if silent() {
		t.Error("it is silent before it was asked")
	}
	for range 2 {
		_, err := p.Lookup(context.Background(), 0, "echo")
		failure(t, err, gateway.Timeout, "")
	}
	if !silent() {
		t.Error("it is not silent, though it answered no look-up")
	}
	if got := logs.FilterMessageSnippet(gateway.SilentHint).Len(); got != 1 {
		t.Errorf("%d warnings say what to do, want 1", got)
	}
	speaks.Store(true)
	eventually(t, "a look-up is answered", func() bool {
		_, err := p.Lookup(context.Background(), 0, "echo")
		return err == nil
	})
	if silent() {
		t.Error("it is silent, though it answered")
	}
}
