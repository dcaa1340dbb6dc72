package httpapi

import (
	"testing"
	"time"

	"mdpgateway/internal/gateway"
)

func TestATimeoutSaysWhatWouldHelp(t *testing.T) {
	for _, c := range []struct {
		limit, most time.Duration
		sync, jobs  string // what the detail adds, with jobs off and on
	}{
		{25 * time.Second, 5 * time.Minute, "; ?timeout= up to 5m", "; ?timeout= up to 5m; longer: Prefer: respond-async"},
		{5 * time.Minute, 5 * time.Minute, "", "; longer: Prefer: respond-async"},
		{time.Second, 0, "", ""},
	} {
		late := failing(&gateway.Error{Kind: gateway.Timeout, Detail: "no reply", Timeout: &gateway.TimeoutDetail{Limit: c.limit, Most: c.most}})
		plain := serve(t, Config{Caller: late})
		withJobs, _ := serveJobsBeside(t, late)
		for g, want := range map[*testServer]string{plain: c.sync, withJobs: c.jobs} {
			p := g.post("/services/echo", "x").wantProblem(t, gateway.Timeout)
			if p["detail"] != "no reply"+want {
				t.Errorf("%v of %v: the detail is %q, want %q added", c.limit, c.most, p["detail"], want)
			}
		}
	}
}

func TestADurationIsBrief(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", 70 * time.Second: "1m10s",
		time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1.5s", 20 * time.Hour: "20h",
	} {
		if got := brief(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
