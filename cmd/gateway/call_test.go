package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mdpgateway/internal/mdp/mdptest"
)

// gatewayCall runs gateway call.
func gatewayCall(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), append([]string{"call"}, args...), nil, &out, &errs)
	return code, out.String(), errs.String()
}

func TestACallGoesStraightToABroker(t *testing.T) {
	broker := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, broker, "echo", echoBack)
	samples := filepath.Join(t.TempDir(), "samples")
	if err := os.WriteFile(samples, []byte("h\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"echo", samples}, "h\xff"},
		{[]string{"echo", samples, "--dialect", "mdp/0.2"}, "h\xff"},
		{[]string{"echo", samples, "--vars", `{"sf":7,"on":true}`}, "h\xff\n{'sf': 7, 'on': True}\n"},
		{[]string{"echo", "--dialect", "loudify"}, "\n{}\n"},
		{[]string{"echo", "--body", "hello"}, "hello"},
		{[]string{"echo", "--body", ""}, ""},
	} {
		code, stdout, stderr := gatewayCall(t, append(c.args, "--broker", broker)...)
		if code != exitOK || stdout != c.want || stderr != "" {
			t.Errorf("%v: exit code %d, %q, %s, want %q", c.args, code, stdout, stderr, c.want)
		}
	}
}

func TestHexShowsEveryFrameBothWays(t *testing.T) {
	broker := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, broker, "echo", echoBack)
	code, stdout, stderr := gatewayCall(t, "echo", "--hex", "--broker", broker)
	got := regexp.MustCompile(` +[0-9.]+ ms`).ReplaceAllString(stdout, " TIME")
	const want = `> TIME  0  0 bytes
> TIME  1  6 bytes  4d4450433031  "MDPC01"
> TIME  2  4 bytes  6563686f  "echo"
> TIME  3  0 bytes
< TIME  0  0 bytes
< TIME  1  6 bytes  4d4450433031  "MDPC01"
< TIME  2  4 bytes  6563686f  "echo"
< TIME  3  0 bytes
`
	if code != exitOK || got != want {
		t.Errorf("exit code %d, %s, got\n%s\nwant\n%s", code, stderr, got, want)
	}
}

func TestACallThatFailsSaysWhy(t *testing.T) {
	gone := mdptest.NewRouter(t, nil)
	gone.Close()
	mute := mdptest.NewRouter(t, func([]byte, [][]byte) [][][]byte { return nil })
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"echo", "--broker", gone.Endpoint()}, exitFailed, "no broker can be reached"},
		{[]string{"echo", "--broker", gone.Endpoint()}, exitFailed, "is there a broker at " + gone.Endpoint() + "?"},
		{[]string{"echo", "--vars", "[1]"}, exitUsage, `--vars is "[1]", want a JSON object`},
		{[]string{"echo", "nowhere"}, exitUsage, `FILE is "nowhere", want a file with the body, or --body for the body itself`},
		{[]string{"echo", "--timeout", "50ms", "--broker", mute.Endpoint()}, exitFailed, "no reply within 50ms: is the service there"},
		{[]string{"mmi.service", "--broker", mdptest.Endpoint(mdptest.Broker(t))}, exitFailed, "belongs to the broker"},
	} {
		code, stdout, stderr := gatewayCall(t, c.args...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit code %d, %q, %q, want one line with %s", c.args, code, stdout, stderr, c.want)
		}
	}
}

// Loudify's workers say with a reply that they failed. What else it holds is printed
// nevertheless; a script sees the exit code.
func TestACallWhoseReplyMeansFailureFails(t *testing.T) {
	broker := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, broker, "fail", func(context.Context, [][]byte, func([][]byte) error) ([][]byte, error) {
		return [][]byte{[]byte("\x06"), []byte("why")}, nil
	})
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"--dialect", "loudify"}, exitFailed, "\x06\nwhy\n", "worker_error (flowgraph_failed)"},
		{[]string{"--dialect", "loudify", "--hex"}, exitFailed, `3 bytes  776879  "why"`, "worker_error (flowgraph_failed)"},
		{[]string{"--dialect", "mdp/0.1"}, exitOK, "\x06\nwhy\n", ""},
	} {
		code, stdout, stderr := gatewayCall(t, append(c.args, "fail", "--broker", broker)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || strings.Count(stderr, "\n") != code {
			t.Errorf("%v: exit code %d, %q, %q, want %d, %q and %q", c.args, code, stdout, stderr, c.code, c.stdout, c.stderr)
		}
	}
}

// In a pod the environment and the file are those of serve, for whom vars is the
// name of an encoding.
func TestACallRunsInTheEnvironmentOfTheGateway(t *testing.T) {
	broker := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, broker, "echo", echoBack)
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(config, []byte("listen: :8080\ndialect: mdp/0.2\nvars: json\nservices: {echo: {}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call := func(env ...string) (code int, stdout, stderr string) {
		var out, errs strings.Builder
		code = run(t.Context(), []string{"call", "echo", "--config", config, "--vars", `{"sf":7}`}, env, &out, &errs)
		return code, out.String(), errs.String()
	}
	if code, stdout, stderr := call("GATEWAY_BROKER="+broker, "GATEWAY_VARS=python", "GATEWAY_ADMIN_LISTEN=:8081"); code != exitOK || stdout != "\n{'sf': 7}\n" {
		t.Errorf("exit code %d, %q, %s", code, stdout, stderr)
	}
	if code, _, stderr := call("GATEWAY_LISTN=:8080"); code != exitUsage || !strings.Contains(stderr, "GATEWAY_LISTN") {
		t.Errorf("exit code %d, %s, want a variable that nobody knows refused", code, stderr)
	}
}
