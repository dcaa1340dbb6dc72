package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"mdpgateway/internal/budget"
	"mdpgateway/internal/gateway"
)

// failed is a Caller whose workers reply that they failed, after a part if that
// is asked for.
func failed(_ context.Context, call gateway.Call) (gateway.Reply, error) {
	if call.Partial != nil {
		if err := call.Partial([][]byte{[]byte("one")}); err != nil {
			return gateway.Reply{}, err
		}
	}
	return gateway.Reply{}, &gateway.Error{Kind: gateway.WorkerError, Reason: "mine", Detail: "it failed", Frames: frames(3, 100_000)}
}

func twoFrames(context.Context, gateway.Call) (gateway.Reply, error) {
	return gateway.Reply{Frames: frames(2, 150_000)}, nil
}

// carriers are the ways in which the frames of a reply get into a problem.
var carriers = map[string]struct {
	caller caller
	accept string
	begins string // a part of the answer that precedes the problem
	frames int
	code   gateway.Kind
}{
	"worker_error":   {failed, "*/*", "", 3, gateway.WorkerError},
	"not_acceptable": {twoFrames, "text/plain", "", 2, gateway.NotAcceptable},
	"last event":     {failed, "application/x-ndjson", `{"event":"partial","seq":0,"frames":[{"data":"one","encoding":"text"}]}` + "\n", 3, gateway.WorkerError},
}

// A carried is a problem, or the event of one, as far as the tests read it.
type carried struct {
	Code     gateway.Kind
	Status   int
	Detail   string
	Executed gateway.Executed
	Frames   []struct{ Data string }
	Problem  *carried
}

// readCarried reads what is left of the answer to a call.
func readCarried(t *testing.T, r io.Reader) carried {
	t.Helper()
	text, err := io.ReadAll(r)
	var p carried
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		t.Fatalf("the rest of the answer is %.300q: %v", text, err)
	}
	if p.Problem != nil {
		p = *p.Problem
	}
	return p
}

func TestTheFramesOfAProblemAreHeldUntilTheyAreWritten(t *testing.T) {
	for name, c := range carriers {
		t.Run(name, func(t *testing.T) {
			b := budget.New(1 << 20)
			onVirtualTime(t, Config{Caller: c.caller, Budget: b}, func(t *testing.T, g *testServer, raw *rawConn) {
				raw.send(head + "Accept: " + c.accept + "\r\nContent-Length: 1\r\n\r\nx")
				resp, err := http.ReadResponse(raw.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body := bufio.NewReader(resp.Body)
				before := make([]byte, len(c.begins))
				if _, err := io.ReadFull(body, before); err != nil || string(before) != c.begins {
					t.Fatalf("the answer begins with %q (%v), want %q", before, err, c.begins)
				}
				synctest.Wait()
				if b.Bytes() != 300_000 {
					t.Errorf("%d bytes are held while nobody reads, want 300000", b.Bytes())
				}
				p := readCarried(t, body)
				if p.Code != c.code || p.Executed != gateway.Yes || len(p.Frames) != c.frames || len(p.Frames[1].Data) != 300_000/c.frames {
					t.Errorf("the problem is %s, executed %s, with %d frames", p.Code, p.Executed, len(p.Frames))
				}
				g.stop()
				if b.Bytes() != 0 {
					t.Errorf("%d bytes are held after the end", b.Bytes())
				}
			})
		})
	}
}

func TestFramesThatDoNotFitInMemoryAreLeftOutOfTheProblem(t *testing.T) {
	for name, c := range carriers {
		if c.code == gateway.NotAcceptable {
			continue // a reply that does not fit is refused before
		}
		t.Run(name, func(t *testing.T) {
			b := budget.New(299_999)
			onVirtualTime(t, Config{Caller: c.caller, Budget: b}, func(t *testing.T, g *testServer, _ *rawConn) {
				a := g.post("/services/echo", "x", "Accept: "+c.accept)
				p := readCarried(t, strings.NewReader(strings.TrimPrefix(string(a.body), c.begins)))
				if p.Frames != nil || p.Detail != "it failed; its frames are left out: "+gateway.NoMemory || p.Code != c.code || p.Status != 502 || p.Executed != gateway.Yes {
					t.Errorf("the problem is %.300v, want worker_error without frames, and that it says so", p)
				}
				g.stop()
				if b.Bytes() != 0 {
					t.Errorf("%d bytes are held after the end", b.Bytes())
				}
			})
		})
	}
}
