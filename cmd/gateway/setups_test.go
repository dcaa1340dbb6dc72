package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mdpgateway/internal/certs/certstest"
	"mdpgateway/internal/curve"
	"mdpgateway/internal/mdp/broker"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// A setUp is one of the complete files in docs/security.md, with names of files and addresses as they are in this test.
type setUp struct {
	g                *running
	authority        *certstest.Authority // of the gateway's certificate
	callers          *certstest.Authority
	key              string
	secure, clear    string // URLs
	crl, ca, pairDir string
}

// setUps returns the files of the page by their headings.
func setUps(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Set-ups\n")
	section, _, _ = strings.Cut(section, "\n## ")
	files := make(map[string]string)
	for part := range strings.SplitSeq(section, "\n### ") {
		name, rest, _ := strings.Cut(part, "\n")
		if _, block, ok := strings.Cut(rest, "```yaml\n"); ok {
			files[name], _, _ = strings.Cut(block, "```")
		}
	}
	return files
}

// startSetUp starts a gateway with a file of the page: on free ports of the same kind of addresses, with a real broker in
// place of those that it names, and with certificates and a key that were just made.
func startSetUp(t *testing.T, file string) *setUp {
	t.Helper()
	dir := t.TempDir()
	endpoint := startSetUpBroker(t, dir, strings.Contains(file, "curve:"))
	s := &setUp{authority: certstest.New(t, "public"), callers: certstest.New(t, "lab"), pairDir: dir}
	s.authority.Server("mdp.example.org").Write(dir)
	s.ca = certstest.Write(t, dir, "lab-ca.crt", s.callers.PEM)
	s.crl = certstest.Write(t, dir, "lab-ca.crl", s.callers.Revoke())
	var entry string
	s.key, entry = newKey(t, "web-2026-11")
	_, sum, _ := strings.Cut(entry, "sha256: ")
	sum = strings.Trim(sum[:66], "'\"}, ")[:64]
	const inPage = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	write(t, dir, "keys.yaml", "- {id: web-2026-11, key: {sha256: "+sum+"}, services: ['*']}\n")
	text := strings.NewReplacer(
		"/etc/mdp-gateway/", dir+"/", "/var/log/mdp-gateway/", dir+"/", inPage, sum,
		`":8443"`, `"0.0.0.0:0"`, "127.0.0.1:8080", "127.0.0.1:0", "127.0.0.1:8081", "127.0.0.1:0", `":8081"`, `"0.0.0.0:0"`,
		"tcp://hall1:5555", endpoint, "tcp://127.0.0.1:5555", "tcp://127.0.0.1:*", "dialect: loudify", "dialect: mdp/0.2", "drain-delay: 5s", "drain-delay: 0s",
	).Replace(file)
	s.g = startWhere(t, nil, "--config", write(t, dir, "gateway.yaml", text))
	for _, url := range s.g.urls {
		url = strings.Replace(strings.Replace(url, "0.0.0.0", "127.0.0.1", 1), "[::]", "127.0.0.1", 1)
		if strings.HasPrefix(url, "https") {
			s.secure = url
		} else {
			s.clear = url
		}
	}
	return s
}

// startSetUpBroker starts a broker with a worker, with CURVE if that is wanted: then the keys of hall1 and gateway-1 are in
// dir.
func startSetUpBroker(t *testing.T, dir string, encrypted bool) (endpoint string) {
	t.Helper()
	services := map[string]worker.Handler{"echo": echoBack, "lora_decode": echoBack}
	if !encrypted {
		endpoint = mdptest.Broker(t).Endpoints()[0]
		mdptest.WorkerWith(t, worker.Config{Endpoint: endpoint, Services: services})
		return endpoint
	}
	pair := func(id string) curve.Pair {
		_, secret := newPair(t, dir, id)
		p, err := curve.LoadPair(secret)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	hall, gateway, serving := pair("hall1"), pair("gateway-1"), pair("hall1-worker")
	endpoint = mdptest.BrokerWith(t, broker.Config{Curve: &broker.Curve{Public: hall.Public, Secret: hall.Secret, Allowed: curve.NewList(
		curve.Peer{ID: "gateway-1", Key: gateway.Public, Role: curve.RoleClient},
		curve.Peer{ID: "hall1-worker", Key: serving.Public, Role: curve.RoleWorker, Services: []string{"*"}},
	)}}).Endpoints()[0]
	w, err := worker.New(worker.Config{Endpoint: endpoint, Curve: &curve.Client{Server: hall.Public, Own: serving}, Services: services})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return endpoint
}

// call makes a call and returns its status, 0 if the handshake failed.
func (s *setUp) call(t *testing.T, service, key string, pairs ...certstest.Pair) int {
	t.Helper()
	url, client := s.clear, newClient(t)
	if s.secure != "" {
		url, client = s.secure, secureClient(t, false, s.authority, pairs...)
	}
	r, err := http.NewRequest("POST", url+"/services/"+service, strings.NewReader(`{"body":"hi"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	a, err := do(client, r)
	if err != nil {
		return 0
	}
	return a.status
}

func TestTheSetUpsOfThePageLetInWhomTheySay(t *testing.T) {
	files := setUps(t)
	if got := len(files); got != 4 {
		t.Fatalf("the page has %d set-ups, want 4", got)
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			s := startSetUp(t, file)
			ok, machine, other := s.key, s.callers.Client("a.hall.lab"), s.callers.Client("a.elsewhere.lab")
			eventually(t, "who may call is answered", func() bool { return s.call(t, "echo", ok) == 200 })
			want := map[string][4]int{ // no proof, a wrong key, a machine, a machine of another name
				"My desk": {200, 200, 200, 200}, "A lab's LAN": {401, 401, 200, 401}, "A cluster": {401, 401, 401, 401}, "The internet": {401, 401, 401, 401},
			}[name]
			got := [4]int{s.call(t, "echo", ""), s.call(t, "echo", "mdpgw_wrong"), s.call(t, "echo", "", machine), s.call(t, "echo", "", other)}
			if got != want {
				t.Errorf("no proof, a wrong key, a machine, another: got %v, want %v", got, want)
			}
			if s.secure != "" && s.clear != "" {
				if a := request(t, newClient(t), "GET", s.clear+"/livez", "", ""); a.status != 200 {
					t.Errorf("a probe got %d", a.status)
				}
			}
			if name == "A lab's LAN" {
				if got := s.call(t, "echo", "", certstest.New(t, "other").Client("a.hall.lab")); got != 0 {
					t.Errorf("a certificate of another authority: got %d, want none", got)
				}
			}
			if name == "The internet" || name == "A cluster" {
				if got := s.call(t, "unheard", ok); got != http.StatusNotFound && got != http.StatusForbidden {
					t.Errorf("a service that is not in the file: got %d", got)
				}
			}
			warnings := ""
			for _, line := range s.g.lines() {
				if line["level"] == "warn" && line["setting"] != nil {
					warnings += fmt.Sprint(line["setting"], " ")
				}
			}
			if wantWarned := map[string]string{"A cluster": "admin-listen "}[name]; warnings != wantWarned {
				t.Errorf("it is warned of %q, want %q", warnings, wantWarned)
			}
		})
	}
}

// A mistake in a set-up must not start: a file without what the page has it read.
func TestASetUpWithoutItsKeyFileDoesNotStart(t *testing.T) {
	file := strings.ReplaceAll(setUps(t)["The internet"], "/etc/mdp-gateway/", filepath.Join(t.TempDir(), "none")+"/")
	var clear string // the same without CURVE
	for line := range strings.Lines(file) {
		if !strings.Contains(line, "curve:") {
			clear += line
		}
	}
	for want, file := range map[string]string{"curve.server_key_file": file, "tls.crt": clear} {
		if code, _, stderr := runGateway(t, "serve --check --config FILE", nil, file); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("got %d %s, want %s", code, stderr, want)
		}
	}
}
