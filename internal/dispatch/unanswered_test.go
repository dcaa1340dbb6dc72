package dispatch_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/gateway"
)

func TestAServiceThatNeverAnsweredIsToldUntilItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		replies := false
		p := &pool{call: func(ctx context.Context, req gateway.Request) (gateway.Reply, error) {
			if replies {
				return gateway.Reply{Frames: req.Frames}, nil
			}
			return hangs(ctx, req)
		}}
		d := newDispatcher(t, p, dispatch.Config{Log: zap.New(core)}, `{deaf: {}}`)
		const told, usual = "answered none of its 3 calls, of which the longest waited 25s", "no reply within 25s"
		for i, want := range []string{usual, usual, told, "none of its 4 calls"} {
			_, err := send(t.Context(), d, call("deaf", "x"))
			if e := failure(t, err, gateway.Timeout, ""); !strings.Contains(e.Detail, want) {
				t.Errorf("call %d: detail %q, want %q", i, e.Detail, want)
			}
			if got, want := len(d.Silent()) == 1 && d.Services()[0].Silent, i >= 2; got != want {
				t.Errorf("call %d: the service is silent: %v, want %v", i, got, want)
			}
		}
		if all := logs.All(); len(all) != 1 || all[0].ContextMap()["service"] != "deaf" {
			t.Errorf("the log has %v, want one warning of the service", all)
		}
		replies = true
		if _, err := send(t.Context(), d, call("deaf", "x")); err != nil {
			t.Fatal(err)
		}
		if got := d.Silent(); got != nil || d.Services()[0].Silent {
			t.Errorf("after a reply: silent are %v, want none", got)
		}
		replies = false
		_, err := send(t.Context(), d, call("deaf", "x"))
		if e := failure(t, err, gateway.Timeout, ""); !strings.Contains(e.Detail, usual) {
			t.Errorf("after a reply: detail %q, want %q", e.Detail, usual)
		}
	})
}

func TestAServiceWhoseRequestsNoWorkerHadIsNotSilentAndOneWhoseWorkersHadThemIs(t *testing.T) {
	for was, want := range map[gateway.Was][]string{gateway.WasQueued: nil, gateway.WasDispatched: {"deaf"}} {
		synctest.Test(t, func(t *testing.T) {
			p := &pool{call: func(context.Context, gateway.Request) (gateway.Reply, error) {
				return gateway.Reply{}, &gateway.Error{Kind: gateway.Timeout, Service: "deaf", Was: was}
			}}
			d := newDispatcher(t, p, dispatch.Config{}, `{deaf: {}}`)
			for range 3 {
				_, err := send(t.Context(), d, call("deaf", "x"))
				failure(t, err, gateway.Timeout, "")
			}
			if got := d.Silent(); !slices.Equal(got, want) {
				t.Errorf("after three requests that were %s the silent services are %v, want %v", was, got, want)
			}
		})
	}
}
