package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp/mdptest"
)

// ran runs a command that is a caller of a gateway.
func ran(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, nil, &out, &errs)
	return code, out.String(), errs.String()
}

func TestTheServicesOfARunningGatewayAreListedAndLoaded(t *testing.T) {
	secret, entry := newKey(t, "web")
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, "--keys-file", write(t, t.TempDir(), "keys.yaml", entry))
	eventually(t, "the demo worker is there", func() bool {
		return g.post("echo", `{}`, "Authorization", "Bearer "+secret).status == http.StatusOK
	})

	code, stdout, stderr := ran(t, "services", "--url", g.url+"/", "--as", key)
	if code != exitOK || !regexp.MustCompile(`(?m)^SERVICE +STATE +WORKERS.*\n(.*\n)*echo +up +4 +0 +0 +0 +[1-9]\d* +0 `).MatchString(stdout) {
		t.Errorf("services: exit code %d, %s\n%s", code, stderr, stdout)
	}
	if code, _, stderr := ran(t, "services", "--url", g.url); code != exitFailed || !strings.Contains(stderr, "401 Unauthorized unauthorized") {
		t.Errorf("services without a key: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := ran(t, "top", "--url", g.url); code != exitUsage || !strings.Contains(stderr, "top needs a terminal") {
		t.Errorf("top without a terminal: exit code %d, %s", code, stderr)
	}

	answered := regexp.MustCompile(`^answered  [1-9]\d* in .*, [\d.]+/s; bodies .*/s, replies .*/s\ntook      min \S+  p50 \S+  p90 \S+  p95 \S+  p99 \S+  p99.9 \S+  max \S+\n$`)
	code, stdout, stderr = ran(t, "bench", "echo", "--url", g.url, "--as", key, "--for", "100ms", "--size", "1KiB")
	if code != exitOK || !answered.MatchString(stdout) {
		t.Errorf("bench: exit code %d, %s\n%s", code, stderr, stdout)
	}
	code, stdout, stderr = ran(t, "bench", "nobody", "--url", g.url, "--as", key, "--for", "1ms", "-c", "1")
	if code != exitFailed || !strings.Contains(stdout, "failed    ") || !strings.Contains(stdout, "404 service_not_found") || stderr != "gateway: no call was answered\n" {
		t.Errorf("bench of no service: exit code %d, %s\n%s", code, stderr, stdout)
	}

	broker := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, broker, "echo", echoBack)
	for _, dialect := range []string{"mdp/0.1", "mdpx/1"} {
		code, stdout, stderr = ran(t, "bench", "echo", "--broker", broker, "--dialect", dialect, "--for", "100ms", "--body", "hello", "-c", "2")
		if code != exitOK || !answered.MatchString(stdout) {
			t.Errorf("bench straight to a broker of %s: exit code %d, %s\n%s", dialect, code, stderr, stdout)
		}
	}
}

func TestAGatewayThatIsNotThereIsSaid(t *testing.T) {
	gone := mdptest.NewRouter(t, nil)
	gone.Close()
	url := strings.Replace(gone.Endpoint(), "tcp:", "http:", 1)
	if code, _, stderr := ran(t, "services", "--url", url); code != exitFailed || !strings.Contains(stderr, "is the gateway at "+url+"?") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	code, stdout, _ := ran(t, "bench", "echo", "--url", url, "--for", "1ms", "-c", "1")
	if code != exitFailed || !strings.Contains(stdout, "no answer: connection refused") {
		t.Errorf("bench: exit code %d, %s", code, stdout)
	}
}

func TestTopShowsTheBusiestFirstAndFitsTheScreen(t *testing.T) {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	second := int64(1000)
	seen := func(infos ...gateway.ServiceInfo) (all []seenService) {
		for _, info := range infos {
			all = append(all, seenService{Service: info})
		}
		return all
	}
	last := look{at: at, services: seen(gateway.ServiceInfo{Name: "idle", Calls: 9}, gateway.ServiceInfo{Name: "busy", Calls: 10}, gateway.ServiceInfo{Name: "restarted", Calls: 50})}
	now := look{at: at.Add(2 * time.Second), services: seen(
		gateway.ServiceInfo{Name: "idle", Calls: 9, Availability: gateway.ServiceDown},
		gateway.ServiceInfo{Name: "deaf", Availability: gateway.ServiceUp, Silent: true},
		gateway.ServiceInfo{Name: "restarted", Calls: 1, InFlight: 1, Availability: gateway.ServiceUnknown},
		gateway.ServiceInfo{Name: "busy", Calls: 30, Failed: 1, InFlight: 3, Availability: gateway.ServiceUp, LastOK: &second, Live: &gateway.LiveService{Workers: 4, Busy: 3, Queued: 7}},
	)}
	p50, p99 := 1.234, 15_678.9
	now.services[3].Recent.P50, now.services[3].Recent.P99 = &p50, &p99
	got := strings.Join(topLines("http://x", &last, &now, 120, 24, false), "\n")
	want := `12:00:02  http://x  4 services  10.0 calls/s  0.5 failed/s  4 in flight
ready

SERVICE                   STATE     CALLS/S  FAILED/S       P50       P99  FLIGHT  QUEUE  BUSY/WORKERS  LAST REPLY
busy                      up           10.0       0.5     1.2ms    15.68s       3      7           3/4  1s ago
restarted                 unknown       0.0       0.0         -         -       1      -           -/-  never
deaf                      silent        0.0       0.0         -         -       0      -           -/-  never
idle                      down          0.0       0.0         -         -       0      -           -/-  never`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	now.trouble = "degraded: hall1"
	lines := topLines("http://x", &last, &now, 60, 5, false)
	if len(lines) != 5 || lines[1] != "degraded: hall1" {
		t.Errorf("on 5 lines: %q", lines)
	}
	for _, line := range lines {
		if len([]rune(line)) > 60 {
			t.Errorf("a line of %d characters, want at most 60: %s", len([]rune(line)), line)
		}
	}
}

func TestPercentilesAreThoseOfTheCalls(t *testing.T) {
	m := &measured{failed: map[string]int{}}
	for i := range 1000 {
		m.took = append(m.took, time.Duration(i+1)*time.Millisecond)
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 501, 0.99: 991, 0.999: 1000, 1: 1000} {
		if got := m.percentile(share); got != want*time.Millisecond {
			t.Errorf("p%v is %v, want %v", 100*share, got, want*time.Millisecond)
		}
	}
}
