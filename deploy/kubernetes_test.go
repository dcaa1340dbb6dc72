package deploy_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// kustomizations are what can be applied.
var kustomizations = []string{"base", "overlays/demo", "overlays/production", "overlays/tls", "overlays/jobs", "overlays/curve"}

// A manifest is one object, as far as the tests look at it.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Groups   any
		Template struct{ Spec podSpec }
	}
}

type podSpec struct {
	Grace           int   `yaml:"terminationGracePeriodSeconds"`
	Token           *bool `yaml:"automountServiceAccountToken"`
	Links           *bool `yaml:"enableServiceLinks"`
	SecurityContext struct {
		NonRoot bool                  `yaml:"runAsNonRoot"`
		User    int                   `yaml:"runAsUser"`
		Seccomp struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []containerSpec
}

type containerSpec struct {
	Name            string
	SecurityContext struct {
		Escalation   *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnly     bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities struct{ Drop, Add []string }
	} `yaml:"securityContext"`
	Resources struct{ Requests, Limits map[string]string }
}

// render returns what Kustomize makes of a directory in deploy/kubernetes.
func render(t *testing.T, name string) []byte {
	t.Helper()
	return kustomize(t, "kubernetes/"+name)
}

func kustomize(t *testing.T, dir string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(tool(t, "kustomize"), "build", dir)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("kustomize build %s: %v %s", dir, err, stderr.String())
	}
	return out
}

func manifests(t *testing.T, name string) (all []manifest) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(render(t, name)))
	for {
		var m manifest
		if err := decoder.Decode(&m); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
}

// kubeconform checks objects against the schemas that kubeschema has made.
func kubeconform(t *testing.T, objects []byte) (string, error) {
	t.Helper()
	schemas, err := filepath.Abs(filepath.Join(built, "schemas"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, "kubeconform"), "-strict", "-summary", "-schema-location", schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json")
	cmd.Stdin = bytes.NewReader(objects)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestKubernetesObjectsAreValid(t *testing.T) {
	for _, name := range kustomizations {
		out, err := kubeconform(t, render(t, name))
		if err != nil || !strings.Contains(out, "Skipped: 0") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestAnUnknownMemberOfAnObjectWouldBeSeen(t *testing.T) {
	for _, mistake := range []struct{ kind, right, wrong string }{
		{"Deployment", "failureThreshold:", "failureTreshold:"},
		{"ServiceMonitor", "scrapeClassicHistograms:", "scrapeClasicHistograms:"},
		{"PrometheusRule", "annotations:", "annotation:"},
		{"HTTPRoute", "backendRequest:", "backendRequests:"},
		{"NetworkPolicy", "policyTypes:", "policyType:"},
	} {
		objects := render(t, "overlays/production")
		broken := bytes.Replace(objects, []byte(mistake.right), []byte(mistake.wrong), 1)
		if out, err := kubeconform(t, broken); err == nil || !strings.Contains(out, mistake.kind) {
			t.Errorf("%s with %s: got %v, want it refused\n%s", mistake.kind, mistake.wrong, err, out)
		}
	}
}

func TestPodsKeepTheRestrictedStandard(t *testing.T) {
	pods := 0
	for _, name := range kustomizations {
		for _, m := range manifests(t, name) {
			if m.Kind != "Deployment" && m.Kind != "StatefulSet" {
				continue
			}
			pods++
			pod := m.Spec.Template.Spec
			if s := pod.SecurityContext; !s.NonRoot || s.User != 65532 || s.Seccomp.Type != "RuntimeDefault" {
				t.Errorf("%s: %s: the pod's security context is %+v", name, m.Metadata.Name, s)
			}
			if pod.Token == nil || *pod.Token || pod.Links == nil || *pod.Links {
				t.Errorf("%s: %s has a token or service links", name, m.Metadata.Name)
			}
			for _, c := range pod.Containers {
				s := c.SecurityContext
				if s.Escalation == nil || *s.Escalation || !s.ReadOnly || !reflect.DeepEqual(s.Capabilities.Drop, []string{"ALL"}) || s.Capabilities.Add != nil {
					t.Errorf("%s: %s: the container's security context is %+v", name, m.Metadata.Name, s)
				}
				if r := c.Resources; r.Requests["cpu"] == "" || r.Requests["memory"] == "" || r.Limits["memory"] == "" {
					t.Errorf("%s: %s has the resources %v", name, m.Metadata.Name, r)
				}
			}
		}
	}
	if pods == 0 {
		t.Error("there are no pods")
	}
}

// checked returns what gateway serve --check makes of a configuration. The keys
// file is looked for in deploy/kubernetes, not where the pod has it, and CURVE's keys are made.
func checked(t *testing.T, program, config string) map[string]any {
	t.Helper()
	keys, err := filepath.Abs("kubernetes/overlays/production/keys.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	config = strings.ReplaceAll(config, "/etc/mdp-gateway-keys/keys.yaml", keys)
	if curve := "/etc/mdp-gateway-curve"; strings.Contains(config, curve) {
		secrets := filepath.Join(makeKeys(t, "kubernetes/overlays/curve/kustomization.yaml"), "secrets")
		config = strings.ReplaceAll(config, curve, filepath.Join(secrets, "mdp-curve-gateway"))
	}
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", "--check", "--config", path)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("gateway serve --check: %v\n%s", err, out)
	}
	return parse[map[string]any](t, string(out))
}

func TestConfigurationsInKubernetesAreValidAndFitTheGracePeriod(t *testing.T) {
	program := gateway(t)
	for _, name := range kustomizations {
		var settings map[string]any
		grace := 0
		for _, m := range manifests(t, name) {
			if m.Kind == "ConfigMap" && m.Data["gateway.yaml"] != "" {
				settings = checked(t, program, m.Data["gateway.yaml"])
			}
			if m.Kind == "Deployment" && m.Metadata.Name == "mdp-gateway" {
				grace = m.Spec.Template.Spec.Grace
			}
		}
		delay, _ := time.ParseDuration(settings["drain-delay"].(string))
		drain, _ := time.ParseDuration(settings["drain"].(string))
		if want := int((delay + drain).Seconds()) + 10; grace != want || delay != 5*time.Second {
			t.Errorf("%s: terminationGracePeriodSeconds is %d with a delay of %v, want %d and 5s", name, grace, delay, want)
		}
	}
}

func TestThePrometheusRuleIsMadeOfTheRules(t *testing.T) {
	want := parse[map[string]any](t, read(t, "prometheus/rules.yml"))["groups"]
	for _, m := range manifests(t, "overlays/production") {
		if m.Kind == "PrometheusRule" {
			if !reflect.DeepEqual(m.Spec.Groups, want) {
				t.Error("it differs from prometheus/rules.yml; run make deploy-generate")
			}
			return
		}
	}
	t.Error("there is no PrometheusRule")
}

func TestTheExampleConfigurationIsValid(t *testing.T) {
	program := gateway(t)
	checked(t, program, read(t, "gateway.yaml"))
}
