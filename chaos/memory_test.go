package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
)

// peak returns the most memory that a process ever held, in bytes.
func (p *process) peak() int64 {
	p.t.Helper()
	bytes := p.memory("VmHWM")
	if bytes == 0 {
		p.t.Fatal("the process has ended")
	}
	return bytes
}

// resident returns the memory that a process holds now, in bytes; 0 if it has ended.
func (p *process) resident() int64 { return p.memory("VmRSS") }

func (p *process) memory(name string) (bytes int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, name+": %d kB", &bytes); err == nil {
			return bytes << 10
		}
	}
	return 0
}

// After a burst of large bodies and replies the gateway and the broker become small again, though nobody calls them any
// more.
func TestMemoryOfABurstIsGivenBack(t *testing.T) {
	t.Parallel()
	const callers, size, atMost = 6, 32 << 20, 96 << 20
	b := startBroker(t, "")
	startDemo(t, b.endpoint)
	g := startGateway(t, "--broker", b.endpoint, "--dialect", "mdp/0.2", "--max-buffered", "2GiB", "--vars", "none", "--timeout", "5m")
	g.works("echo")
	before := g.resident()
	codes := atOnce(callers, func() string { return upload(t, g, size) })
	end := time.Now()
	if codes["ok"] != callers || g.peak() < 3*atMost || b.peak() < atMost {
		t.Fatalf("%v; at most %d MiB, the broker %d", codes, g.peak()>>20, b.peak()>>20)
	}
	eventually(t, "the gateway is small again", func() bool { return g.resident() <= atMost })
	t.Logf("%d MiB before, at most %d, %d after %v", before>>20, g.peak()>>20, g.resident()>>20, time.Since(end).Round(time.Second))
	eventually(t, "the broker is small again", func() bool { return b.resident() <= atMost/2 })
	t.Logf("the broker: at most %d MiB, then %d", b.peak()>>20, b.resident()>>20)
}

// upload calls a service that answers with what it got, so many bytes. They are made and compared in small pieces: to the
// race detector a single large one takes long, and nothing else of the process runs meanwhile.
func upload(t *testing.T, g *gateway, size int64) string {
	bytesOf := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{}), size) }
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, g.url+"/services/echo?raw=true", bytesOf())
	if err != nil {
		return err.Error()
	}
	r.ContentLength = size
	r.Header.Set("Content-Type", "application/octet-stream")
	response, err := g.client.Do(r)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		problem, _ := io.ReadAll(response.Body)
		return string(problem)
	}
	if err := sameBytes(response.Body, bytesOf()); err != nil {
		return err.Error()
	}
	return "ok"
}

// sameBytes reads both to the end, which for got must be that of want.
func sameBytes(got, want io.Reader) error {
	var a, b [32 << 10]byte
	for at := 0; ; {
		n, end := io.ReadFull(want, b[:])
		m, err := io.ReadFull(got, a[:])
		if m != n || !bytes.Equal(a[:m], b[:n]) {
			return fmt.Errorf("%d bytes after %d (%v), want %d others", m, at, err, n)
		}
		if at += n; end != nil {
			return nil
		}
	}
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
