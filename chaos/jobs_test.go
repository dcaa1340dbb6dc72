package chaos

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// jobsFor is how long the gateway is killed while it has jobs.
var jobsFor = flag.Duration("jobs", 5*time.Second, "how long TestJobsSurviveKills kills the gateway")

// A jobLedger accounts for every job that was asked for.
type jobLedger struct {
	mu       sync.Mutex
	accepted map[string]string // id to value; the gateway said 202
	refused  []string          // values; the gateway said that nothing was accepted
	unknown  int               // submissions without an answer
	long     bool              // one job in twenty takes so long that another gateway may adopt it
}

// A jobView is what the test reads of a job.
type jobView struct {
	ID, State, Executed string
}

// jobCaller submits jobs to whichever gateway runs.
type jobCaller struct {
	url    *atomic.Value // string
	client *http.Client
}

func (c *jobCaller) do(method, path string, body io.Reader) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.url.Load().(string)+path, body)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("Prefer", "respond-async")
	response, err := c.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// submit makes a job of a value. Now and then it is large, so that its request and reply are written in pieces, or
// it is canceled at once.
func (c *jobCaller) submit(t *testing.T, l *jobLedger, random *rand.Rand, value string) {
	body := value
	if random.IntN(40) == 0 {
		body += strings.Repeat(" ", 1_200_000)
	}
	service := []string{"fast", "slow"}[random.IntN(2)]
	if l.long && random.IntN(20) == 0 {
		service = "long"
	}
	status, text, err := c.do(http.MethodPost, "/services/"+service, strings.NewReader(body))
	var job jobView
	if err == nil {
		err = json.Unmarshal(text, &job)
	}
	l.mu.Lock()
	switch {
	case err != nil, status == http.StatusGatewayTimeout: // which says that it may have been accepted
		l.unknown++
	case status == http.StatusAccepted:
		l.accepted[job.ID] = value
	default:
		l.refused = append(l.refused, value)
		t.Logf("%s was refused: %d %.300s", value, status, text)
	}
	l.mu.Unlock()
	if err == nil && status == http.StatusAccepted && random.IntN(6) == 0 {
		_, _, _ = c.do(http.MethodPost, "/jobs/"+job.ID+"/cancel", nil)
	}
}

// The gateway is killed again and again, at any point of a job's way: before and after its claim, its send, its reply,
// and between the pieces of a large one. Nothing is lost and nothing is sent twice, as the workers' notes show.
func TestJobsSurviveKills(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	broker := startBroker(t, "")
	ledgers, dir := t.TempDir(), t.TempDir()
	startWorker(t, broker.endpoint, ledgers)
	startWorker(t, broker.endpoint, ledgers)
	startJobs := func() *gateway {
		return startGateway(t, "--broker", broker.endpoint, "--dialect", "mdp/0.2", "--jobs", dir, "--jobs-max", "100000")
	}
	g := startJobs()
	g.works("fast")
	g.works("slow")
	var url atomic.Value
	url.Store(g.url)
	caller := &jobCaller{&url, newClient(t, false)}
	l := &jobLedger{accepted: map[string]string{}}
	end := time.Now().Add(*jobsFor)
	var submitters sync.WaitGroup
	for i := range 6 {
		random := rand.New(rand.NewPCG(seed, uint64(i+1)))
		submitters.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				caller.submit(t, l, random, fmt.Sprintf("%d-%d", i, n))
				time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
			}
		})
	}
	kills := 0
	for time.Now().Before(end) {
		time.Sleep(time.Duration(50+random.IntN(500)) * time.Millisecond)
		g.kill()
		kills++
		g = startJobs()
		url.Store(g.url)
	}
	submitters.Wait()
	states := l.check(t, caller, func() map[string]int { return executed(t, ledgers) })
	t.Logf("%d kills; %d accepted = %v; %d refused, %d without an answer", kills, len(l.accepted), states, len(l.refused), l.unknown)
	if kills < 3 || states["done"] == 0 {
		t.Errorf("%d kills and %d jobs that were done prove nothing", kills, states["done"])
	}
}

// check waits for every accepted job and compares what became of it with what the workers ran.
func (l *jobLedger) check(t *testing.T, c *jobCaller, notes func() map[string]int) (states map[string]int) {
	t.Helper()
	states = map[string]int{}
	jobs := map[string]jobView{}
	for id, value := range l.accepted {
		var job jobView
		eventually(t, "job "+id+" is over", func() bool {
			status, text, err := c.do(http.MethodGet, "/jobs/"+id+"?wait=20s", nil)
			if status == http.StatusServiceUnavailable { // its servers have just started
				return false
			}
			if err != nil || status != http.StatusOK || json.Unmarshal(text, &job) != nil {
				t.Fatalf("an accepted job is lost: %d %s, %v", status, text, err)
			}
			return job.State != "queued" && job.State != "running"
		})
		jobs[value] = job
		states[job.State]++
		if job.State == "done" {
			if _, text, err := c.do(http.MethodGet, "/jobs/"+id+"/reply?reply=raw", nil); err != nil || strings.TrimRight(string(text), " ") != value {
				t.Errorf("the reply of %s is %.80q, %v", value, text, err)
			}
		}
	}
	ran := map[string]int{}
	for line, n := range notes() {
		ran[strings.TrimRight(line, " ")] += n
	}
	for value, n := range ran {
		if n > 1 && value != "1ms" { // which works asks for
			t.Errorf("%s ran %d times", value, n)
		}
	}
	for value, job := range jobs {
		if n := ran[value]; job.Executed == "no" && n != 0 || job.State == "done" && n != 1 {
			t.Errorf("%s is %s, executed %s, and ran %d times", value, job.State, job.Executed, n)
		}
	}
	if i := slices.IndexFunc(l.refused, func(value string) bool { return ran[value] > 0 }); i >= 0 {
		t.Errorf("%s was refused, and ran", l.refused[i])
	}
	return states
}
