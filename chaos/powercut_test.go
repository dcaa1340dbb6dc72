package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mdpgateway/internal/jobs/natstest"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// A disk is an ext4 file system in a file, behind a loop device. What was written to it and not synced is in the
// kernel's memory alone, as with a real disk.
type disk struct {
	t          *testing.T
	image, dir string
}

func newDisk(t *testing.T, mebibytes int64) *disk {
	t.Helper()
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "disk"), dir: t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, mebibytes<<20); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput()
	if err == nil {
		out, err = d.mount()
	}
	if err != nil {
		t.Skipf("a file can't be mounted as a disk (root can, with mkfs.ext4 and loop devices): %v %s", err, out)
	}
	t.Cleanup(func() { _ = syscall.Unmount(d.dir, syscall.MNT_DETACH) })
	return d
}

// mount has the kernel write nothing by itself for a while.
func (d *disk) mount() ([]byte, error) {
	return exec.Command("mount", "-o", "loop,commit=300", d.image, d.dir).CombinedOutput()
}

// surviving returns what is on the disk itself, when nobody writes to it any more.
func (d *disk) surviving() []byte {
	d.t.Helper()
	read := func() []byte {
		all, err := os.ReadFile(d.image)
		if err != nil {
			d.t.Fatal(err)
		}
		return all
	}
	for before := read(); ; {
		after := read()
		if bytes.Equal(before, after) {
			return after
		}
		before = after
	}
}

// goBack makes the disk what it was.
func (d *disk) goBack(to []byte) {
	d.t.Helper()
	if err := syscall.Unmount(d.dir, 0); err != nil {
		d.t.Fatal(err)
	}
	d.image += "-"
	if err := os.WriteFile(d.image, to, 0o600); err != nil {
		d.t.Fatal(err)
	}
	if out, err := d.mount(); err != nil {
		d.t.Fatalf("the disk is broken: %v %s", err, out)
	}
}

// A promise is what callers were told: which jobs are accepted, and which replies they got.
type promise struct {
	mu       sync.Mutex
	accepted map[string]string // guarded by mu; value by id
	replied  map[string]string // guarded by mu; value by id
}

// call submits a job of a value, and with wait waits for its reply. It returns when ctx ends.
func (p *promise) call(ctx context.Context, client *http.Client, url, value string, wait bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/services/work?reply=raw", strings.NewReader(value))
	if err != nil {
		return
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("Prefer", "respond-async")
	if wait {
		r.Header.Set("Prefer", "respond-async, wait=30")
	}
	response, err := client.Do(r)
	if err != nil {
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case response.StatusCode == http.StatusAccepted: // its header has come, whatever became of the body
		p.accepted[strings.TrimPrefix(response.Header.Get("Location"), "/jobs/")] = value
	case err == nil && response.StatusCode == http.StatusOK && string(text) == value:
		id := strings.TrimPrefix(response.Header.Get("Content-Location"), "/jobs/")
		p.replied[strings.TrimSuffix(id, "/reply")] = value
	}
}

func (p *promise) count() (accepted, replied int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.accepted), len(p.replied)
}

// The power of a NATS server goes off under load: what it had not synced is gone. Every job that was accepted is there,
// and every reply that was given. Without sync_interval: always most are lost.
func TestJobsInNATSSurvivePowerCuts(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 96)
	servers := natstest.StartIn(t, []string{d.dir})
	broker := mdptest.Broker(t).Endpoints()[0]
	mdptest.WorkerWith(t, worker.Config{Endpoint: broker, Dialect: mdp.V02, Concurrency: 8, Services: map[string]worker.Handler{
		"work": func(_ context.Context, body [][]byte, _ func([][]byte) error) ([][]byte, error) { return body, nil },
	}})
	start := func() *gateway {
		return startGateway(t, "--broker", broker, "--dialect", "mdp/0.2", "--jobs", servers.URL(), "--jobs-replicas", "1")
	}
	g := start()
	g.works("work")
	p := &promise{accepted: map[string]string{}, replied: map[string]string{}}
	cuts := 0
	for end := time.Now().Add(*jobsFor); cuts == 0 || *jobsFor > time.Minute && cuts < 10 && time.Now().Before(end); cuts++ {
		ctx, cut := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		client := newClient(t, false)
		for i := range 8 {
			callers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					value := fmt.Sprintf("%d-%d-%d", cuts, i, n)
					if n%50 == 0 {
						value += strings.Repeat(" ", 100<<10) // in pieces
					}
					p.call(ctx, client, g.url, value, i%2 == 0)
				}
			})
		}
		accepted, replied := p.count()
		eventually(t, "jobs are accepted and done", func() bool {
			a, r := p.count()
			return a > accepted+50 && r > replied+50
		})
		servers.Nodes[0].Freeze() // it promises nothing more
		cut()
		callers.Wait()
		left := d.surviving()
		servers.Nodes[0].Kill()
		g.kill()
		d.goBack(left)
		servers.Nodes[0].Start()
		g = start()
		p.check(t, g.url)
	}
	accepted, replied := p.count()
	t.Logf("%d cuts, %d jobs were accepted and %d replies given", cuts, accepted, replied)
}

// check looks for all that was promised.
func (p *promise) check(t *testing.T, url string) {
	t.Helper()
	client, lost := newClient(t, false), 0
	get := func(path string) (status int, text []byte) {
		response, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err = io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, text
	}
	for id, value := range p.accepted {
		if status, text := get("/jobs/" + id); status != http.StatusOK {
			lost++
			t.Logf("the accepted job of %.20s: %d %s", value, status, text)
		}
	}
	for id, value := range p.replied {
		if status, text := get("/jobs/" + id + "/reply?reply=raw"); status != http.StatusOK || string(text) != value {
			lost++
			t.Logf("the reply to %.20s: %d %.200s", value, status, text)
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d accepted jobs and %d replies are lost", lost, len(p.accepted), len(p.replied))
	}
}
