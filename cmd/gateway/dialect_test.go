package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mdpgateway/internal/mdp/mdptest"
)

// lab is a broker with a dialect of its own, which the file describes as labDialect.
var lab = mdptest.Fake{
	Name: "lab", MMI: "hint", Request: []string{"LAB1", "ask", "NAME"}, Partial: []string{"", "LAB1", "part", "", "ok"},
	Reply: []string{"", "LAB1", "done", "", "ok"}, Refusal: []string{"", "LAB1", "\xff\x00"},
}

const labDialect = `
      header: LAB1
      delimiter: {request: false}
      request: ask
      partial: part
      final: done
      error: !!binary /wA=
      names_service: false
      padded: true
      status_frame: {ok: ok, failed: failed}
`

// Every broker that was seen, and one that is described in the file, behind one gateway. Each
// fake fails the test if it is sent anything but its own requests, such as a question that
// it would not answer.
func TestBrokersOfOthersAreCalledThroughTheGateway(t *testing.T) {
	var brokers, services strings.Builder
	fakes := append(mdptest.Fakes(), lab)
	for i, fake := range fakes {
		name, other := fmt.Sprintf("s%03d", i), fmt.Sprintf("x%03d", i)
		fmt.Fprintf(&brokers, "  - name: %s\n    endpoint: %s\n    mmi: %s\n    dialect: %s\n", fake.Name,
			fake.Start(t, name, other).Endpoint(), fake.MMI, fake.Dialect)
		if fake.Dialect == "" {
			brokers.WriteString(labDialect)
		}
		for _, service := range []string{name, other} {
			fmt.Fprintf(&services, "  %s: {brokers: [%q], vars: none}\n", service, fake.Name)
		}
	}
	g := start(t, "--no-workers-wait", "0s", "--config", write(t, t.TempDir(), "gateway.yaml", "brokers:\n"+brokers.String()+"services:\n"+services.String()))
	g.connected()
	for i, fake := range fakes {
		service := fmt.Sprintf("s%03d", i)
		want, body := `"frames":[{"data":"hi","encoding":"text"},{"data":"","encoding":"text"},{"data":"AP8=","encoding":"base64"}]`, ""
		if fake.Dialect == "loudify" { // whose workers take one frame of data
			want = `"frames":[{"data":"AP8=","encoding":"base64"}]`
			body = `{"body":"AP8=","encoding":"base64"}`
		} else {
			body = `{"frames":["hi","",{"data":"AP8=","encoding":"base64"}]}`
		}
		for range 2 {
			if a := g.post(service, body); a.status != 200 || !strings.Contains(string(a.body), want) {
				t.Errorf("%s: got %d %s, want %s", fake.Name, a.status, a.body, want)
			}
		}
		if fake.Partial != nil {
			a := g.post(service, `{"frames":["twice","hi"]}`)
			if partials, _ := a.json("partials").([]any); a.status != 200 || fmt.Sprint(a.data()) != "[twice hi]" || len(partials) != 1 {
				t.Errorf("%s: got %d %s, want one PARTIAL", fake.Name, a.status, a.body)
			}
		}
		other := fmt.Sprintf("x%03d", i)
		switch {
		case fake.MMI == "on": // and the broker says, in its way, that there are no workers
			if a := g.post(other, `{"body":"hi"}`); a.status != 503 || a.json("code") != "no_workers" {
				t.Errorf("%s: without workers: got %d %s, want 503 no_workers", fake.Name, a.status, a.body)
			}
		case fake.Refusal != nil:
			if a := g.post(other, `{"body":"hi"}`); a.status != 502 || a.json("code") != "bad_reply" || a.json("reason") != "refused" {
				t.Errorf("%s: a refusal is %d %s, want 502 bad_reply (refused)", fake.Name, a.status, a.body)
			}
		}
	}
	a := g.post(fmt.Sprintf("s%03d/dry-run", len(fakes)-1), `{"body":"hi"}`)
	if a.status != 200 || a.json("dialect") != "declared" || !strings.Contains(string(a.body), `"text":"LAB1"`) {
		t.Errorf("a dry run is %d %s, want the frames of the dialect that is declared", a.status, a.body)
	}
}

// A broker that the file names is called in its dialect, however that is given.
func TestACallGoesToABrokerOfTheFileByItsName(t *testing.T) {
	config := write(t, t.TempDir(), "gateway.yaml", fmt.Sprintf("brokers:\n  - name: lab\n    endpoint: %s\n    dialect:%s",
		lab.Start(t, "echo", "ohce").Endpoint(), labDialect))
	code, stdout, stderr := gatewayCall(t, "echo", "--config", config, "--broker", "lab", "--hex")
	if code != exitOK || stderr != "" || strings.Count(stdout, "\n") != 4+6 || !strings.Contains(stdout, `4 bytes  4c414231  "LAB1"`) {
		t.Errorf("exit code %d, %s%s, want a message of 4 frames and one of 6", code, stderr, stdout)
	}
	code, _, stderr = gatewayCall(t, "echo", "--config", config, "--broker", "lap")
	if want := "gateway: --broker is \"lap\", want " + brokerWanted + ", or a name of brokers in the file\n"; code != exitUsage || stderr != want {
		t.Errorf("exit code %d, %q, want %q", code, stderr, want)
	}
}

func TestADialectThatCannotBeSpokenStopsTheStart(t *testing.T) {
	for text, want := range map[string]string{
		`loudfy`: `is "loudfy", want one of mdp/0.1, mdp/0.2, loudify, majortomo, ` + otherDialects + `; did you mean loudify?`,
		`[a]`:    `is a list, want one of mdp/0.1, mdp/0.2, loudify, majortomo, ` + otherDialects,
		`{}`:     `has no header, want the frame that messages of clients begin with`,
		`{headr: A}`: `.headr is no key here, did you mean header? want one of header, delimiter, request, partial, final, error, ` +
			`names_service, padded, status_frame, mmi`,
		`{header: ""}`:                                        `.header is empty, want at least one byte`,
		`{header: 1}`:                                         `.header is "1", want text in quotes`,
		`{header: A, request: 2}`:                             `.request is "2", want text in quotes`,
		`{header: A, delimiter: true}`:                        `.delimiter is "true", want keys and values`,
		`{header: A, delimiter: {rep: no}}`:                   `.delimiter.rep is no key here, want one of request, reply`,
		`{header: A, names_service: maybe}`:                   `.names_service is "maybe", want true or false`,
		`{header: A, mmi: maybe}`:                             `.mmi is "maybe", want one of on, hint, off`,
		`{header: A, partial: B}`:                             `.partial is "B", want final beside it`,
		`{header: A, final: B, error: B}`:                     `.error is "B", which is final, want another frame`,
		"{header: A, final: \"\\x03\",\n partial: \"\\x03\"}": `:3: brokers[0].dialect.partial is "\x03", which is final, want another frame`,
		`{header: A, status_frame: {ok: B}}`:                  `.status_frame has no failed, want the frame in place of ok`,
		`{header: A, status_frame: {ok: B, failed: B}}`:       `.status_frame.failed is "B", which is ok, want another frame`,
	} {
		switch want[0] {
		case 'i', 'h':
			want = ":2: brokers[0].dialect " + want
		case '.':
			want = ":2: brokers[0].dialect" + want
		}
		code, stdout, stderr := runGateway(t, "--config FILE --check", nil, "brokers:\n- {endpoint: tcp://a:1, dialect: "+text+"}")
		if want := "gateway: gateway.yaml" + want + "\n"; code != exitUsage || stdout != "" || stderr != want {
			t.Errorf("%s:\n got %d %q %s\nwant %d %q %s", text, code, stdout, stderr, exitUsage, "", want)
		}
	}
}

// --check says which messages a broker is sent, and prints a dialect so that it can be
// given back.
func TestCheckShowsTheMessagesOfEachBroker(t *testing.T) {
	config := "brokers:\n  - {name: a, endpoint: tcp://a:1, dialect: zproto}\n  - name: b\n    endpoint: tcp://b:1\n    mmi: hint\n    dialect:" + labDialect
	_, first, stderr := runGateway(t, "--config FILE --check", nil, config)
	for _, want := range []string{
		`# request \xaa\xa4\x01\x06MDPC02\x01\aSERVICE | BODY; partial \xaa`,
		`# request LAB1 | ask | SERVICE | BODY; partial '' | LAB1 | part | '' | ok | BODY; final '' | LAB1 | done | '' | ok | BODY; ` +
			`error '' | LAB1 | \xff\x00 | BODY; mmi hint`,
	} {
		if !strings.Contains(first, "\n  "+want) {
			t.Errorf("%s--check does not print %s:\n%s", stderr, want, first)
		}
	}
	code, second, stderr := runGateway(t, "--config FILE --check", nil, first)
	if code != exitOK || second != first {
		t.Errorf("exit code %d, %s\ngot\n%s\nwant\n%s", code, stderr, second, first)
	}
}

// A broker's own mode of MMI beats --mmi, which beats that of its dialect where it asks less.
func TestEveryBrokerHasItsModeOfMMI(t *testing.T) {
	const file = "brokers: [{name: a, endpoint: tcp://a:1}, {name: b, endpoint: tcp://b:1, dialect: plantd}, " +
		"{name: c, endpoint: tcp://c:1, dialect: irondomo, mmi: on}, {name: d, endpoint: tcp://d:1, dialect: {header: A, mmi: off}}]"
	for args, want := range map[string]string{
		"":           "on hint on off",
		"--mmi hint": "hint hint on off",
		"--mmi off":  "off off on off",
	} {
		got := ""
		for _, b := range effective(t, "--config FILE "+args, nil, file)["brokers"].([]any) {
			got += fmt.Sprint(b.(map[string]any)["mmi"], " ")
		}
		if strings.TrimSpace(got) != want {
			t.Errorf("%s: got %s, want %s", args, got, want)
		}
	}
}

// A dialect that is read again is the same, unless one of its frames has changed.
func TestAReloadTellsWhetherADialectHasChanged(t *testing.T) {
	config := "brokers:\n  - name: lab\n    endpoint: tcp://127.0.0.1:1\n    dialect:" + labDialect
	g := startWith(t, config, nil)
	for _, final := range []string{"done", "over"} {
		g.write(t, strings.ReplaceAll(config, "done", final))
		if line := g.hangUp(t); line["level"] != "info" {
			t.Errorf("the reload is logged as %v", line)
		}
	}
	// The line follows that of the reload.
	eventually(t, "the log says that the brokers have changed", func() bool {
		for _, line := range g.lines() {
			if line["msg"] == "settings have changed that need a restart" && fmt.Sprint(line["settings"]) == "[brokers]" {
				return true
			}
		}
		return false
	})
	told := 0
	for _, line := range g.lines() {
		if line["msg"] == "settings have changed that need a restart" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the log says %d times that something has changed, want once", told)
	}
}

// The page's table has every broker that was seen, and its example of a dialect starts.
func TestThePageOfBrokersIsTrue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "brokers.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, fake := range mdptest.Fakes() {
		if row := fmt.Sprintf("\n| %s | `%s`", fake.Name, fake.Dialect); !strings.Contains(page, row) {
			t.Errorf("the page has no row %s", strings.TrimSpace(row))
		}
	}
	_, block, _ := strings.Cut(page, "\n```yaml\n")
	block, _, _ = strings.Cut(block, "\n```\n")
	code, stdout, stderr := runGateway(t, "serve --check --config FILE", nil, block)
	if code != exitOK || stderr != "" {
		t.Errorf("exit code %d, %s, for\n%s", code, stderr, block)
	}
	_, printed, _ := strings.Cut(page, "\n```text\n")
	for line := range strings.Lines(printed) {
		if line == "```\n" {
			break
		}
		name, frames, _ := strings.Cut(strings.TrimSpace(line), " ")
		if want := name + " " + strings.TrimSpace(frames) + ";"; !strings.Contains(stdout, want) {
			t.Errorf("--check does not print %q for the example:\n%s", want, stdout)
		}
	}
	for _, key := range []string{"header", "delimiter", "request", "partial", "final", "error", "names_service", "padded", "status_frame", "mmi"} {
		if !strings.Contains(block, " "+key+": ") || !strings.Contains(page, "\n| `"+key) {
			t.Errorf("the page does not show and explain the key %s", key)
		}
	}
}
