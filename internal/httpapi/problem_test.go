package httpapi

import (
	"fmt"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

// A kind that is not in the table would be answered as a bug of the gateway.
func TestEveryKindHasItsProblem(t *testing.T) {
	titles := make(map[string]gateway.Kind)
	for _, kind := range gateway.Kinds() {
		p, ok := problems[kind]
		if !ok {
			t.Errorf("%s is not in the table", kind)
			continue
		}
		if p.status < 400 || p.title == "" || !strings.HasSuffix(p.about, ".") {
			t.Errorf("%s is %+v in the table, want a status, a title and a sentence", kind, p)
		}
		if other, taken := titles[p.title]; taken {
			t.Errorf("%s and %s have the title %q", kind, other, p.title)
		}
		titles[p.title] = kind
	}
	if len(problems) != len(gateway.Kinds()) {
		t.Errorf("the table has %d kinds, mdp has %d", len(problems), len(gateway.Kinds()))
	}
}

// The promise that lets a proxy retry: what may have run is never a 4xx or 503,
// what did not run never a 502 or 504.
func TestTheStatusSaysWhetherTheRequestMayHaveRun(t *testing.T) {
	for _, kind := range gateway.Kinds() {
		p := newProblem(&gateway.Error{Kind: kind}, "id", "echo")
		ran := p.Status == 502 || p.Status == 504
		if ran == (p.Executed == gateway.No) {
			t.Errorf("%s is %d with executed %s", kind, p.Status, p.Executed)
		}
		if p.Retryable && p.Executed != gateway.No {
			t.Errorf("%s is retryable with executed %s", kind, p.Executed)
		}
		if p.Retryable != (p.Status == 503 || p.Status == 429) {
			t.Errorf("%s has status %d and retryable %v, want every 503 and 429 retryable and nothing else", kind, p.Status, p.Retryable)
		}
	}
}

func TestAKindThatNobodyKnowsIsABug(t *testing.T) {
	p := newProblem(&gateway.Error{Kind: "surprise", Detail: "tcp://10.0.0.1"}, "id", "echo")
	if p.Status != 500 || p.Code != gateway.Internal || strings.Contains(string(p.encode()), "10.0.0.1") {
		t.Errorf("the problem is %s, want internal without the detail", p.encode())
	}
}

func TestTheProblemsPageHasAnAnchorForEveryType(t *testing.T) {
	g := serve(t, Config{})
	a := g.get("/problems")
	a.wantHeader(t, "Content-Type", "text/html; charset=utf-8")
	if !strings.Contains(string(a.body), "4xx or 5xx, though the request ran") {
		t.Errorf("the page is %s, want it to say that a rule's status promises nothing", a.body)
	}
	for _, kind := range gateway.Kinds() {
		typ := newProblem(&gateway.Error{Kind: kind}, "", "").Type
		_, anchor, _ := strings.Cut(typ, "#")
		want := fmt.Sprintf("<dt id=%q><code>%s</code>: %d, %s</dt>", anchor, kind, problems[kind].status, problems[kind].title)
		if n := strings.Count(string(a.body), want); n != 1 || !strings.HasPrefix(typ, "/problems#") {
			t.Errorf("the page has %d times %s for the type %s", n, want, typ)
		}
	}
}
