package deploy_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An object is a Kubernetes object, or what is within one.
type object map[string]any

// objects returns what Kustomize makes of a directory, by kind and name. The hash
// at the end of a generated name is left out.
func objects(t *testing.T, name string) map[string]object {
	t.Helper()
	all := make(map[string]object)
	for text := range bytes.SplitSeq(render(t, name), []byte("\n---\n")) {
		o := parse[object](t, string(text))
		kind, id := o.text("kind"), o.text("metadata name")
		if kind == "ConfigMap" || kind == "Secret" {
			id = id[:strings.LastIndexByte(id, '-')]
		}
		all[kind+" "+id] = o
	}
	return all
}

// at returns what is at a path of names and indices, with spaces between, or nil.
func (o object) at(path string) any {
	var v any = o
	for step := range strings.FieldsSeq(path) {
		switch within := v.(type) {
		case object:
			v = within[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(within) {
				return nil
			}
			v = within[i]
		default:
			return nil
		}
	}
	return v
}

func (o object) text(path string) string { return fmt.Sprint(o.at(path)) }

// bytesOf reads a quantity of memory, of Kubernetes or of the gateway.
func bytesOf(t *testing.T, quantity string) int {
	t.Helper()
	for suffix, unit := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "Mi": 1 << 20, "Gi": 1 << 30, "m": 1 << 20} {
		if number, found := strings.CutSuffix(quantity, suffix); found {
			if n, err := strconv.Atoi(number); err == nil {
				return n * unit
			}
		}
	}
	t.Fatalf("%q is no quantity of memory", quantity)
	return 0
}

// everywhere stands for every kustomization that can be applied.
const everywhere = ""

const (
	pod       = "spec template spec "
	container = pod + "containers 0 "
)

// TestWhatTheObjectsMustSay has what no tool can know to be wrong.
func TestWhatTheObjectsMustSay(t *testing.T) {
	all := make(map[string]map[string]object)
	for _, name := range kustomizations {
		all[name] = objects(t, name)
	}
	for _, c := range []struct{ in, object, path, want string }{
		// A roll takes no replica away before another is ready.
		{everywhere, "Deployment mdp-gateway", "spec strategy rollingUpdate maxUnavailable", "0"},
		{everywhere, "Deployment mdp-gateway", "spec replicas", "<nil>"}, // or each apply would undo the scaler's
		{everywhere, "PodDisruptionBudget mdp-gateway", "spec maxUnavailable", "1"},
		{everywhere, "HorizontalPodAutoscaler mdp-gateway", "spec metrics 0 resource name", "cpu"},
		{everywhere, "HorizontalPodAutoscaler mdp-gateway", "spec scaleTargetRef name", "mdp-gateway"},
		{everywhere, "ServiceAccount mdp-gateway", "automountServiceAccountToken", "false"},
		{everywhere, "Deployment mdp-gateway", pod + "serviceAccountName", "mdp-gateway"},
		{"base", "Service mdp-gateway", "spec ports 0 appProtocol", "kubernetes.io/h2c"},
		{"overlays/demo", "Service mdp-gateway", "spec ports 0 appProtocol", "kubernetes.io/h2c"},
		{"overlays/production", "Service mdp-gateway", "spec ports 0 appProtocol", "kubernetes.io/h2c"},
		{"overlays/tls", "Service mdp-gateway", "spec ports 0 appProtocol", "https"},
		{"overlays/tls", "Service mdp-gateway", "spec ports 0 name", "https"},
		{"overlays/tls", "Deployment mdp-gateway", container + "startupProbe httpGet scheme", "HTTPS"},
		{"overlays/tls", "Deployment mdp-gateway", container + "livenessProbe httpGet scheme", "HTTPS"},
		{"overlays/tls", "Deployment mdp-gateway", container + "readinessProbe httpGet scheme", "HTTPS"},
		{"overlays/tls", "Ingress mdp-gateway", "metadata annotations nginx.ingress.kubernetes.io/backend-protocol", "HTTPS"},
		{"overlays/tls", "Ingress mdp-gateway", "metadata annotations nginx.ingress.kubernetes.io/proxy-ssl-verify", "on"},
		{"overlays/tls", "Ingress mdp-gateway", "spec rules 0 http paths 0 backend service port name", "https"},
		{"overlays/tls", "Certificate mdp-gateway", "spec privateKey rotationPolicy", "Always"},
		{everywhere, "Service mdp-gateway", "spec ports 0 targetPort", "http"},
		{everywhere, "Deployment mdp-gateway", container + "ports 0 name", "http"},
		{everywhere, "Deployment mdp-gateway", container + "startupProbe httpGet path", "/livez"},
		{everywhere, "Deployment mdp-gateway", container + "livenessProbe httpGet path", "/livez"},
		{everywhere, "Deployment mdp-gateway", container + "readinessProbe httpGet path", "/readyz"},

		{everywhere, "Deployment mdp-gateway", container + "imagePullPolicy", "IfNotPresent"},

		// No registry has the demo's image: it is loaded into the nodes.
		{"overlays/demo", "Deployment mdp-gateway", container + "image", "mdp-gateway:dev"},
		{"overlays/demo", "Deployment mdp-broker", container + "image", "mdp-gateway:dev"},
		{"overlays/demo", "Deployment mdp-broker", container + "imagePullPolicy", "IfNotPresent"},
		{"overlays/demo", "Deployment mdp-worker", container + "image", "mdp-gateway:dev"},
		{"overlays/demo", "Deployment mdp-worker", container + "imagePullPolicy", "IfNotPresent"},
		{"overlays/demo", "Namespace mdp-demo", "metadata labels pod-security.kubernetes.io/enforce", "restricted"},
		{"overlays/demo", "HorizontalPodAutoscaler mdp-worker", "spec scaleTargetRef name", "mdp-worker"},
		{"overlays/demo", "HorizontalPodAutoscaler mdp-worker", "spec metrics 0 external metric name", "mdp_gateway_requests_in_flight"},
		{"overlays/demo", "HorizontalPodAutoscaler mdp-worker", "spec metrics 0 external metric selector matchLabels service", "echo"},
		{"overlays/demo", "Deployment mdp-worker", "spec replicas", "<nil>"},
		{"overlays/demo", "Deployment mdp-broker", "spec replicas", "1"},

		{"overlays/production", "Namespace mdp-gateway", "metadata labels pod-security.kubernetes.io/enforce", "restricted"},
		{"overlays/production", "HorizontalPodAutoscaler mdp-gateway", "spec minReplicas", "3"},
		{"overlays/production", "Deployment mdp-gateway", pod + "topologySpreadConstraints 0 topologyKey", "topology.kubernetes.io/zone"},
		{"overlays/production", "Deployment mdp-gateway", pod + "topologySpreadConstraints 1 topologyKey", "kubernetes.io/hostname"},
		{"overlays/production", "ServiceMonitor mdp-gateway", "spec scrapeClassicHistograms", "true"},
		{"overlays/production", "ServiceMonitor mdp-gateway", "spec endpoints 0 port", "admin"},
		{"overlays/production", "Service mdp-gateway", "spec ports 1 name", "admin"},

		// Keys do not travel in clear text.
		{"overlays/production", "Ingress mdp-gateway", "spec tls 0 secretName", "mdp-gateway-tls"},
		{"overlays/production", "Ingress mdp-gateway", "metadata annotations nginx.ingress.kubernetes.io/force-ssl-redirect", "true"},
		{"overlays/production", "HTTPRoute mdp-gateway", "spec parentRefs 0 sectionName", "https"},
		{"overlays/production", "HTTPRoute mdp-gateway-redirect", "spec parentRefs 0 sectionName", "http"},
		{"overlays/production", "HTTPRoute mdp-gateway-redirect", "spec rules 0 filters 0 requestRedirect scheme", "https"},
		{"overlays/production", "HTTPRoute mdp-gateway-redirect", "spec rules 0 backendRefs", "<nil>"},

		// Each of the three servers of jobs has a disk of its own, on a node of its own.
		{"overlays/jobs", "StatefulSet mdp-nats", "spec replicas", "3"},
		{"overlays/jobs", "StatefulSet mdp-nats", "spec podManagementPolicy", "Parallel"},
		{"overlays/jobs", "StatefulSet mdp-nats", "spec volumeClaimTemplates 0 metadata name", "data"},
		{"overlays/jobs", "StatefulSet mdp-nats", container + "volumeMounts 0 mountPath", "/data"},
		{"overlays/jobs", "StatefulSet mdp-nats", container + "image", "nats:2.15.3"},
		{"overlays/jobs", "StatefulSet mdp-nats", pod + "topologySpreadConstraints 0 whenUnsatisfiable", "DoNotSchedule"},
		{"overlays/jobs", "PodDisruptionBudget mdp-nats", "spec maxUnavailable", "1"},
		{"overlays/jobs", "Service mdp-nats", "spec clusterIP", "None"},
		{"overlays/jobs", "Service mdp-nats", "spec publishNotReadyAddresses", "true"},
		{"overlays/jobs", "NetworkPolicy mdp-nats", "spec ingress 0 from 0 podSelector matchLabels app.kubernetes.io/component", "gateway"},
		{"overlays/jobs", "Deployment mdp-gateway", container + "env 0 name", "GATEWAY_JOBS"},
	} {
		for _, name := range kustomizations {
			if c.in == everywhere || c.in == name {
				o := all[name][c.object]
				if got := o.text(c.path); o == nil || got != c.want {
					t.Errorf("%s: %s: %s is %s, want %s", name, c.object, c.path, got, c.want)
				}
			}
		}
	}
}

func TestSelectorsFindTheGatewaysPods(t *testing.T) {
	for _, name := range kustomizations {
		all := objects(t, name)
		labels := all["Deployment mdp-gateway"].at("spec template metadata labels")
		for id, path := range map[string]string{
			"Deployment mdp-gateway":          "spec selector matchLabels",
			"Service mdp-gateway":             "spec selector",
			"PodDisruptionBudget mdp-gateway": "spec selector matchLabels",
			"NetworkPolicy mdp-gateway":       "spec podSelector matchLabels",
		} {
			if got := all[id].at(path); got == nil || fmt.Sprint(got) != fmt.Sprint(labels) {
				t.Errorf("%s: %s selects %v, want %v", name, id, got, labels)
			}
		}
	}
}

// TestTheIngressHasACertificateForItsHosts holds that no host is served without TLS.
func TestTheIngressHasACertificateForItsHosts(t *testing.T) {
	ingress := objects(t, "overlays/production")["Ingress mdp-gateway"]
	rules, _ := ingress.at("spec rules").([]any)
	var hosts []any
	for _, rule := range rules {
		hosts = append(hosts, rule.(object)["host"])
	}
	if with := ingress.at("spec tls 0 hosts"); len(hosts) == 0 || fmt.Sprint(with) != fmt.Sprint(hosts) {
		t.Errorf("the certificate is for %v, want %v", with, hosts)
	}
}

// TestProductionNamesItsImageByDigest holds that what runs is what was pushed, whatever
// a tag has become since.
func TestProductionNamesItsImageByDigest(t *testing.T) {
	digest := regexp.MustCompile(`^registry\.example\.org/mdp-gateway@sha256:[0-9a-f]{64}$`)
	if image := objects(t, "overlays/production")["Deployment mdp-gateway"].text(container + "image"); !digest.MatchString(image) {
		t.Errorf("the image is %s, want a digest", image)
	}
}

// TestTheGatewayReachesOnlyBrokerAndNameServer holds that no rule of the NetworkPolicy
// lets the gateway out to all addresses of a port.
func TestTheGatewayReachesOnlyBrokerAndNameServer(t *testing.T) {
	for _, name := range kustomizations {
		broker := "map[podSelector:map[matchLabels:map[app.kubernetes.io/component:broker app.kubernetes.io/name:mdp-gateway]]]"
		if name != "base" && name != "overlays/demo" && name != "overlays/curve" {
			broker = "map[ipBlock:map[cidr:192.0.2.10/32]]"
		}
		const names = "map[namespaceSelector:map[matchLabels:map[kubernetes.io/metadata.name:kube-system]]]"
		policy := objects(t, name)["NetworkPolicy mdp-gateway"]
		want := []string{"[" + broker + "]", "[" + names + "]"}
		if name == "overlays/jobs" {
			want = append(want, "[map[podSelector:map[matchLabels:map[app.kubernetes.io/component:nats app.kubernetes.io/name:mdp-gateway]]]]")
		}
		if rules, _ := policy.at("spec egress").([]any); len(rules) != len(want) {
			t.Errorf("%s: there are %d egress rules, want %d", name, len(rules), len(want))
		}
		for i, want := range want {
			if got := policy.text(fmt.Sprintf("spec egress %d to", i)); got != want {
				t.Errorf("%s: egress rule %d is to %s, want %s", name, i, got, want)
			}
		}
		if port := policy.text("spec egress 0 ports"); port != "[map[port:5555 protocol:TCP]]" {
			t.Errorf("%s: the broker's ports are %s", name, port)
		}
	}
}

// TestOnlyNamedNamespacesReachTheGateway holds that no rule of the NetworkPolicy
// admits all pods, or all of a cluster.
func TestOnlyNamedNamespacesReachTheGateway(t *testing.T) {
	for _, name := range kustomizations {
		policy := objects(t, name)["NetworkPolicy mdp-gateway"]
		rules, _ := policy.at("spec ingress").([]any)
		for i, rule := range rules {
			from, _ := rule.(object)["from"].([]any)
			for _, peer := range from {
				if selector := fmt.Sprint(peer); !strings.Contains(selector, "kubernetes.io/metadata.name") {
					t.Errorf("%s: rule %d admits %s, want namespaces by name", name, i, selector)
				}
			}
			if len(from) == 0 {
				t.Errorf("%s: rule %d admits everyone", name, i)
			}
		}
		if types := policy.text("spec policyTypes"); len(rules) == 0 || types != "[Ingress Egress]" {
			t.Errorf("%s: the policy has %d rules and is for %s", name, len(rules), types)
		}
	}
}

// settingsOf returns the gateway's settings of a kustomization as it prints them.
func settingsOf(t *testing.T, program, name string) object {
	t.Helper()
	data, _ := objects(t, name)["ConfigMap mdp-gateway"].at("data").(object)
	config, ok := data["gateway.yaml"].(string)
	if !ok {
		t.Fatalf("%s has no configuration", name)
	}
	return checked(t, program, config)
}

// The gateway sets Go's limit to what the container's leaves (docs/operations.md), but at least to a quarter of it.
func TestGoIsLeftTheMemoryThatNothingElseTakes(t *testing.T) {
	program := gateway(t)
	for _, name := range kustomizations {
		c := objects(t, name)["Deployment mdp-gateway"]
		s := settingsOf(t, program, name)
		limit := bytesOf(t, c.text(container+"resources limits memory"))
		others := bytesOf(t, s.text("max-buffered")) + s["pool-max"].(int)*45<<10 + limit/20
		if limit-others < limit/2 {
			t.Errorf("%s: of %d MiB, %d are for others than Go, want at most half", name, limit>>20, others>>20)
		}
	}
}

func TestProductionTakesKeysAndCataloguedNamesOnlyAndRenewsConnections(t *testing.T) {
	s := settingsOf(t, gateway(t), "overlays/production")
	age, _ := time.ParseDuration(s.text("max-connection-age"))
	if s.text("catalogue") != "only" || s.text("keys-file") == "" || age < time.Minute || age > time.Hour {
		t.Errorf("catalogue is %v, keys-file %v, max-connection-age %v", s["catalogue"], s["keys-file"], age)
	}
}

// TestWhatStandsInFrontWaitsLongerAndTakesMore compares the Ingress and the
// HTTPRoute with the gateway's own limits, of which the smallest of a way rules.
func TestWhatStandsInFrontWaitsLongerAndTakesMore(t *testing.T) {
	s := settingsOf(t, gateway(t), "overlays/production")
	longest, err := time.ParseDuration(s.text("max-timeout"))
	if err != nil {
		t.Fatal(err)
	}
	all := objects(t, "overlays/production")
	annotations := all["Ingress mdp-gateway"].at("metadata annotations").(object)
	const nginx = "nginx.ingress.kubernetes.io/"
	for what, text := range map[string]string{
		"the Ingress's proxy-read-timeout": fmt.Sprint(annotations[nginx+"proxy-read-timeout"], "s"),
		"the HTTPRoute's request timeout":  all["HTTPRoute mdp-gateway"].text("spec rules 0 timeouts request"),
		"the HTTPRoute's backend timeout":  all["HTTPRoute mdp-gateway"].text("spec rules 0 timeouts backendRequest"),
	} {
		if wait, err := time.ParseDuration(text); err != nil || wait <= longest {
			t.Errorf("%s is %s, %v, want more than %v", what, text, err, longest)
		}
	}
	if body, most := bytesOf(t, fmt.Sprint(annotations[nginx+"proxy-body-size"])), bytesOf(t, s.text("max-body")); body < most {
		t.Errorf("the Ingress takes bodies of %d bytes, want %d", body, most)
	}
	if annotations[nginx+"proxy-buffering"] != "off" || annotations[nginx+"proxy-next-upstream"] != "error http_503" {
		t.Errorf("the Ingress's annotations are %v", annotations)
	}
}

// TestAChangeOfSettingsOrKeysRollsThePods renders a changed copy: the Deployment
// must refer to other names.
func TestAChangeOfSettingsOrKeysRollsThePods(t *testing.T) {
	before := objects(t, "overlays/production")["Deployment mdp-gateway"]
	for i, file := range []string{"gateway.yaml", "keys.yaml"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("kubernetes")); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "overlays/production", file)
		if err := os.WriteFile(path, []byte(read(t, "kubernetes/overlays/production/"+file)+"# changed\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		after := parse[object](t, string(only(t, kustomize(t, dir+"/overlays/production"), "Deployment")))
		if fmt.Sprint(before.at(pod+"volumes")) == fmt.Sprint(after.at(pod+"volumes")) {
			t.Errorf("%d: a change of %s leaves the pods as they are", i, file)
		}
	}
}

// only returns the objects of one kind.
func only(t *testing.T, objects []byte, kind string) []byte {
	t.Helper()
	var kept [][]byte
	for object := range bytes.SplitSeq(objects, []byte("\n---\n")) {
		if parse[manifest](t, string(object)).Kind == kind {
			kept = append(kept, object)
		}
	}
	if len(kept) == 0 {
		t.Fatalf("there is no %s", kind)
	}
	return bytes.Join(kept, []byte("\n---\n"))
}
