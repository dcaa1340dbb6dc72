package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	gatewayUnit = "systemd/mdp-gateway.service"
	brokerUnit  = "systemd/mdp-broker.service"

	// program is where the units and their instructions have the gateway.
	program = "/usr/local/bin/gateway"
)

var units = []string{gatewayUnit, brokerUnit}

// installed writes a unit with an existing program in place of the gateway, and
// returns its path.
func installed(t *testing.T, name, unit string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(name))
	write(t, path, []byte(strings.ReplaceAll(unit, "ExecStart="+program+" ", "ExecStart="+self+" ")))
	return path
}

// complaints returns what systemd prints about a unit. Its exit code does not help:
// it is 0 for an unknown key.
func complaints(t *testing.T, name, unit string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(tool(t, "systemd-analyze"), "verify", "--man=no", installed(t, name, unit))
	cmd.Stderr = &stderr
	err := cmd.Run()
	if err != nil && stderr.Len() == 0 {
		t.Fatal(err)
	}
	return stderr.String()
}

func TestSystemdHasNothingToSayOfTheUnits(t *testing.T) {
	for _, name := range units {
		if got := complaints(t, name, read(t, name)); got != "" {
			t.Errorf("systemd-analyze verify %s: %s", name, got)
		}
	}
}

func TestSystemdWouldComplainOfAnUnknownKey(t *testing.T) {
	unit := strings.Replace(read(t, gatewayUnit), "DynamicUser=", "DynamikUser=", 1)
	if got := complaints(t, gatewayUnit, unit); !strings.Contains(got, "DynamikUser") {
		t.Errorf("got %q, want a complaint of DynamikUser", got)
	}
}

func TestTheUnitsAreHardened(t *testing.T) {
	for _, name := range units {
		out, err := exec.Command(tool(t, "systemd-analyze"), "security", "--no-pager", "--offline=yes", installed(t, name, read(t, name))).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		found := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
		if found == nil {
			t.Fatalf("no exposure level in %s", out)
		}
		if level, err := strconv.ParseFloat(string(found[1]), 64); err != nil || level > 2.0 {
			t.Errorf("%s: exposure level %s, want at most 2.0\n%s", name, found[1], out)
		}
	}
}

// TestTheUnitsAreInstalledAsTheySay compares the instructions at a unit's beginning
// with the unit.
func TestTheUnitsAreInstalledAsTheySay(t *testing.T) {
	for _, name := range units {
		unit := read(t, name)
		for _, want := range []string{
			"#   apt-get install libzmq5",
			"#   install -m 0755 bin/gateway " + program + "\n",
			"#   install -m 0644 deploy/" + name + " /etc/systemd/system/",
			"\nExecStart=" + program + " ",
		} {
			if !strings.Contains(unit, want) {
				t.Errorf("%s has no %q", name, want)
			}
		}
	}
}

// TestTheGatewaysUnitTakesItsKeysFromSystemd holds that the service needs no keys file
// that its user can read, and starts the gateway as the unit does.
func TestTheGatewaysUnitTakesItsKeysFromSystemd(t *testing.T) {
	unit := read(t, gatewayUnit)
	if !strings.Contains(unit, "\nLoadCredential=keys.yaml:/etc/mdp-gateway/keys.yaml\n") {
		t.Error("there is no LoadCredential for keys.yaml")
	}
	command := regexp.MustCompile(`(?m)^ExecStart=\S+ (.*)$`).FindStringSubmatch(unit)
	if command == nil {
		t.Fatal("there is no ExecStart")
	}
	credentials := t.TempDir()
	write(t, credentials+"/keys.yaml", []byte(read(t, "kubernetes/overlays/production/keys.yaml")))
	config, err := filepath.Abs("gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	args := strings.NewReplacer("/etc/mdp-gateway/gateway.yaml", config, "${CREDENTIALS_DIRECTORY}", credentials).Replace(command[1])
	out, err := exec.Command(gateway(t), append(strings.Fields(args), "--check")...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), credentials+"/keys.yaml") {
		t.Errorf("gateway %s: %v\n%s", args, err, out)
	}
}
