package mdp_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"mdpgateway/internal/mdp"
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
	if got := len(mdp.Kinds()); got != declared || declared == 0 {
		t.Errorf("Kinds has %d kinds, errors.go declares %d", got, declared)
	}
}

func TestExecutedIsNoUntilTheRequestWasSent(t *testing.T) {
	maybe := map[mdp.Kind]bool{
		mdp.BadReply: true, mdp.ReplyTooLarge: true, mdp.BrokerLost: true, mdp.Interrupted: true, mdp.Timeout: true,
	}
	for _, kind := range mdp.Kinds() {
		want := mdp.No
		if maybe[kind] {
			want = mdp.Maybe
		}
		if kind == mdp.WorkerError {
			want = mdp.Yes
		}
		if got := (&mdp.Error{Kind: kind}).Executed(); got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
	for _, c := range []struct {
		err  mdp.Error
		want mdp.Executed
	}{
		{mdp.Error{Kind: mdp.Canceled, Sent: true}, mdp.Maybe},
		{mdp.Error{Kind: mdp.Internal, Sent: true}, mdp.Maybe},
		{mdp.Error{Kind: mdp.NotAcceptable, Frames: fr("reply")}, mdp.Yes},
	} {
		if got := c.err.Executed(); got != c.want {
			t.Errorf("%v: got %s, want %s", &c.err, got, c.want)
		}
	}
}

func TestAnErrorShowsWhatIsKnownAndKeepsItsCause(t *testing.T) {
	cause := errors.New("refused")
	e := &mdp.Error{Kind: mdp.Busy, Reason: mdp.ReasonPool, Service: "echo", Detail: "none came free", Err: cause}
	const want = `busy (pool) service "echo": none came free: refused`
	if e.Error() != want || !errors.Is(e, cause) {
		t.Errorf("got %s, want %s", e, want)
	}
	if got := mdp.AsError(fmt.Errorf("call: %w", e)); got != e {
		t.Errorf("wrapped: got %v, want %v", got, e)
	}
	if got := mdp.AsError(cause); got.Kind != mdp.Internal || got.Executed() != mdp.Maybe {
		t.Errorf("foreign: got %v, want internal", got)
	}
}
