package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestComposeTakesItsFile loads it with compose's own library, and two mistakes.
func TestComposeTakesItsFile(t *testing.T) {
	load := func(text string) (string, error) {
		path := filepath.Join(t.TempDir(), "compose.yaml")
		write(t, path, []byte(text))
		out, err := exec.Command(tool(t, "composecheck"), path).CombinedOutput()
		return string(out), err
	}
	file := read(t, "compose.yaml")
	if out, err := load(file); err != nil || out != "broker\ngateway\ngrafana\nprometheus\nworker\n" {
		t.Errorf("got %v %s", err, out)
	}
	for _, mistake := range []struct{ right, wrong, want string }{
		{"stop_grace_period:", "stop_grace:", "services.gateway.stop_grace"},
		{"depends_on: [broker]", "depends_on: [brocker]", `undefined service "brocker"`},
	} {
		if out, err := load(strings.Replace(file, mistake.right, mistake.wrong, 1)); err == nil || !strings.Contains(out, mistake.want) {
			t.Errorf("with %s: got %v %s, want it refused for %s", mistake.wrong, err, out, mistake.want)
		}
	}
}

// TestComposeRunsWhatThereIs checks what compose itself would not: that the files
// it mounts are there and that the gateway takes the flags it is given.
func TestComposeRunsWhatThereIs(t *testing.T) {
	compose := parse[struct {
		Services map[string]struct {
			Command []string
			Volumes []string
			Ports   []string
			Build   struct{ Context, Dockerfile string }
		}
		Volumes map[string]any
	}](t, read(t, "compose.yaml"))
	for name, s := range compose.Services {
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s, want loopback only", name, p)
			}
		}
		for _, v := range s.Volumes {
			from, to, _ := strings.Cut(v, ":")
			if _, named := compose.Volumes[from]; named {
				image := read(t, "Dockerfile")
				for _, line := range []string{
					"install -d -m 0700 /out/state/" + filepath.Base(to) + "\n", "--chown=65532:65532 /out/state/ " + filepath.Dir(to) + "/\n", "\nUSER 65532:65532\n",
				} {
					if !strings.Contains(image, line) {
						t.Errorf("%s: the image has no directory %s that its user may write: its Dockerfile has no %q", name, to, line)
					}
				}
				continue
			}
			if _, err := os.Stat(from); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	g := compose.Services["gateway"]
	if _, err := os.Stat(filepath.Join(g.Build.Context, g.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
	// Without keys, a page whose name resolves to loopback must not be answered.
	if got := settings(t, g.Command)["allowed-hosts"]; fmt.Sprint(got) != "[localhost 127.0.0.1 gateway]" {
		t.Errorf("the gateway answers to the hosts %v", got)
	}
	for _, name := range []string{"gateway", "broker", "worker", "prometheus", "grafana"} {
		if _, ok := compose.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
}

// settings returns what the gateway's --check makes of a command line.
func settings(t *testing.T, command []string) map[string]any {
	t.Helper()
	out, err := exec.Command(gateway(t), append(slices.Clone(command), "--check")...).CombinedOutput()
	if err != nil {
		t.Fatalf("gateway %v: %v\n%s", command, err, out)
	}
	return parse[map[string]any](t, string(out))
}
