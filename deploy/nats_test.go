package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// natsConf returns the configuration of the servers of jobs.
func natsConf(t *testing.T) string {
	t.Helper()
	data, _ := objects(t, "overlays/jobs")["ConfigMap mdp-nats"].at("data").(object)
	return fmt.Sprint(data["nats.conf"])
}

// The server itself reads its configuration. That it confirms a write only when it is on the disk, nobody else can see.
func TestNATSTakesItsConfiguration(t *testing.T) {
	binary, err := filepath.Abs("../bin/nats-server")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv("MDP_NATS_REQUIRED") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v: make nats-server builds it", err)
	}
	conf := natsConf(t)
	check := func(conf string) (string, error) {
		file := filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "-t", "-c", file)
		cmd.Env = []string{"POD_NAME=mdp-nats-0"}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := check(conf); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := check(strings.Replace(conf, "store_dir", "store_dri", 1)); err == nil {
		t.Errorf("an unknown key was taken\n%s", out)
	}
	if !strings.Contains(conf, "\n  sync_interval: always\n") {
		t.Errorf("there is no sync_interval: always in\n%s", conf)
	}
}

// The settings of gateway and servers fit together.
func TestTheGatewayOfTheJobsOverlayFindsItsServersAndTheirRoom(t *testing.T) {
	all := objects(t, "overlays/jobs")
	env := map[string]string{}
	list, _ := all["Deployment mdp-gateway"].at(container + "env").([]any)
	for _, e := range list {
		env[fmt.Sprint(e.(object)["name"])] = fmt.Sprint(e.(object)["value"])
	}
	cmd := exec.Command(gateway(t), "serve", "--check")
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	set := all["StatefulSet mdp-nats"]
	var want []string
	for i := range set.at("spec replicas").(int) {
		want = append(want, fmt.Sprintf("nats://%s-%d.%s:4222", set.text("metadata name"), i, set.text("spec serviceName")))
	}
	if env["GATEWAY_JOBS"] != strings.Join(want, ",") || env["GATEWAY_JOBS_REPLICAS"] != set.text("spec replicas") {
		t.Errorf("jobs is %s with %s replicas, want %s", env["GATEWAY_JOBS"], env["GATEWAY_JOBS_REPLICAS"], want)
	}
	for _, server := range want {
		if route := strings.Replace(server, ":4222", ":6222", 1); !strings.Contains(natsConf(t), `"`+route+`"`) {
			t.Errorf("nats.conf has no route %s", route)
		}
	}
	stream, disk := bytesOf(t, env["GATEWAY_JOBS_MAX_BYTES"]), bytesOf(t, set.text("spec volumeClaimTemplates 0 spec resources requests storage"))
	if store := bytesOf(t, "6GiB"); !strings.Contains(natsConf(t), "max_file_store: 6GB") || stream >= store || store >= disk {
		t.Errorf("the stream has %d bytes, JetStream %d, the disk %d: want each to have more", stream, store, disk)
	}
}
