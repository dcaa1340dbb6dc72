package chaos

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// base is what a pod of the gateway is made of.
const base = "../deploy/kubernetes/base/"

// A pod is a gateway with the settings, environment and memory limit of
// deploy/kubernetes/base. It has keys: one of a caller and one of an attacker.
type pod struct {
	*gateway
	limit            int64 // of memory, bytes
	caller, attacker string
}

// startPod starts a gateway in front of a broker. Its configuration has more lines.
func startPod(t *testing.T, endpoint, more string) *pod {
	t.Helper()
	deployment := readFile(t, base+"deployment.yaml")
	var env []string
	for _, e := range regexp.MustCompile(`- \{name: ([A-Z]+), value: "?([^"}]+)"?\}`).FindAllStringSubmatch(deployment, -1) {
		env = append(env, e[1]+"="+e[2])
	}
	found := regexp.MustCompile(`limits: \{.*memory: ([0-9]+)Gi\}`).FindStringSubmatch(deployment)
	if found == nil {
		t.Fatal("the deployment has no memory limit in Gi")
	}
	gib, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{limit: int64(gib) << 30}
	dir := t.TempDir()
	var entries string
	for id, key := range map[string]*string{"caller": &p.caller, "attacker": &p.attacker} {
		out, err := exec.Command(binary, "key", "new", id).Output()
		if err != nil {
			t.Fatal(err)
		}
		secret, entry, _ := strings.Cut(string(out), "\n")
		*key, entries = secret, entries+entry
	}
	writeFile(t, dir+"/keys.yaml", entries)
	settings := strings.NewReplacer(`":8080"`, "127.0.0.1:0", "admin-listen:", "# admin-listen:", "access: open", "# access: open", "tcp://mdp-broker:5555", endpoint).
		Replace(readFile(t, base+"gateway.yaml"))
	writeFile(t, dir+"/gateway.yaml", settings+"keys-file: "+dir+"/keys.yaml\n"+more)
	command := append(limitMemory(t, p.limit), binary, "serve", "--config", dir+"/gateway.yaml")
	p.gateway = attach(t, spawn(t, "gateway", env, command...))
	eventually(t, "echo answers", func() bool { return p.call(p.caller, "application/json", `{"body":"hello"}`) == http.StatusOK })
	return p
}

// limitMemory returns the command that runs a program in a cgroup with that much
// memory, of version 2 or 1; none where this machine allows neither.
func limitMemory(t *testing.T, limit int64) []string {
	t.Helper()
	for _, c := range []struct{ parent, file string }{{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}} {
		dir := filepath.Join(c.parent, fmt.Sprintf("gateway-%d", rand.Uint64()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		file, err := os.OpenFile(filepath.Join(dir, c.file), os.O_WRONLY, 0)
		if err != nil {
			continue // no cgroup of that version
		}
		_, err = fmt.Fprint(file, limit)
		_ = file.Close()
		if err == nil {
			return []string{"/bin/sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, dir}
		}
	}
	t.Log("this machine allows no cgroup: only the peak is compared with the limit")
	return nil
}

// call posts a body to echo and returns the status, 0 if there is no answer.
func (p *pod) call(key, contentType, body string) int {
	r, err := http.NewRequest(http.MethodPost, p.url+"/services/echo", strings.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Authorization", "Bearer "+key)
	response, err := p.client.Do(r)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// dial opens a connection from one of sixteen addresses: a bound on the connections of
// one address does not stop the attackers.
func (p *pod) dial(i int) (net.Conn, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%16))}
	return (&net.Dialer{LocalAddr: from, Timeout: patience}).Dial("tcp", strings.TrimPrefix(p.url, "http://"))
}

// alive asks for /livez on a new connection.
func (p *pod) alive(t *testing.T) {
	t.Helper()
	alive(t, newClient(t, false), p.url)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
