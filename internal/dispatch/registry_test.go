package dispatch_test

import (
	"context"
	"fmt"
	"testing"

	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

// A registered has workers of one service.
type registered string

func (r registered) Services() []gateway.LiveService {
	return []gateway.LiveService{r.Service(string(r))}
}

func (r registered) Service(name string) gateway.LiveService {
	if name == string(r) {
		return gateway.LiveService{Name: name, Workers: 1}
	}
	return gateway.LiveService{Name: name}
}

// The broker in this process is not asked over a socket, where names that nobody knows
// would use up what there is of questions.
func TestAScannerDelaysNoNewServiceOfTheBrokerInThisProcess(t *testing.T) {
	p := &pool{}
	d, err := dispatch.New(dispatch.Config{
		Pool: p, Brokers: []dispatch.Broker{{Name: "embedded", Dialect: mdp.V01, Live: registered("new")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		_, err := send(context.Background(), d, call(fmt.Sprint("scanned", i), "x"))
		failure(t, err, gateway.ServiceNotFound, "")
	}
	if _, err := send(context.Background(), d, call("new", "x")); err != nil {
		t.Errorf("the first call of a new service: %v", err)
	}
	if n := p.lookups(); n != 0 {
		t.Errorf("%d questions, want none", n)
	}
}
