package deploy_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/testport"
)

// A cluster is an API server and its store, without anything that would run what
// it is given.
type cluster struct {
	t       *testing.T
	kubectl string
	args    []string // of every kubectl
	home    string
}

// newCluster starts etcd and the API server that make deploy-check-api has built,
// on loopback, and gives it the custom resources that deploy/kubernetes uses.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir := os.Getenv("MDP_KUBERNETES")
	if dir == "" {
		t.Skip("MDP_KUBERNETES names no kube-apiserver; make deploy-check-api builds one and runs this test")
	}
	home := t.TempDir()
	store, peers, port := "http://"+testport.Address(t), "http://"+testport.Address(t), testport.Address(t)
	daemon(t, tool(t, "etcd"), "--data-dir="+home+"/etcd", "--listen-client-urls="+store, "--advertise-client-urls="+store,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers)
	key, tokens := filepath.Join(home, "key.pem"), filepath.Join(home, "tokens.csv")
	write(t, key, privateKey(t))
	token := rand.Text()
	write(t, tokens, []byte(token+",admin,admin,system:masters\n"))
	daemon(t, filepath.Join(dir, "kube-apiserver"), "--etcd-servers="+store, "--bind-address=127.0.0.1", "--secure-port="+port[strings.LastIndexByte(port, ':')+1:],
		"--cert-dir="+home, "--token-auth-file="+tokens, "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+key, "--service-account-signing-key-file="+key)
	c := &cluster{t, filepath.Join(dir, "kubectl"), []string{"--server=https://" + port, "--token=" + token, "--certificate-authority=" + home + "/apiserver.crt"}, home}
	c.await("get", "--raw=/readyz")
	crds, err := filepath.Glob(filepath.Join(built, "schemas/crds/*"))
	if err != nil || len(crds) == 0 {
		t.Fatalf("there are no custom resources in %s: %v", built, err)
	}
	for _, file := range crds {
		c.must(nil, "apply", "--server-side", "-f", file)
	}
	c.await("wait", "--for=condition=Established", "crd", "--all", "--timeout=1s")
	return c
}

// run runs kubectl and returns all that it wrote.
func (c *cluster) run(objects []byte, args ...string) (string, error) {
	cmd := exec.Command(c.kubectl, append(args, c.args...)...)
	cmd.Env = []string{"HOME=" + c.home}
	cmd.Stdin = bytes.NewReader(objects)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *cluster) must(objects []byte, args ...string) {
	c.t.Helper()
	if out, err := c.run(objects, args...); err != nil {
		c.t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
}

// await runs kubectl until it succeeds.
func (c *cluster) await(args ...string) {
	c.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; {
		out, err := c.run(nil, args...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// dryRun asks the API server whether it would take objects: with all that it does
// to them but to store them.
func (c *cluster) dryRun(objects []byte) (string, error) {
	return c.run(objects, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
}

// TestARealAPIServerTakesTheObjects has what kubeconform can't tell: defaults,
// rules between members, quantities, label selectors, and Pod Security.
func TestARealAPIServerTakesTheObjects(t *testing.T) {
	c := newCluster(t)
	for _, overlay := range []string{"overlays/demo", "overlays/production", "overlays/tls", "overlays/jobs", "overlays/curve"} {
		objects := render(t, overlay)
		namespace := only(t, objects, "Namespace")
		c.must(namespace, "apply", "--server-side", "--validate=strict", "-f", "-")
		out, err := c.dryRun(objects)
		if err != nil || strings.Contains(out, "Warning") {
			t.Errorf("%s: %v\n%s", overlay, err, out)
		}
		for _, m := range manifests(t, overlay) {
			if name := "/" + m.Metadata.Name + " serverside-applied (server dry run)"; !strings.Contains(out, name) {
				t.Errorf("%s: the API server did not say that it takes %s %s:\n%s", overlay, m.Kind, m.Metadata.Name, out)
			}
		}
		c.must(only(t, objects, "ServiceAccount"), "apply", "--server-side", "-f", "-") // pods name it, or that of the namespace
		c.must([]byte("{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}}"), "apply", "--server-side", "-f", "-",
			"--namespace="+parse[manifest](t, string(namespace)).Metadata.Name)
		wantPods(t, c, overlay, objects)
	}
}

// wantPods asks for the Pods of all Deployments themselves: Pod Security refuses
// those, where of a Deployment it only warns. Each is asked for once more as the
// restricted standard forbids it.
func wantPods(t *testing.T, c *cluster, overlay string, objects []byte) {
	for _, pod := range podsOf(t, objects) {
		if out, err := c.dryRun(pod); err != nil || strings.Contains(out, "Warning") {
			t.Errorf("%s: a pod: %v\n%s", overlay, err, out)
		}
		rooted := bytes.Replace(pod, []byte("runAsNonRoot: true"), []byte("runAsNonRoot: false"), 1)
		if out, err := c.dryRun(rooted); err == nil || !strings.Contains(out, `violates PodSecurity "restricted:latest"`) {
			t.Errorf("%s: a pod that may run as root: %v, want it refused\n%s", overlay, err, out)
		}
	}
	rooted := bytes.Replace(objects, []byte("runAsNonRoot: true"), []byte("runAsNonRoot: false"), 1)
	if out, err := c.dryRun(rooted); err != nil || !strings.Contains(out, `would violate PodSecurity "restricted:latest"`) {
		t.Errorf("%s: a Deployment whose pods may run as root: %v, want a warning\n%s", overlay, err, out)
	}
}

func TestARealAPIServerRefusesMistakes(t *testing.T) {
	c := newCluster(t)
	objects := render(t, "overlays/production")
	c.must(only(t, objects, "Namespace"), "apply", "--server-side", "-f", "-")
	for _, mistake := range []struct{ right, wrong, want string }{
		{"failureThreshold:", "failureTreshold:", `field not declared in schema`},
		{"scrapeClassicHistograms:", "scrapeClasicHistograms:", `field not declared in schema`},
		{"backendRequest: 310s", "backendRequest: 311s", `backendRequest timeout cannot be longer than request timeout`},
		{"cpu: 500m", "cpu: 3", `must be less than or equal to cpu limit`},
		{"averageUtilization: 70", "averageUtilization: 0", `must be greater than 0`},
		{"appProtocol: kubernetes.io/h2c", "appProtocol: kubernetes.io/h/2c", `appProtocol`},
	} {
		if !bytes.Contains(objects, []byte(mistake.right)) {
			t.Errorf("the overlay has no %q", mistake.right)
			continue
		}
		broken := bytes.Replace(objects, []byte(mistake.right), []byte(mistake.wrong), 1)
		if out, err := c.dryRun(broken); err == nil || !strings.Contains(out, mistake.want) {
			t.Errorf("%s: got %v, want it refused for %q\n%s", mistake.wrong, err, mistake.want, out)
		}
	}
}

// podsOf returns a Pod for the template of each Deployment and StatefulSet.
func podsOf(t *testing.T, objects []byte) (pods [][]byte) {
	t.Helper()
	for deployment := range bytes.SplitSeq(objects, []byte("\n---\n")) {
		if kind := parse[manifest](t, string(deployment)).Kind; kind != "Deployment" && kind != "StatefulSet" {
			continue
		}
		d := parse[map[string]any](t, string(deployment))
		meta := d["metadata"].(map[string]any)
		set := d["spec"].(map[string]any)
		spec := set["template"].(map[string]any)["spec"].(map[string]any)
		claims, _ := set["volumeClaimTemplates"].([]any)
		for _, claim := range claims { // a StatefulSet adds these to its pods
			name := claim.(map[string]any)["metadata"].(map[string]any)["name"].(string)
			volumes, _ := spec["volumes"].([]any)
			spec["volumes"] = append(volumes, map[string]any{
				"name": name, "persistentVolumeClaim": map[string]any{"claimName": name + "-" + meta["name"].(string) + "-0"},
			})
		}
		pod, err := yaml.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "Pod", "spec": spec,
			"metadata": map[string]any{"name": meta["name"], "namespace": meta["namespace"]},
		})
		if err != nil {
			t.Fatal(err)
		}
		pods = append(pods, pod)
	}
	return pods
}

// daemon runs a program until the test ends. If the test fails, what it wrote
// last is told.
func daemon(t *testing.T, program string, args ...string) {
	t.Helper()
	logs, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		logs.Close()
		if written, _ := os.ReadFile(logs.Name()); t.Failed() {
			t.Logf("%s: …%s", filepath.Base(program), written[max(0, len(written)-4000):])
		}
	})
}

// privateKey makes the key with which the API server signs its tokens.
func privateKey(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}
