package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestComposeRunsWhatThereIs checks what compose itself would not: that the files
// it mounts are there and that the gateway takes the flags it is given.
func TestComposeRunsWhatThereIs(t *testing.T) {
	compose := parse[struct {
		Services map[string]struct {
			Command []string
			Volumes []string
			Build   struct{ Context, Dockerfile string }
		}
	}](t, read(t, "compose.yaml"))
	for name, s := range compose.Services {
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, err := os.Stat(from); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	g := compose.Services["gateway"]
	if _, err := os.Stat(filepath.Join(g.Build.Context, g.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
	if out, err := exec.Command(gateway(t), append(slices.Clone(g.Command), "--check")...).CombinedOutput(); err != nil {
		t.Errorf("gateway %v: %v\n%s", g.Command, err, out)
	}
	for _, name := range []string{"gateway", "broker", "worker", "prometheus", "grafana"} {
		if _, ok := compose.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
}
