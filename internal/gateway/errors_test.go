package gateway_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"mdpgateway/internal/gateway"
)

// Every constant of type Kind must be in Kinds, which other tables are checked
// against.
func TestKindsListsEveryKind(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Kind" {
				declared++
			}
		}
		return true
	})
	if got := len(gateway.Kinds()); got != declared || declared == 0 {
		t.Errorf("Kinds has %d kinds, errors.go declares %d", got, declared)
	}
}

func TestExecutedIsNoUntilTheRequestWasSent(t *testing.T) {
	maybe := map[gateway.Kind]bool{
		gateway.BadReply: true, gateway.ReplyTooLarge: true, gateway.BrokerLost: true, gateway.Interrupted: true, gateway.Timeout: true,
		gateway.JobUnconfirmed: true,
	}
	for _, kind := range gateway.Kinds() {
		want := gateway.No
		if maybe[kind] {
			want = gateway.Maybe
		}
		if kind == gateway.WorkerError {
			want = gateway.Yes
		}
		if got := (&gateway.Error{Kind: kind}).Executed(); got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
	for _, c := range []struct {
		err  gateway.Error
		want gateway.Executed
	}{
		{gateway.Error{Kind: gateway.Canceled, Sent: true}, gateway.Maybe},
		{gateway.Error{Kind: gateway.Internal, Sent: true}, gateway.Maybe},
		{gateway.Error{Kind: gateway.Canceled, Sent: true, Was: gateway.WasQueued}, gateway.No},
		{gateway.Error{Kind: gateway.Timeout, Was: gateway.WasQueued}, gateway.No},
		{gateway.Error{Kind: gateway.Timeout, Was: gateway.WasDispatched}, gateway.Maybe},
		{gateway.Error{Kind: gateway.NotAcceptable, Frames: [][]byte{[]byte("reply")}}, gateway.Yes},
	} {
		if got := c.err.Executed(); got != c.want {
			t.Errorf("%v: got %s, want %s", &c.err, got, c.want)
		}
	}
}

func TestAnErrorShowsWhatIsKnownAndKeepsItsCause(t *testing.T) {
	cause := errors.New("refused")
	e := &gateway.Error{Kind: gateway.Busy, Reason: gateway.ReasonPool, Service: "echo", Detail: "none came free", Err: cause}
	const want = `busy (pool) service "echo": none came free: refused`
	if e.Error() != want || !errors.Is(e, cause) {
		t.Errorf("got %s, want %s", e, want)
	}
	if got := gateway.AsError(fmt.Errorf("call: %w", e)); got != e {
		t.Errorf("wrapped: got %v, want %v", got, e)
	}
	if got := gateway.AsError(cause); got.Kind != gateway.Internal || got.Executed() != gateway.Maybe {
		t.Errorf("foreign: got %v, want internal", got)
	}
}
