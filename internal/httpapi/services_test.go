package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

func TestServicesAreListed(t *testing.T) {
	g := serve(t, Config{})
	a := g.get("/services")
	a.wantHeader(t, "Content-Type", "application/json")
	for _, part := range []string{`{"services":[{"name":"echo",`, `"availability":"up"`, `"calls":3`, `{"name":"lora","catalogued":true,"availability":"down"`} {
		if a.StatusCode != http.StatusOK || !strings.Contains(string(a.body), part) {
			t.Errorf("got %d %s, want %s in it", a.StatusCode, a.body, part)
		}
	}
	if a := g.get("/services/lora"); a.StatusCode != http.StatusOK || !strings.HasPrefix(string(a.body), `{"name":"lora","catalogued":true,`) {
		t.Errorf("one: got %d %s", a.StatusCode, a.body)
	}
	g.get("/services/nobody").wantProblem(t, gateway.ServiceNotFound)
	g.get("/services/mmi.service").wantProblem(t, gateway.Forbidden)
}

func TestADryRunShowsTheFramesAndSendsNothing(t *testing.T) {
	g := serve(t, Config{Caller: caller(nil)}) // which would panic if it were called
	g.post("/services/echo/dry-run", "h\xff").wantBody(t, 200,
		`{"service":"echo","dialect":"mdp/0.2","timeout_ms":1000,"frames":[`+
			`{"hex":"4d4450433032","text":"MDPC02","bytes":6},{"hex":"01","text":"\u0001","bytes":1},`+
			`{"hex":"6563686f","text":"echo","bytes":4},{"hex":"68ff","bytes":2}]}`+"\n")
	g.post("/services/echo/dry-run?timout=1s", "x").wantProblem(t, gateway.BadRequest)
	g.post("/services/a%2Fdry-run/dry-run", "x").wantBody(t, 200,
		`{"service":"a/dry-run","dialect":"mdp/0.2","timeout_ms":1000,"frames":[`+
			`{"hex":"4d4450433032","text":"MDPC02","bytes":6},{"hex":"01","text":"\u0001","bytes":1},`+
			`{"hex":"612f6472792d72756e","text":"a/dry-run","bytes":9},{"hex":"78","text":"x","bytes":1}]}`+"\n")
	g.post("/services/mmi.service/dry-run", "x").wantProblem(t, gateway.Forbidden)
}
