package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

// peak returns the most memory that a process ever held, in bytes.
func (p *process) peak() int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kib << 10
		}
	}
	p.t.Fatal("no VmHWM")
	return 0
}

// A hundred and twenty-eight calls at once ask for replies of 4 MiB, sixteen times what may
// be held. Since one reply of the service is known, as many calls are sent as there is room
// for; the others are refused before, and the process stays as small as
// docs/operations.md says.
func TestRepliesThatArriveTogetherStayWithinTheBudget(t *testing.T) {
	const callers, size, budget, goLimit = 128, 4 << 20, 32 << 20, 96 << 20
	broker := generous(t, size)
	link := mdptest.NewProxy(t, broker.Endpoint())
	link.Throttle(2 << 20)
	g := attach(t, spawn(t, "gateway", []string{fmt.Sprint("GOMEMLIMIT=", goLimit)}, binary, "serve", "--listen", "127.0.0.1:0", "--broker", link.Endpoint(),
		"--max-buffered", "32MiB", "--max-body", "16MiB", "--max-reply", "16MiB", "--pool-max", fmt.Sprint(callers), "--pool-reserve", "0",
		"--vars", "none", "--timeout", "60s", "--connect-timeout", "60s", "--queue-timeout", "60s"))
	eventually(t, "calls are answered", func() bool { return g.must("echo", "small").status == http.StatusOK })
	if got := download(t, g, size); got != "ok" {
		t.Fatalf("the first call alone: %s", got)
	}
	before, answered := g.peak(), 0
	for range 2 {
		codes := atOnce(callers, func() string { return download(t, g, size) })
		t.Logf("%v; at most %d MiB, %d before; now %v", codes, g.peak()>>20, before>>20, g.usage())
		if answered += codes["ok"]; codes["ok"]+codes["busy memory"] != callers {
			t.Errorf("got %v, want all answered, or refused before they were sent", codes)
		}
	}
	if answered == 0 || answered == 2*callers {
		t.Errorf("%d of %d were answered, want some, and no room for the others", answered, 2*callers)
	}
	// Beside Go's part, what is held, once more for what is free between it on
	// libzmq's heap, and the connections.
	if most := int64(goLimit + 2*budget + callers*128<<10 + 64<<20); g.peak() > most {
		t.Errorf("held %d MiB, want at most %d", g.peak()>>20, most>>20)
	}
	g.atRest()
	if a := g.must("echo", "small"); a.status != http.StatusOK {
		t.Errorf("afterwards: got %v", a)
	}
}

// generous starts a broker that answers an empty request with a large reply, and
// any other with itself.
func generous(t *testing.T, size int) *mdptest.Router {
	large := bytes.Repeat([]byte("x"), size)
	return mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		switch {
		case string(m[2]) == mdp.MMIService:
			return [][][]byte{{nil, m[1], m[2], []byte(mdp.StatusFound)}}
		case len(m[3]) == 0:
			return [][][]byte{{nil, m[1], m[2], large}}
		}
		return [][][]byte{m}
	})
}

// atOnce does something so many times at once, and counts what came of it.
func atOnce(n int, do func() string) map[string]int {
	outcomes := make(chan string, n)
	for range n {
		go func() { outcomes <- do() }()
	}
	count := map[string]int{}
	for range n {
		count[<-outcomes]++
	}
	return count
}

// download calls a service whose replies are large, and says what came of it.
func download(t *testing.T, g *gateway, size int) string {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, g.url+"/services/large?raw=true", nil)
	if err != nil {
		t.Error(err)
		return "no request"
	}
	response, err := g.client.Do(r)
	if err != nil {
		t.Error(err)
		return "no answer"
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		if n, err := io.Copy(io.Discard, response.Body); err != nil || n != int64(size) {
			t.Errorf("%d bytes, %v, want %d", n, err, size)
		}
		return "ok"
	}
	page, _ := io.ReadAll(response.Body)
	var problem struct{ Code, Reason string }
	_ = json.Unmarshal(page, &problem) // what is none shows as no code
	return problem.Code + " " + problem.Reason
}
