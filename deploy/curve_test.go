package deploy_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stand-ins for what is not here: a cluster, whose Secrets are directories, docker and another user.
const standIns = `set -eu
gateway() { "$GATEWAY_BINARY" "$@"; }
sudo() { :; }
docker() { :; }
kubectl() {
	[ "${3-} ${4-} ${5-}" = "create secret generic" ] || return 0
	mkdir "$SECRETS/$6"
	for arg; do case $arg in --from-file=*) cp "${arg#--from-file=}" "$SECRETS/$6";; esac; done
}
`

// makeKeys runs the commands that the comment of a file tells its reader to, and returns the directory in which they were
// run. Its folder secrets has the Secrets.
func makeKeys(t *testing.T, file string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, folder := range []string{"secrets", "deploy"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script := standIns
	for line := range strings.Lines(read(t, file)) {
		if command, ok := strings.CutPrefix(line, "#   "); ok {
			script += command
		}
	}
	bash := exec.Command("bash", "-c", script)
	bash.Dir, bash.Env = dir, append(os.Environ(), "GATEWAY_BINARY="+gateway(t), "SECRETS="+filepath.Join(dir, "secrets"))
	if out, err := bash.CombinedOutput(); err != nil {
		t.Fatalf("the commands of %s: %v\n%s", file, err, out)
	}
	return dir
}

// An encrypted is a set-up with CURVE.
type encrypted struct {
	broker, worker []string // arguments
	config         string   // of the gateway
	endpoint       string   // of the broker, in both
}

// works starts the three, and fails unless a call is answered, and one without a key is not. in returns the text of a
// process with the paths that it has here.
func (e encrypted) works(t *testing.T, in func(process, text string) string) {
	t.Helper()
	run := func(process string, args []string, endpoint string) *process {
		t.Helper()
		args = slices.Clone(args)
		for i := range args {
			args[i] = strings.NewReplacer("tcp://0.0.0.0:5555", "tcp://127.0.0.1:*", e.endpoint, endpoint).Replace(in(process, args[i]))
		}
		return start(t, args...)
	}
	endpoint := run("broker", e.broker, "").logged(t, "endpoint", "broker listens")
	run("worker", e.worker, endpoint)
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, config, []byte(in("gateway", strings.ReplaceAll(e.config, e.endpoint, endpoint))))
	url := start(t, "serve", "--config", config, "--access", "open", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--allowed-hosts", "*").api(t)
	eventually(t, "a call is answered", func() bool {
		status, _ := post(t, url+"/services/echo", "", `{"body":"hi"}`)
		return status == http.StatusOK
	})
	out, err := exec.Command(gateway(t), "call", "echo", "--broker", endpoint, "--timeout", "10s").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "broker_unavailable") {
		t.Errorf("a call without a key: %v %s, want it refused", err, out)
	}
}

// Each pod of the overlay has the Secret with its own keys, and they fit.
func TestTheOverlayWithCURVEWorksWithTheKeysThatItTellsToMake(t *testing.T) {
	all := objects(t, "overlays/curve")
	secrets := filepath.Join(makeKeys(t, "kubernetes/overlays/curve/kustomization.yaml"), "secrets")
	args := func(name string) (args []string) {
		list, _ := all["Deployment mdp-"+name].at(container + "args").([]any)
		for _, a := range list {
			args = append(args, fmt.Sprint(a))
		}
		return args
	}
	for _, name := range []string{"broker", "gateway", "worker"} {
		d := all["Deployment mdp-"+name]
		if group := d.text(pod + "securityContext fsGroup"); group != "65532" {
			t.Errorf("the group of %s is %s: it cannot read its keys", name, group)
		}
		volumes := fmt.Sprint(d.at(pod + "volumes"))
		if !strings.Contains(volumes, "defaultMode:288 secretName:mdp-curve-"+name) || strings.Count(volumes, "mdp-curve-") != 1 {
			t.Errorf("the volumes of %s are %s, want its own Secret alone, of mode 0440", name, volumes)
		}
	}
	config := all["ConfigMap mdp-gateway"].at("data").(object)["gateway.yaml"].(string)
	plain := objects(t, "overlays/demo")["ConfigMap mdp-gateway"].at("data").(object)["gateway.yaml"].(string)
	before, rest, _ := strings.Cut(config, "brokers:\n")
	_, after, _ := strings.Cut(rest, "gateway.key_secret}\n")
	if got := before + "broker: tcp://mdp-broker:5555\n" + after; got != plain {
		t.Errorf("beside the broker the settings are %s, want those of the demo %s", got, plain)
	}
	encrypted{args("broker"), args("worker"), config, "tcp://mdp-broker:5555"}.works(t, func(process, text string) string {
		return strings.ReplaceAll(text, "/etc/mdp-gateway-curve", filepath.Join(secrets, "mdp-curve-"+process))
	})
}

// Each container has its own keys, and they fit.
func TestComposeWithCURVEWorksWithTheKeysThatItTellsToMake(t *testing.T) {
	out, err := exec.Command(tool(t, "composecheck"), "compose.yaml", "compose.curve.yaml").CombinedOutput()
	if err != nil || string(out) != "broker\ngateway\ngrafana\nprometheus\nworker\n" {
		t.Errorf("got %v %s", err, out)
	}
	type file struct {
		Services map[string]struct{ Command, Secrets []string }
		Configs  map[string]struct{ Content string }
		Secrets  map[string]struct{ File string }
	}
	f, plain := parse[file](t, read(t, "compose.curve.yaml")), parse[file](t, read(t, "compose.yaml"))
	keys := filepath.Join(makeKeys(t, "compose.curve.yaml"), "deploy")
	without := strings.Replace(fmt.Sprint(f.Services["gateway"].Command), "--config /etc/gateway.yaml ", "", 1)
	if want := strings.Replace(fmt.Sprint(plain.Services["gateway"].Command), "--broker tcp://broker:5555 ", "", 1); without != want {
		t.Errorf("the gateway is run with %s, want what compose.yaml has: %s", without, want)
	}
	e := encrypted{f.Services["broker"].Command, f.Services["worker"].Command, f.Configs["gateway.yaml"].Content, "tcp://broker:5555"}
	e.works(t, func(process, text string) string {
		var pairs []string // of a name that begins as another does, the longer one comes first
		for _, name := range slices.Backward(slices.Sorted(slices.Values(f.Services[process].Secrets))) {
			pairs = append(pairs, "/run/secrets/"+name, filepath.Join(keys, f.Secrets[name].File))
		}
		return strings.NewReplacer(pairs...).Replace(text)
	})
}
