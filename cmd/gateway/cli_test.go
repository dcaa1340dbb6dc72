package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// runGateway runs a command line with an environment and, if it is not empty, the
// configuration file that --config or GATEWAY_CONFIG may name as FILE.
func runGateway(t *testing.T, args string, env []string, config string) (code int, stdout, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if config != "" {
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fields := strings.Fields(args)
	for i := range fields {
		fields[i] = strings.ReplaceAll(fields[i], "FILE", path)
	}
	variables := make([]string, len(env))
	for i := range env {
		variables[i] = strings.ReplaceAll(env[i], "FILE", path)
	}
	var out, errs bytes.Buffer
	code = run(t.Context(), fields, variables, &out, &errs)
	return code, out.String(), errs.String()
}

// effective returns the settings that a command line has, as --check prints them.
func effective(t *testing.T, args string, env []string, config string) map[string]any {
	t.Helper()
	code, stdout, stderr := runGateway(t, "serve --check "+args, env, config)
	if code != exitOK || stderr != "" {
		t.Fatalf("gateway serve --check %s: exit code %d, stderr %q", args, code, stderr)
	}
	settings := make(map[string]any)
	if err := yaml.Unmarshal([]byte(stdout), &settings); err != nil {
		t.Fatalf("--check printed no YAML: %v\n%s", err, stdout)
	}
	return settings
}

func TestABadSettingStopsTheStartWithOneLine(t *testing.T) {
	const (
		duration = "want a duration above 0 such as 25s or 500ms"
		size     = "want a number of bytes of at least 1, such as 65536 or 64MiB"
		listen   = "want host:port or :port, such as 127.0.0.1:8080"
		address  = "want tcp://host:port or ipc://path"
		access   = "want a list of principals (--access-file), or --access open to let anyone who reaches the port call, or a loopback address"
	)
	for _, c := range []struct {
		args, env, config string
		want              string
	}{
		// Flags, one of every type.
		{args: "--listen 8080", want: `--listen is "8080", ` + listen},
		{args: "--listen localhost:http", want: `--listen is "localhost:http", ` + listen},
		{args: "--listen :65536", want: `--listen is ":65536", ` + listen},
		{args: "--listen=", want: `--listen is "", ` + listen},
		{args: "--admin-listen x", want: `--admin-listen is "x", ` + listen},
		{args: "--broker inproc://x", want: `--broker is "inproc://x", ` + address},
		{args: "--broker tcp://a:1,b:2", want: `--broker is "tcp://a:1,b:2", ` + address},
		{args: "--dialect mdp/0.3", want: `--dialect is "mdp/0.3", want one of mdp/0.1, mdp/0.2, loudify, majortomo, ` + otherDialects + "; did you mean mdp/0.1?"},
		{args: "--embedded=maybe", want: `--embedded is "maybe", want true or false`},
		{args: "--embedded-bind 127.0.0.1:5555", want: `--embedded-bind is "127.0.0.1:5555", want tcp://address:port, tcp://address:* or ipc://path`},
		{args: "--timeout 25", want: `--timeout is "25", ` + duration},
		{args: "--timeout -1s", want: `--timeout is "-1s", ` + duration},
		{args: "--timeout=0", want: `--timeout is "0", want a duration above 0 such as 25s or 500ms`},
		{args: "--timeout", want: `--timeout is "", ` + duration},
		{args: "--pool-max 0", want: `--pool-max is "0", want a whole number of at least 1`},
		{args: "--pool-max 1.5", want: `--pool-max is "1.5", want a whole number of at least 1`},
		{args: "--pool-reserve 1", want: `--pool-reserve is "1", want a share from 0 to less than 1, such as 0.1`},
		{args: "--pool-reserve NaN", want: `--pool-reserve is "NaN", want a share from 0 to less than 1, such as 0.1`},
		{args: "--max-body 64MB/s", want: `--max-body is "64MB/s", ` + size},
		{args: "--max-body 0", want: `--max-body is "0", ` + size},
		{args: "--max-vars 9223372036854775807GiB", want: `--max-vars is "9223372036854775807GiB", ` + size},
		{args: "--mmi yes", want: `--mmi is "yes", want one of on, hint, off`},
		{args: "--vars pickle", want: `--vars is "pickle", want one of python, json, none`},
		{args: "--allowed-hosts http://a", want: `--allowed-hosts is "http://a", want a host name without port, ip for any address, or * for any`},
		{args: "--log-level warning", want: `--log-level is "warning", want one of debug, info, warn, error`},
		{args: "--ready-broker often", want: `--ready-broker is "often", want one of start, always, never`},
		{args: "--log-format text", want: `--log-format is "text", want one of json, console`},

		// What is no flag or command.
		{args: "--timout 3s", want: `unknown flag --timout, did you mean "--timeout"?`},
		{args: "start", want: `unexpected argument start`},
		{args: "version --listen :1", want: `unknown flag --listen`},

		// Settings that contradict each other are named by where they are from.
		{args: "--listen :8080 --broker tcp://a:1", want: `--listen is ":8080", ` + access},
		{env: "GATEWAY_KEYS_FILE= GATEWAY_LISTEN=0.0.0.0:80", args: "--embedded", want: `GATEWAY_LISTEN is "0.0.0.0:80", ` + access},
		{config: "access: open\nkeys-file: keys.yaml", want: `gateway.yaml:1: access and gateway.yaml:2: keys-file are there together, want one of them`},
		{config: "access: closed", want: `gateway.yaml:1: access is "closed", want open`},
		{args: "--listen :8080", want: `--broker is "", want a broker's endpoint such as tcp://host:5555, or --embedded`},
		{args: "--no-embedded", want: `--broker is "", want a broker's endpoint such as tcp://host:5555, or --embedded`},
		{args: "--timeout 10m", want: `--max-timeout is "5m", want at least 10m, the value of --timeout`},
		{env: "GATEWAY_MAX_TIMEOUT=1s", want: `GATEWAY_MAX_TIMEOUT is "1s", want at least 25s, the value of --timeout`},
		{args: "--max-body 1GiB", want: `--max-buffered is "512MiB", want at least 2GiB, twice the value of --max-body`},
		{args: "--max-reply 257MiB", want: `--max-buffered is "512MiB", want at least 514MiB, twice the value of --max-reply`},
		{args: "--admin-listen 127.0.0.1:8080", want: `--admin-listen is "127.0.0.1:8080", want another address than that of --listen`},
		{args: "--broker tcp://a:1 --broker tcp://a:1", want: `two brokers are named "tcp://a:1", want another name for each`},

		{config: "services:\n  slow: {timeout: 10m}", want: `gateway.yaml:2: services.slow.timeout is 10m0s, want at most --max-timeout, which is 5m0s`},
		{config: "services:\n  lora: {example: {vars: {sf: 7}}}", args: "--check --max-vars 8B", want: `gateway.yaml:2: services.lora.example.vars has 9 bytes as a frame, want at most --max-vars, which is 8`},
		{config: "services:\n  lora: {example: {body: AAEC}}", args: "--check --max-body 8B", want: `gateway.yaml:2: services.lora.example has 15 bytes as JSON, want at most --max-body, which is 8`},
		{config: "services:\n  lora: {vars: json, example: {frames: [a, b]}}\nbrokers: [{endpoint: 'tcp://a:1', dialect: loudify}]", args: "--check", want: `gateway.yaml:2: services.lora.example has 2 frames, and the service takes at most 1`},
		{config: "services:\n  slow: {timeout: 10m}", args: "--check", want: `gateway.yaml:2: services.slow.timeout is 10m0s, want at most --max-timeout, which is 5m0s`},

		// The environment.
		{env: "GATEWAY_TIMEOUT=soon", want: `GATEWAY_TIMEOUT is "soon", ` + duration},
		{env: "GATEWAY_BROKER=tcp://a:1;tcp://b:2", want: `GATEWAY_BROKER is "tcp://a:1;tcp://b:2", ` + address},
		{env: "GATEWAY_EMBEDDED=1", want: `GATEWAY_EMBEDDED is "1", want true or false`},
		{env: "GATEWAY_TOKEN=hunter2 GATEWAY_TIMOUT=1s", want: `the environment has GATEWAY_TIMOUT, GATEWAY_TOKEN, want only the variables that --help-all lists`},
		{env: "GATEWAY_LISTEN_PORT=8080", want: `the environment has GATEWAY_LISTEN_PORT, want only the variables that --help-all lists`},

		// The file.
		{args: "--config /nowhere/g.yaml", want: `--config is "/nowhere/g.yaml", want a file that can be read: no such file or directory`},
		{config: "timeout: 25", want: `gateway.yaml:1: timeout is "25", ` + duration},
		{config: "# limits\n\npool-max: [1, 2]", want: `gateway.yaml:3: pool-max is "1,2", want a whole number of at least 1`},
		{config: "timeout: {default: 1s}", want: `gateway.yaml:1: timeout is a mapping, want one value or a list of values`},
		{config: "listen: :80\ntimout: 1s", want: `gateway.yaml:2: timout is no setting, did you mean timeout?`},
		{config: "max_timeout: 1m", want: `gateway.yaml:1: max_timeout is no setting, did you mean max-timeout?`},
		{config: "colour: red", want: `gateway.yaml:1: colour is no setting, want one that --help-all lists, services, brokers or issuers`},
		{config: "config: other.yaml", want: `gateway.yaml:1: config is no setting, want one that --help-all lists, services, brokers or issuers`},
		{config: "drain: 1s\ndrain: 2s", want: `gateway.yaml:2: drain is there twice`},
		{config: "- timeout", want: `gateway.yaml:1: the file is a list, want keys and values`},
		{config: "timeout: 1s\n---\ntimeout: 2s", want: `gateway.yaml:1: the file has several documents, want one`},
		{config: "timeout: 'x", want: `gateway.yaml:1: yaml: found unexpected end of stream`},
		{config: "brokers: tcp://a:1", want: `gateway.yaml:1: brokers is "tcp://a:1", want a list of {name, endpoint, dialect, mmi, curve}`},
		{config: "brokers: [tcp://a:1]", want: `gateway.yaml:1: brokers[0] is "tcp://a:1", want keys and values`},
		{config: "brokers: [{name: a}]", want: `gateway.yaml:1: brokers[0] has no endpoint, want tcp://host:port or ipc://path`},
		{config: "brokers:\n- endpoint: tcp://a:1\n- endpoint: a:1", want: `gateway.yaml:3: brokers[1].endpoint is "a:1", ` + address},
		{config: "brokers: [{endpoint: tcp://a:1, dialect: x}]", want: `gateway.yaml:1: brokers[0].dialect is "x", want one of mdp/0.1, mdp/0.2, loudify, majortomo, ` + otherDialects},
		{config: "brokers: [{endpoint: tcp://a:1, url: x}]", want: `gateway.yaml:1: brokers[0].url is no key here, want one of name, endpoint, dialect, mmi, curve`},
		{config: "brokers: [{endpoint: tcp://a:1}]\nbroker: tcp://b:1", want: `gateway.yaml has broker and brokers, want one of them`},
		{config: "brokers: [{name: a, endpoint: tcp://a:1}, {name: a, endpoint: tcp://b:1}]", want: `two brokers are named "a", want another name for each`},

		// Other commands.
		{args: "worker", env: "GATEWAY_BROKER=tcp://a:1,tcp://b:1", want: `GATEWAY_BROKER is "tcp://a:1,tcp://b:1", ` + address},
		{args: "worker --concurrency 0", want: `--concurrency is "0", want a whole number of at least 1`},
		{args: "broker --bind 5555", want: `--bind is "5555", want tcp://address:port, tcp://address:* or ipc://path`},
		{args: "broker --redispatch -1", want: `--redispatch is "-1", want a whole number of at least 0`},
		{args: "broker", env: "GATEWAY_LISTEN=:80", want: `the environment has GATEWAY_LISTEN, want only the variables that --help-all lists`},
	} {
		if c.config != "" {
			c.args = "--config FILE " + c.args
		}
		code, stdout, stderr := runGateway(t, c.args, strings.Fields(c.env), c.config)
		if want := "gateway: " + c.want + "\n"; code != exitUsage || stdout != "" || stderr != want {
			t.Errorf("%s gateway %s, file %q:\n got %d %q %s\nwant %d %q %s", c.env, c.args, c.config, code, stdout, stderr, exitUsage, "", want)
		}
	}
}

func TestAFlagBeatsTheEnvironmentAndThatTheFileAndThatTheDefault(t *testing.T) {
	const file = "timeout: 3s\nbroker: [tcp://file:1, 'tcp://file:2']\nembedded: false\nmax-body: 3MiB\n"
	env := []string{"GATEWAY_TIMEOUT=2s", "GATEWAY_BROKER=tcp://env:1, tcp://env:2", "GATEWAY_EMBEDDED=true", "GATEWAY_MAX_BODY=2MiB"}
	flags := "--timeout 1s --broker tcp://flag:1 --broker tcp://flag:2,tcp://flag:3 --no-embedded --max-body 1MiB"
	for _, c := range []struct {
		name, args, config string
		env                []string
		want               string // timeout, embedded, max-body, hosts of brokers
	}{
		{"default", "--broker tcp://flag:1", "", nil, "25s false 64MiB flag:1"},
		{"file", "--config FILE", file, nil, "3s false 3MiB file:1 file:2"},
		{"the file that a variable names", "", file, []string{"GATEWAY_CONFIG=FILE"}, "3s false 3MiB file:1 file:2"},
		{"environment", "--config FILE", file, env, "2s true 2MiB env:1 env:2"},
		{"flag", "--config FILE " + flags, file, env, "1s false 1MiB flag:1 flag:2 flag:3"},
		{"an empty variable is none", "--config FILE", file, []string{"GATEWAY_TIMEOUT=", "GATEWAY_BROKER="}, "3s false 3MiB file:1 file:2"},
		{"a key without value is none", "--config FILE", "timeout:\nbroker: []\nmax-body: ''\n", nil, "25s true 64MiB"},
	} {
		s := effective(t, c.args, c.env, c.config)
		got := fmt.Sprintf("%v %v %v", s["timeout"], s["embedded"], s["max-body"])
		brokers, _ := s["brokers"].([]any)
		for _, b := range brokers {
			got += strings.Replace(b.(map[string]any)["endpoint"].(string), "tcp://", " ", 1)
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestTheEmbeddedBrokerRunsOnlyWhereNobodyElseCanReachIt(t *testing.T) {
	for _, c := range []struct {
		args string
		want bool
	}{
		{"", true},
		{"--listen localhost:80", true},
		{"--listen [::1]:80", true},
		{"--listen 127.9.9.9:80", true},
		{"--listen [::ffff:127.0.0.1]:80", true},
		{"--broker tcp://a:1", false},
		{"--broker tcp://a:1 --embedded", true},
		{"--listen :80 --access open --broker tcp://a:1", false},
		{"--listen :80 --access open --embedded", true},
		{"--listen 127.0.0.1.nip.io:80 --access open --embedded=false --broker tcp://a:1", false},
	} {
		if got := effective(t, c.args, nil, "")["embedded"]; got != c.want {
			t.Errorf("gateway %s: embedded is %v, want %v", c.args, got, c.want)
		}
	}
}

func TestHostsAreThoseOfThisMachineWhereNoKeyIsNeeded(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	_, entry := newKey(t, "web")
	keys := write(t, t.TempDir(), "keys.yaml", entry)
	for _, c := range []struct{ args, want string }{
		{"", "[localhost 127.0.0.1 ::1]"},
		{"--keys-file " + keys, "[localhost 127.0.0.1 ::1]"},
		{"--listen :80 --access open --embedded", "[localhost ip " + strings.ToLower(own) + "]"},
		{"--listen :80 --embedded --keys-file " + keys, "[*]"},
		{"--listen :80 --access open --embedded --allowed-hosts *", "[*]"},
		{"--allowed-hosts LAB.example,localhost", "[lab.example localhost]"},
		{"--allowed-hosts *", "[*]"},
	} {
		if got := fmt.Sprint(effective(t, c.args, nil, "")["allowed-hosts"]); got != c.want {
			t.Errorf("gateway %s: allowed-hosts is %s, want %s", c.args, got, c.want)
		}
	}
}

func TestVariablesThatKubernetesMakesAreNotOurs(t *testing.T) {
	effective(t, "", []string{
		// For a Service named gateway.
		"GATEWAY_SERVICE_HOST=10.0.0.1", "GATEWAY_SERVICE_PORT=80", "GATEWAY_SERVICE_PORT_HTTP=80",
		"GATEWAY_PORT=tcp://10.0.0.1:80", "GATEWAY_PORT_80_TCP=tcp://10.0.0.1:80", "GATEWAY_PORT_80_TCP_ADDR=10.0.0.1",
		// For one named gateway-admin.
		"GATEWAY_ADMIN_SERVICE_HOST=10.0.0.2", "GATEWAY_ADMIN_SERVICE_PORT=81",
		"GATEWAY_ADMIN_PORT=tcp://10.0.0.2:81", "GATEWAY_ADMIN_PORT_81_TCP_PROTO=tcp",
		// What is nobody's business.
		"PATH=/bin", "OTHER_GATEWAY_X=1", "gateway_x=1",
	}, "")
}

func TestWhatCheckPrintsMeansTheSameWhenGivenBack(t *testing.T) {
	const config = `
brokers:
  - {name: hall1, endpoint: "tcp://hall1:5555", dialect: loudify}
  - {endpoint: ipc:///run/mdp.sock}
services:
  lora_decode: {timeout: 30s, vars: python}
embedded: on # YAML's other words for true are not ours
`
	code, _, stderr := runGateway(t, "--config FILE --check", nil, config)
	if want := "gateway: gateway.yaml:7: embedded is \"on\", want true or false\n"; code != exitUsage || stderr != want {
		t.Fatalf("got %d %s, want %d %s", code, stderr, exitUsage, want)
	}
	given := strings.Replace(config, "embedded: on", "embedded: true", 1)
	_, first, _ := runGateway(t, "--config FILE --check --embedded-bind tcp://127.0.0.1:* --max-body 1000 --drain 90m --idle-timeout 1h --pool-reserve 0", nil, given)
	code, second, stderr := runGateway(t, "--config FILE --check", nil, first)
	if code != exitOK || second != first {
		t.Errorf("exit code %d, %s\ngot\n%s\nwant\n%s", code, stderr, second, first)
	}
	for _, want := range []string{
		"embedded-bind: \"tcp://127.0.0.1:*\"\n", "max-body: 1000\n", "drain: 1h30m\n", "idle-timeout: 1h\n", "pool-reserve: 0\n",
		"endpoint: 'tcp://hall1:5555', dialect: loudify, mmi: on}", "name: 'ipc:///run/mdp.sock'", "lora_decode:",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("--check does not print %q:\n%s", want, first)
		}
	}
}

func TestEverySettingIsInTheHelpWithItsVariable(t *testing.T) {
	code, help, stderr := runGateway(t, "serve --help-all", nil, "")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	_, printed, _ := runGateway(t, "--check", nil, "")
	names := 0
	for line := range strings.Lines(printed) {
		name, _, _ := strings.Cut(line, ":")
		names++
		if !strings.Contains(help, name) || !strings.Contains(help, "$"+envName(name)) {
			t.Errorf("the help has not both %s and $%s", name, envName(name))
		}
	}
	if names < 30 {
		t.Errorf("--check prints %d settings:\n%s", names, printed)
	}
}

// The first screen has what people set; the rest works, and is in --help-all.
func TestTheHelpHidesWhatFewNeed(t *testing.T) {
	_, help, _ := runGateway(t, "serve --help", nil, "")
	_, all, _ := runGateway(t, "serve --help-all", nil, "")
	for _, name := range strings.Fields("pool-idle connect-timeout queue-max pool-reserve max-vars header-timeout max-header idle-timeout metrics-max-services slow-log no-workers-wait") {
		if flag := " --" + name + "="; strings.Contains(help, flag) || !strings.Contains(all, flag) {
			t.Errorf("%s: in --help %v, in --help-all %v, want it in the second alone", flag, strings.Contains(help, flag), strings.Contains(all, flag))
		}
	}
	for _, group := range strings.Split("Listen,Brokers,Limits,Discovery,Access,Shutdown and readiness,Logs and telemetry", ",") {
		if !strings.Contains(help, "\n\n"+group+"\n  --") {
			t.Errorf("the help has no group %s", group)
		}
	}
	if !strings.Contains(help, "--help-all also lists") {
		t.Error("the help does not say how to see all")
	}
}

func TestHelpNeedsNoValidSettings(t *testing.T) {
	for _, args := range []string{"--help", "serve --help", "healthcheck --help", "-h", "help", "help serve", "--help-all", "call --help-all"} {
		if code, stdout, stderr := runGateway(t, args, []string{"GATEWAY_TIMEOUT=x"}, ""); code != exitOK || stderr != "" || !strings.HasPrefix(stdout, "Usage: gateway") {
			t.Errorf("gateway %s: got %d %q %q", args, code, stdout, stderr)
		}
	}
}

func TestVersionReadsNoSettings(t *testing.T) {
	for _, args := range []string{"version", "--version", "-v"} {
		code, stdout, stderr := runGateway(t, args, []string{"GATEWAY_TIMEOUT=x", "GATEWAY_UNKNOWN=1"}, "")
		if code != exitOK || stderr != "" || !strings.HasPrefix(stdout, "gateway ") || !strings.Contains(stdout, "go1.") {
			t.Errorf("%s: got %d %q %q", args, code, stdout, stderr)
		}
	}
}

// otherDialects are those of one broker each.
const otherDialects = "majordomogo, libmdp-0.2, libmdp-0x, plantd, irondomo, rustydomo, zmq-mdp2, wdl83, zproto, mdpx/1"
