package deploy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mdpgateway/internal/certs/certstest"
)

// secureGet asks over TLS by an authority, for the gateway's name in the cluster, and returns the status.
func secureGet(t *testing.T, authority *certstest.Authority, name, url string) int {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), ServerName: name}, DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport, Timeout: patience}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// startTLS starts a gateway on free ports, in an environment alone, and returns its address.
func startTLS(t *testing.T, env []string, args ...string) (address string) {
	t.Helper()
	cmd := exec.Command(gateway(t), append(args, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")...)
	cmd.Env = env
	return launch(t, cmd).logged(t, "address", `"listening"`, `"api"`, `"tls":true`)
}

// The overlay's certificate is where its gateway looks for it, and is for the name that is asked for.
func TestTheOverlayWithTLSMountsWhatTheGatewayReads(t *testing.T) {
	all := objects(t, "overlays/tls")
	deployment, certificate := all["Deployment mdp-gateway"], all["Certificate mdp-gateway"]
	mounts, _ := deployment.at(container + "volumeMounts").([]any)
	volumes, _ := deployment.at(pod + "volumes").([]any)
	at := slices.IndexFunc(volumes, func(v any) bool { return v.(object).text("name") == "tls" })
	if at < 0 || volumes[at].(object).text("secret secretName") != certificate.text("spec secretName") {
		t.Fatalf("the volumes are %v, want one with the secret %s", volumes, certificate.text("spec secretName"))
	}
	at = slices.IndexFunc(mounts, func(m any) bool { return m.(object).text("name") == "tls" })
	mount := mounts[at].(object)
	if mount.text("readOnly") != "true" || mount["subPath"] != nil {
		t.Errorf("it is mounted as %v, want read-only and whole: a subPath never changes", mount)
	}

	authority, dir := certstest.New(t, "internal-ca"), t.TempDir()
	name := all["Ingress mdp-gateway"].text("metadata annotations nginx.ingress.kubernetes.io/proxy-ssl-name")
	var names []string
	for _, n := range certificate.at("spec dnsNames").([]any) {
		names = append(names, fmt.Sprint(n))
	}
	authority.Server(names...).Write(dir)
	env, _ := deployment.at(container + "env").([]any)
	var given []string
	for _, e := range env {
		given = append(given, e.(object).text("name")+"="+strings.Replace(e.(object).text("value"), mount.text("mountPath"), dir, 1))
	}
	data := all["ConfigMap mdp-gateway"].at("data").(object)["gateway.yaml"].(string)
	keys, err := filepath.Abs("kubernetes/overlays/production/keys.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "gateway.yaml")
	write(t, config, []byte(strings.ReplaceAll(data, "/etc/mdp-gateway-keys/keys.yaml", keys)))
	address := startTLS(t, given, "serve", "--config", config)
	if status := secureGet(t, authority, name, "https://"+address+"/livez"); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
}

// The drop-in is one that systemd takes, and the gateway starts with what it gives.
func TestTheDropInForTLSGivesTheServiceItsPair(t *testing.T) {
	const name = "systemd/mdp-gateway.service.d/tls.conf"
	dropIn := read(t, name)
	for text, want := range map[string]string{dropIn: "", strings.Replace(dropIn, "LoadCredential=", "LodeCredential=", 1): "LodeCredential"} {
		unit := installed(t, gatewayUnit, read(t, gatewayUnit))
		if err := os.Mkdir(unit+".d", 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(unit+".d", "tls.conf"), []byte(text))
		out, err := exec.Command(tool(t, "systemd-analyze"), "verify", "--man=no", unit).CombinedOutput()
		if want == "" && len(out) > 0 || !strings.Contains(string(out), want) {
			t.Errorf("systemd-analyze verify: %v %s, want %q", err, out, want)
		}
	}
	authority, credentials := certstest.New(t, "lab"), t.TempDir()
	authority.Server().Write(credentials)
	var env []string
	for line := range strings.Lines(dropIn) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "Environment="); ok {
			env = strings.Fields(strings.ReplaceAll(value, "%d", credentials))
		}
	}
	for _, file := range []string{"tls.crt", "tls.key"} {
		if !strings.Contains(dropIn, "\nLoadCredential="+file+":/etc/mdp-gateway/"+file+"\n") {
			t.Errorf("there is no LoadCredential for %s", file)
		}
	}
	address := startTLS(t, env, "serve")
	if status := secureGet(t, authority, "localhost", "https://"+address+"/livez"); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
}

// The health check of the image is run in the same environment as the gateway.
func TestComposeWithTLSIsTakenAndHealthy(t *testing.T) {
	out, err := exec.Command(tool(t, "composecheck"), "compose.yaml", "compose.tls.yaml").CombinedOutput()
	if err != nil || string(out) != "broker\ngateway\ngrafana\nprometheus\nworker\n" {
		t.Errorf("got %v %s", err, out)
	}
	file := parse[struct {
		Services map[string]struct {
			Environment map[string]string
			Secrets     []string
		}
		Secrets map[string]struct{ File string }
	}](t, read(t, "compose.tls.yaml"))
	authority, dir := certstest.New(t, "lab"), t.TempDir()
	authority.Server().Write(dir)
	var env []string
	for name, value := range file.Services["gateway"].Environment {
		env = append(env, name+"="+strings.Replace(value, "/run/secrets", dir, 1))
		if secret := filepath.Base(value); !slices.Contains(file.Services["gateway"].Secrets, secret) || file.Secrets[secret].File != "./tls/"+secret {
			t.Errorf("%s is %s, and the secrets are %v", name, value, file.Secrets)
		}
	}
	address := startTLS(t, env, "serve")
	check := exec.CommandContext(context.Background(), gateway(t), "healthcheck", "--listen", address)
	if check.Env = env; check.Run() != nil {
		t.Error("the health check fails with the gateway's own environment")
	}
	check = exec.Command(gateway(t), "healthcheck", "--listen", address)
	if check.Env = []string{"PATH=" + os.Getenv("PATH")}; check.Run() == nil {
		t.Error("a health check without TLS succeeds")
	}
}
