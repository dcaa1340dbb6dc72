package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mdpgateway/internal/certs"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/zmtp"
)

// findings returns what gateway doctor says of settings, as the grade and the text of each line.
func findings(t *testing.T, args, config string) (code int, text string) {
	t.Helper()
	code, stdout, stderr := runGateway(t, "doctor --listen 127.0.0.1:0 "+args, nil, config)
	if (code == exitOK) != (stderr == "") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	return code, strings.Join(strings.Fields(stdout), " ")
}

func TestTheDoctorTakesAnyFreePortOfTheEmbeddedBroker(t *testing.T) {
	t.Parallel()
	code, got := findings(t, "--embedded --embedded-bind tcp://127.0.0.1:*", "")
	if code != exitOK || !strings.Contains(got, "ok broker embedded") {
		t.Errorf("exit code %d: %s", code, got)
	}
}

func TestTheDoctorFindsNothingAtAGoodBroker(t *testing.T) {
	t.Parallel()
	broker := mdptest.Endpoint(mdptest.Broker(t))
	mdptest.Worker(t, broker, "echo", echoBack)
	mdptest.WaitForService(t, broker, "echo")
	code, got := findings(t, "--config FILE", fmt.Sprintf(`
brokers: [{name: hall1, endpoint: %q, dialect: {header: MDPC01}}]
services: {echo: {}}
`, broker))
	for _, want := range []string{
		"ok settings", "ok clock", "ok open files", "ok listen 127.0.0.1:0 is free", "ok broker hall1 " + broker + " is connected",
		"mechanism NULL, socket ROUTER", "ok broker hall1 request is '' | MDPC01 | SERVICE | BODY",
		"ok broker hall1 answers look-ups (MMI): 404", "ok service echo has workers at hall1",
	} {
		if want == "ok clock" && strings.Contains(got, "warn clock") { // the machine's
			continue
		}
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if code != exitOK || strings.Contains(got, "fail") {
		t.Errorf("exit code %d, want 0 and no failure:\n%s", code, got)
	}
}

func TestTheDoctorGoesToTheServersOfTheJobs(t *testing.T) {
	t.Parallel()
	gone := mdptest.NewRouter(t, nil)
	gone.Close()
	there, away := "nats://"+answering(t, "INFO {}\r\n"), strings.Replace(gone.Endpoint(), "tcp:", "nats:", 1)
	code, got := findings(t, "--jobs "+there+","+away, "")
	if code != exitFailed || !strings.Contains(got, "ok jobs "+there+" is connected") || !strings.Contains(got, "fail jobs dial tcp") ||
		!strings.Contains(got, "→ start the NATS server") {
		t.Errorf("exit code %d, want 1, with %s connected and %s not:\n%s", code, there, away, got)
	}
}

func TestTheDoctorSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	good := mdptest.Endpoint(mdptest.Broker(t))
	mute := mdptest.NewRouter(t, func([]byte, [][]byte) [][][]byte { return nil })
	var asked atomic.Int64
	slow := mdptest.NewRouter(t, func([]byte, [][]byte) [][][]byte {
		if asked.Add(1) == 1 {
			return nil
		}
		return [][][]byte{{nil, []byte("MDPC01"), []byte(mdp.MMIService), []byte(mdp.StatusNotFound)}}
	})
	gone := mdptest.NewRouter(t, nil)
	gone.Close()
	config := fmt.Sprintf(`
brokers:
  - {name: good, endpoint: %q}
  - {name: mute, endpoint: %q}
  - {name: slow, endpoint: %q}
  - {name: gone, endpoint: %q}
  - {name: web, endpoint: "tcp://%s"}
  - {name: quiet, endpoint: %q, dialect: {header: MDPC01, mmi: off}}
services: {lora: {}, untold: {brokers: [quiet]}}
`, good, mute.Endpoint(), slow.Endpoint(), gone.Endpoint(), answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), good)
	code, got := findings(t, "--config FILE", config)
	if code != exitFailed {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{
		"fail broker mute answers no look-up (MMI)", "→ wrong dialect, or a broker without MMI",
		"ok broker slow answers look-ups (MMI): 404",
		"fail broker gone dial tcp", "→ start the broker",
		"fail broker web no handshake: it does not speak ZeroMQ's protocol → give the port",
		"ok broker quiet is not asked", "fail service lora no broker has workers of it → start its workers",
		"warn service untold no broker could be asked for it",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// answering returns the address of a listener that says the same to everybody.
func answering(t *testing.T, text string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(text))
			_, _ = c.Read(make([]byte, 64)) // a reset would take the text along
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func TestTheDoctorLooksAtThisMachine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	_, entry := newKey(t, "web")
	if err := os.WriteFile(keys, []byte(entry), 0o644); err != nil { // #nosec G306 -- that is what it finds
		t.Fatal(err)
	}
	code, got := findings(t, "--no-embedded --admin-listen "+taken.Addr().String()+" --access-file "+keys+" --jobs "+t.TempDir()+"/no/jobs --broker tcp://127.0.0.1:1", "")
	for _, want := range []string{
		"fail admin-listen another program listens on", "→ stop the program that has the port",
		"warn access-file " + keys + " can be read by every user of this machine → chmod o-r", "fail jobs", "→ create the directory",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if code != exitFailed {
		t.Errorf("exit code %d, want 1", code)
	}
	if code, got := findings(t, "--timeout 9h", ""); code != exitFailed || !strings.Contains(got, "fail settings --max-timeout is") {
		t.Errorf("bad settings: exit code %d, %s", code, got)
	}
}

func TestTheDoctorJudgesPeers(t *testing.T) {
	for _, c := range []struct {
		peer zmtp.Peer
		keys bool
		want string
		good bool
	}{
		{zmtp.Peer{Version: "3.1", Mechanism: "NULL", SocketType: "ROUTER"}, false, "ok", true},
		{zmtp.Peer{Version: "2.0", Mechanism: "NULL"}, false, "warn", true},
		{zmtp.Peer{Version: "3.1", Mechanism: "NULL", SocketType: "PUB"}, false, "fail", false},
		{zmtp.Peer{Version: "3.1", Mechanism: "CURVE"}, false, "fail", false},
		{zmtp.Peer{Version: "3.1", Mechanism: "CURVE"}, true, "ok", true},
		{zmtp.Peer{Version: "3.1", Mechanism: "NULL", SocketType: "ROUTER"}, true, "fail", false},
	} {
		var out strings.Builder
		if good := judgePeer(&report{to: &out}, "broker", c.peer, c.keys, nil); good != c.good || !strings.HasPrefix(out.String(), c.want) {
			t.Errorf("%+v: got %v, %s", c.peer, good, out.String())
		}
	}
}

func TestTheDoctorKnowsWhenCertificatesEnd(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for want, d := range map[string]certs.Date{
		"ok   tls-cert             ends at 2026-01-16":    {Issued: now, Ends: now.Add(15 * day)},
		"warn tls-cert             ends at 2026-01-14":    {Issued: now, Ends: now.Add(13 * day)},
		"fail tls-cert             ended at 2025-12-31":   {Issued: now.Add(-2 * day), Ends: now.Add(-day)},
		"fail tls-cert             holds from 2026-01-02": {Issued: now.Add(day), Ends: now.Add(90 * day)},
		"ok   tls-cert             has no end":            {},
	} {
		d.Setting = "tls-cert"
		var out strings.Builder
		if judgeDate(&report{to: &out}, d, now); !strings.HasPrefix(out.String(), want) {
			t.Errorf("got %s, want %s", out.String(), want)
		}
	}
}
