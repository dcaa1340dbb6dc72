package deploy_test

import (
	"os/exec"
	"strings"
	"testing"

	"mdpgateway/internal/testport"
)

// TestTheDemoWorksAlone runs what the pods of the demo run, with the arguments and
// the configuration that Kustomize gives them, on this machine in place of a cluster.
func TestTheDemoWorksAlone(t *testing.T) {
	all := objects(t, "overlays/demo")
	address := testport.Address(t)
	here := strings.NewReplacer("tcp://mdp-broker:5555", "tcp://"+address, "tcp://0.0.0.0:5555", "tcp://"+address,
		`":8080"`, "127.0.0.1:0", `":8081"`, "127.0.0.1:0")
	for _, name := range []string{"mdp-broker", "mdp-worker"} {
		args, _ := all["Deployment "+name].at(container + "args").([]any)
		var given []string
		for _, a := range args {
			given = append(given, here.Replace(a.(string)))
		}
		if len(given) == 0 || !strings.Contains(strings.Join(given, " "), address) {
			t.Fatalf("%s has the arguments %v, want the broker's endpoint in them", name, args)
		}
		launch(t, exec.Command(gateway(t), given...))
	}
	data, _ := all["ConfigMap mdp-gateway"].at("data").(object)
	config := t.TempDir() + "/gateway.yaml"
	write(t, config, []byte(here.Replace(data["gateway.yaml"].(string))))
	answers(t, start(t, "serve", "--config", config).api(t)+"/services/echo")
}
