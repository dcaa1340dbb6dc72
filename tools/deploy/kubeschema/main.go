// Command kubeschema writes the JSON schemas of Kubernetes' objects, and of the
// few other objects that deploy/kubernetes has, for kubeconform -strict.
//
//	kubeschema DIR
//
// The definitions of the custom resources themselves go to DIR/crds, for an API
// server.
//
// They are made from the sources of Kubernetes, of the Gateway API, of cert-manager
// and of the Prometheus operator, which the Go module proxy has: the ready-made
// collections lie on a web site, are gigabytes large and have Kubernetes alone.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The sources, by module and version.
const (
	kubernetes = "k8s.io/kubernetes@v1.37.2"
	gatewayAPI = "sigs.k8s.io/gateway-api@v1.5.1"
	operator   = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	manager    = "github.com/cert-manager/cert-manager@v1.19.2"
)

// crds are the files with custom resources, by source.
var crds = map[string][]string{
	gatewayAPI: {"config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"},
	manager:    {"deploy/crds/cert-manager.io_certificates.yaml"},
	operator: {
		"jsonnet/prometheus-operator/prometheusrules-crd.json",
		"jsonnet/prometheus-operator/servicemonitors-crd.json",
	},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kubeschema DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "kubeschema:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "crds"), 0o755); err != nil {
		return err
	}
	source, err := fetch(kubernetes)
	if err != nil {
		return err
	}
	if err := writeBuiltIn(dir, filepath.Join(source, "api/openapi-spec/swagger.json")); err != nil {
		return err
	}
	for module, files := range crds {
		if source, err = fetch(module); err != nil {
			return err
		}
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(source, file))
			if err != nil {
				return err
			}
			if err := writeCustom(dir, file, data); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, "crds", filepath.Base(file)), data, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch returns the directory with the sources of a module. Go checks their sum.
func fetch(module string) (dir string, err error) {
	out, err := exec.Command("go", "mod", "download", "-json", module).Output()
	var answer struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &answer); jsonErr != nil {
		return "", fmt.Errorf("go mod download %s: %w", module, err)
	}
	if answer.Error != "" {
		return "", fmt.Errorf("go mod download %s: %s", module, answer.Error)
	}
	return answer.Dir, nil
}

// write writes the schema of one kind under the name by which kubeconform looks
// for it.
func write(dir, group, version, kind string, schema any) error {
	name := kind
	if group != "" {
		first, _, _ := strings.Cut(group, ".")
		name += "-" + first
	}
	data, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, strings.ToLower(name+"-"+version)+".json"), data, 0o644)
}
