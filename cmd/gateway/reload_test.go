package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A reloaded is a gateway with files that the test rewrites.
type reloaded struct {
	*running
	dir     string
	reloads int // that have been logged
}

// startWith runs a gateway with a configuration file, in which DIR is the
// directory of files.
func startWith(t *testing.T, config string, files map[string]string, args ...string) *reloaded {
	t.Helper()
	g := &reloaded{dir: t.TempDir()}
	for name, text := range files {
		write(t, g.dir, name, text)
	}
	g.write(t, config)
	env := []string{atOnce}
	if strings.Contains(config, "drain:") {
		env = nil
	}
	g.running = startIn(t, env, append([]string{"--config", filepath.Join(g.dir, "gateway.yaml")}, args...)...)
	return g
}

func (g *reloaded) write(t *testing.T, config string) {
	t.Helper()
	write(t, g.dir, "gateway.yaml", strings.ReplaceAll(config, "DIR", g.dir))
}

// hangUp sends the process a real SIGHUP and returns the line with which the
// gateway logs what came of it.
func (g *reloaded) hangUp(t *testing.T) map[string]any {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	g.reloads++
	var line map[string]any
	eventually(t, "the gateway has read its configuration again", func() bool {
		n := 0
		for _, l := range g.lines() {
			if l["msg"] == "configuration reloaded" || l["msg"] == "the configuration is invalid, the previous one stays in force" {
				n++
				line = l
			}
		}
		return n == g.reloads
	})
	return line
}

func (g *reloaded) metric(t *testing.T, name string, header ...string) string {
	t.Helper()
	a := request(t, newClient(t), http.MethodGet, g.url+"/metrics", "", "", header...)
	return metricOf(a, name)
}

func metricOf(a answered, name string) string {
	for line := range strings.Lines(string(a.body)) {
		if value, ok := strings.CutPrefix(line, "mdp_gateway_"+name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "none"
}

// count is a metric that is a whole number.
func (g *reloaded) count(t *testing.T, name string) int {
	t.Helper()
	return g.counts(t, name)[0]
}

// counts are metrics that are whole numbers, all of one moment.
func (g *reloaded) counts(t *testing.T, names ...string) (all []int) {
	t.Helper()
	page := g.get("/metrics")
	for _, name := range names {
		n, err := strconv.Atoi(metricOf(page, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func TestAReloadPutsTheServicesInForce(t *testing.T) {
	const before = "catalogue: only\nservices:\n  echo: {}\n"
	g := startWith(t, before, nil)
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
	problem(t, g.post("sleep", `{"body":"1ms"}`), 404, "service_not_found", "no")

	g.write(t, "catalogue: only\nservices:\n  sleep: {vars_schema: {required: [sf]}}\n")
	if line := g.hangUp(t); line["level"] != "info" || line["services"] != 1.0 {
		t.Errorf("the reload is logged as %v", line)
	}
	problem(t, g.post("echo", `{}`), 404, "service_not_found", "no")
	problem(t, g.post("sleep", `{"body":"1ms"}`), 422, "invalid_vars", "no")

	g.write(t, "")
	g.hangUp(t)
	problem(t, g.post("sleep", `{"body":"1ms","vars":{"sf":7}}`), 404, "service_not_found", "no") // --catalogue needs a restart
}

// An edit that went wrong must not take the gateway down, nor half of it into
// force.
func TestAnInvalidConfigurationChangesNothing(t *testing.T) {
	secret, entry := newKey(t, "web")
	entry = strings.Replace(entry, "services: ", "metrics: true, services: ", 1)
	key := []string{"Authorization", "Bearer " + secret}
	const good = "keys-file: DIR/keys.yaml\ncors-origin: https://lab.example\nlog-level: debug\nservices:\n  echo: {}\n"
	g := startWith(t, good, map[string]string{"keys.yaml": entry, "empty.yaml": "", "other.yaml": strings.ReplaceAll(entry, "web", "other")})
	eventually(t, "the demo worker is there", func() bool { return g.post("echo", `{}`, key...).status == http.StatusOK })
	read := g.metric(t, "config_last_reload_success_timestamp_seconds", key...)
	for config, want := range map[string]string{
		"services: {echo: {timeout: soon}}\nkeys-file: DIR/other.yaml\n":                      `services.echo.timeout is "soon", want a duration above 0 such as 25s or 500ms`,
		"services: {echo: {example: {body: 3, encoding: text}}}\nkeys-file: DIR/other.yaml\n": `services.echo.example is refused as a request: #/body: `,
		"keys-file: DIR/empty.yaml\n":                           "empty.yaml:1: keys is empty, want at least one principal",
		"keys-file: DIR/gone.yaml\n":                            "gone.yaml",
		"cors-origin: lab.example\nkeys-file: DIR/other.yaml\n": `gateway.yaml:1: cors-origin is "lab.example", want`,
		// What needs a restart does not hold yet.
		"max-timeout: 20m\nservices: {echo: {timeout: 10m}}\n": "services.echo.timeout is 10m0s, want at most --max-timeout, which is 5m0s (changed too, but need a restart: max-timeout)",
		"timeout: soon\n":  `gateway.yaml:1: timeout is "soon", want a duration above 0 such as 25s or 500ms`,
		"log-levl: info\n": "gateway.yaml:1: log-levl is no setting",
		"keys-file: [":     "gateway.yaml:1: yaml:",
		"services: {echo: {brokers: [hall9]}}\nbrokers: [{name: hall9, endpoint: tcp://127.0.0.1:1}]\n": `services.echo.brokers[0] is "hall9", want one of embedded`,
	} {
		g.write(t, config)
		line := g.hangUp(t)
		if text, _ := line["error"].(string); line["level"] != "error" || !strings.Contains(text, want) || strings.Contains(text, "\n") {
			t.Errorf("%q: logged as %v, want an error with %s", config, line, want)
		}
		if s, at := g.metric(t, "config_last_reload_successful", key...), g.metric(t, "config_last_reload_success_timestamp_seconds", key...); s != "0" || at != read {
			t.Errorf("%q: the metrics are %s and %s, want 0 and %s", config, s, at, read)
		}
		a := g.post("echo", `{"body":"still"}`, append(key, "Origin", "https://lab.example")...)
		if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "https://lab.example" {
			t.Errorf("%q: with the key from before: got %d %s", config, a.status, a.body)
		}
	}
	g.write(t, good)
	g.hangUp(t)
	if s, at := g.metric(t, "config_last_reload_successful", key...), g.metric(t, "config_last_reload_success_timestamp_seconds", key...); s != "1" || at == read {
		t.Errorf("a valid one again: the metrics are %s and %s, want 1 and a later time", s, at)
	}
}

func TestAKeyIsRotatedByReloads(t *testing.T) {
	oldKey, oldEntry := newKey(t, "web-1")
	newSecret, newEntry := newKey(t, "web-2")
	g := startWith(t, "keys-file: DIR/keys.yaml\n", map[string]string{"keys.yaml": oldEntry})
	try := func(secret string) int { return g.post("echo", `{}`, "Authorization", "Bearer "+secret).status }
	eventually(t, "the demo worker is there", func() bool { return try(oldKey) == http.StatusOK })
	for _, step := range []struct {
		file     string
		old, new int
	}{
		{oldEntry, 200, 401}, {oldEntry + newEntry, 200, 200}, {newEntry, 401, 200},
	} {
		write(t, g.dir, "keys.yaml", step.file)
		g.hangUp(t)
		if o, n := try(oldKey), try(newSecret); o != step.old || n != step.new {
			t.Errorf("with %s: got %d and %d, want %d and %d", step.file, o, n, step.old, step.new)
		}
	}
}

// A reload may meet a file that is half written.
func TestAReloadNeverOpensWhatWasClosedNorLocksEveryoneOut(t *testing.T) {
	secret, entry := newKey(t, "web")
	_, other := newKey(t, "other")
	const closed = "keys-file: DIR/keys.yaml\n"
	g := startWith(t, closed, map[string]string{"keys.yaml": entry + other})
	try := func(secret string) int { return g.post("echo", `{}`, "Authorization", "Bearer "+secret).status }
	eventually(t, "the demo worker is there", func() bool { return try(secret) == http.StatusOK })
	const opened = "there is no list of principals any more, want one: only a restart lets anyone call"
	_, third := newKey(t, "third")
	for _, c := range []struct{ config, keys, want string }{
		{"", entry, opened},
		{"keys-file:\n", entry, opened},
		{"keys-file: ''\n", entry, opened},
		{"access: open\n", entry, opened},
		{closed, third, "none of the principals in force is left, want at least one of them: only a restart replaces all"},
		{closed, "", "keys.yaml:1: keys is empty, want at least one principal"},
		{closed, entry[:len(entry)/2], "want a file that ends in a line break: this one may be half written"},
		{closed, strings.TrimSuffix(entry, "\n"), "want a file that ends in a line break: this one may be half written"},
	} {
		write(t, g.dir, "keys.yaml", c.keys)
		g.write(t, c.config)
		line := g.hangUp(t)
		if text, _ := line["error"].(string); line["level"] != "error" || !strings.Contains(text, c.want) {
			t.Errorf("%q and keys %q: logged as %v, want an error with %s", c.config, c.keys, line, c.want)
		}
		if with, without := try(secret), g.post("echo", `{}`).status; with != 200 || without != 401 {
			t.Errorf("%q and keys %q: got %d with the key and %d without, want 200 and 401", c.config, c.keys, with, without)
		}
	}
	g.write(t, closed)
	write(t, g.dir, "keys.yaml", entry)
	if line := g.hangUp(t); line["level"] != "info" {
		t.Errorf("a file with fewer keys is logged as %v, want it in force", line)
	}
}

// warned returns how often a warning is in the log.
func (g *reloaded) warned(message string) (n int) {
	for _, line := range g.lines() {
		if line["msg"] == message && line["level"] == "warn" {
			n++
		}
	}
	return n
}

func TestAReloadPutsOriginsAndLogLevelInForce(t *testing.T) {
	const lab, web = "https://lab.example", "https://web.example"
	// The flag that start gives would win: what is set on the command line stays.
	g := startWith(t, "cors-origin: "+lab+"\n", nil)
	allowed := func(origin string) string {
		return g.post("echo", `{}`, "Origin", origin).header.Get("Access-Control-Allow-Origin")
	}
	if a, b := allowed(lab), allowed(web); a != lab || b != "" {
		t.Errorf("before: got %q and %q", a, b)
	}
	g.write(t, "cors-origin: ["+web+", http://localhost:3000]\nlog-level: error\ntimeout: 7s\nbrokers: [{name: hall1, endpoint: 'tcp://127.0.0.1:1'}]\n")
	g.hangUp(t)
	if a, b := allowed(lab), allowed(web); a != "" || b != web {
		t.Errorf("after: got %q and %q", a, b)
	}
	problem(t, g.post("echo", `{}`, "Origin", lab), 403, "origin_refused", "no")
	warned := ""
	for _, line := range g.lines() {
		if line["msg"] == "settings have changed that need a restart" {
			warned = fmt.Sprint(line["settings"])
		}
	}
	if want := "[brokers dialect embedded jobs jobs-max-bytes timeout]"; warned != want {
		t.Errorf("the log warns of %q, want %q", warned, want)
	}
}

// An open call may need its whole timeout.
func TestADrainShorterThanATimeOutIsWorthAWarning(t *testing.T) {
	const warning = "drain is shorter than the longest timeout: a shutdown may cut off calls that are in time"
	const config = "drain: 10s\ntimeout: 5s\nservices: {echo: {timeout: %s}, sleep: {}}\n"
	for _, c := range []struct {
		before, after string
		want          int
	}{
		{"drain: 10s\n", "", 1}, // the default is 25s
		{fmt.Sprintf(config, "10s"), "", 0},
		{fmt.Sprintf(config, "11s"), "", 1},
		{fmt.Sprintf(config, "9s"), fmt.Sprintf(config, "11s"), 1},
		{fmt.Sprintf(config, "11s"), fmt.Sprintf(config, "9s"), 1},
	} {
		g := startWith(t, c.before, nil)
		if c.after != "" {
			g.write(t, c.after)
			g.hangUp(t)
		}
		g.end()
		if n := g.warned(warning); n != c.want {
			t.Errorf("%q, then %q: %d warnings, want %d", c.before, c.after, n, c.want)
		}
	}
}

// line waits for a line of the child's log with that message, and shows each that
// comes on the way.
func (c *child) line(t *testing.T, message string, show func(line map[string]any)) map[string]any {
	t.Helper()
	for text := range c.logs {
		line := make(map[string]any)
		_ = json.Unmarshal(text, &line)
		show(line)
		if line["msg"] == message {
			return line
		}
	}
	t.Fatalf("the log ends without %q", message)
	return nil
}

// The level of a running program, whose command line does not set it.
func TestAReloadOfARealProcess(t *testing.T) {
	dir := t.TempDir()
	config := write(t, dir, "gateway.yaml", "log-level: info\n")
	c := spawn(t, "serve", "--config", config, "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*")
	address := ""
	wait := func(message string) map[string]any {
		t.Helper()
		return c.line(t, message, func(line map[string]any) {
			if line["msg"] == "listening" {
				address, _ = line["address"].(string)
			}
		})
	}
	wait("ready for calls")
	client := newClient(t)
	probe := func() { request(t, client, http.MethodGet, "http://"+address+"/livez", "", "") }
	probe() // at debug, so not logged
	write(t, dir, "gateway.yaml", "log-level: debug\n")
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	wait("configuration reloaded")
	probe()
	request(t, client, http.MethodGet, "http://"+address+"/version", "", "") // logged at any level
	if line := wait("request"); line["level"] != "debug" || line["route"] != "/livez" {
		t.Errorf("the first request that is logged is %v, want the probe after the reload, at debug", line)
	}
}
