//go:build gnuradio

package examples_test

import (
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startFMDemod starts the gateway and the worker whose flowgraph it is to reach.
func startFMDemod(t *testing.T) *gateway {
	t.Helper()
	g := start(t, "--config", "gnuradio/gateway.yaml")
	worker := exec.Command("/usr/bin/python3", "gnuradio/fm_demod.py", "--broker", g.broker)
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = worker.Process.Signal(os.Interrupt)
		if err := worker.Wait(); err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	})
	select {
	case service := <-g.up:
		if service != "fm_demod" {
			t.Fatalf("the service %q came up, want fm_demod", service)
		}
	case <-time.After(patience / 2):
		t.Fatal("fm_demod did not register")
	}
	return g
}

// tone runs the client with arguments.
func tone(t *testing.T, g *gateway, args string) (said string, err error) {
	t.Helper()
	return run(t, "/usr/bin/python3", append([]string{"gnuradio/tone.py", "--url", g.url}, strings.Fields(args)...)...)
}

func TestAFlowgraphDemodulatesWhatIsPosted(t *testing.T) {
	g := startFMDemod(t)
	for _, args := range []string{
		"--tone 1000",
		"--tone 440.3 --seconds 1",
		"--tone 3000 --samp-rate 1000000 --decim 20 --deviation 25000",
		"--tone 15000 --noise 0.3",
		"--tone 1000 --seconds 20", // 40 MB of samples
	} {
		said, err := tone(t, g, args)
		if err != nil || !strings.HasSuffix(said, "\nall as it should be\n") {
			t.Errorf("%s: it ended with %v, saying:\n%s", args, err, said)
		}
	}
}

func TestTheFlowgraphIsDrawn(t *testing.T) {
	g := startFMDemod(t)
	path := os.Getenv("PLOT") // to keep the picture
	if path == "" {
		path = filepath.Join(t.TempDir(), "tone.png")
	}
	if said, err := tone(t, g, "--plot "+path); err != nil {
		t.Fatalf("it ended with %v, saying:\n%s", err, said)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if picture, err := png.DecodeConfig(f); err != nil || picture.Width != 900 {
		t.Errorf("got a picture of %+v, %v, want 900 pixels across", picture, err)
	}
}

// TestAFlowgraphThatFailsHarmsNoOther posts what it cannot run, and then a tone.
func TestAFlowgraphThatFailsHarmsNoOther(t *testing.T) {
	g := startFMDemod(t)
	for name, tt := range map[string]struct{ body, vars, code string }{
		"bytes that are no whole samples":        {"1234567", "{}", `"reason":"flowgraph_failed"`},
		"a deviation that only the worker knows": {"12345678", `{"samp_rate":48000,"deviation":24001}`, `"reason":"flowgraph_failed"`},
		"a var that the schema refuses":          {"12345678", `{"decim":0}`, `"pointer":"#/vars/decim"`},
		"a var that nobody knows":                {"12345678", `{"gain":1}`, `"code":"invalid_vars"`},
	} {
		request, err := http.NewRequest(http.MethodPost, g.url+"/services/fm_demod", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Flowgraph-Vars", tt.vars)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || !strings.Contains(string(body), tt.code) {
			t.Errorf("%s: got %d %s, %v, want %s", name, answer.StatusCode, body, err, tt.code)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if said, err := tone(t, g, ""); err != nil {
		t.Errorf("the tone after them: %v\n%s", err, said)
	}
}

// TestTheClientHearsAWrongTone holds the checks of the client itself: with a
// service that demodulates nothing, noise that drowns the tone, a tone that the
// filter takes out, and calls that fail.
func TestTheClientHearsAWrongTone(t *testing.T) {
	g := startFMDemod(t)
	for args, want := range map[string]string{
		"--service echo":   "samples of 4 bytes",
		"--noise 3":        "want a tone of 1000.00 Hz",
		"--tone 24000":     "want a tone of 24000.00 Hz", // the filter ends at 20 kHz
		"--decim 101":      "invalid_vars",
		"--service nobody": "service_not_found",
	} {
		if said, err := tone(t, g, args); err == nil || !strings.Contains(said, want) {
			t.Errorf("%s: it ended with %v, want %q; it said:\n%s", args, err, want, said)
		}
	}
}
