package curve_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mdpgateway/internal/curve"
	"mdpgateway/internal/yamlnode"
)

// python runs a program with pyzmq.
func python(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{"-c", program}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("this test needs Debian's python3 and python3-zmq: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func TestPyzmqReadsOurFilesAndWeItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pair := curve.NewPair()
	public, secret, err := curve.Write(dir, "hall1", pair)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := filepath.Base(public)+" "+filepath.Base(secret), "hall1.key hall1.key_secret"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got := python(t, `
import sys, zmq, zmq.auth
public, none = zmq.auth.load_certificate(sys.argv[1])
same, secret = zmq.auth.load_certificate(sys.argv[2])
assert none is None and same == public == zmq.curve_public(secret)
zmq.auth.create_certificates(sys.argv[3], "theirs")
print(public.decode(), secret.decode())`, public, secret, dir)
	if want := pair.Public.String() + " " + pair.Secret.Reveal(); got != want {
		t.Errorf("pyzmq read %s, want %s", got, want)
	}
	file := filepath.Join(dir, "theirs.key_secret")
	if _, err := curve.LoadPair(file); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v, want that others can read what pyzmq wrote", err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	theirs, err := curve.LoadPair(file)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := curve.LoadKey(filepath.Join(dir, "theirs.key")); err != nil || key != theirs.Public {
		t.Errorf("got %v, %v, want the key %v of the pair", key, err, theirs.Public)
	}
}

// czmq is a file as zcert_save of CZMQ 4 writes it, with RFC 26's pair of keys.
const czmq = `#   ****  Generated on 2026-11-27 09:00:00 by CZMQ  ****
#   ZeroMQ CURVE **Secret** Certificate
#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

metadata
    name = "hall = 1"
curve
    public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
    secret-key = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
`

func TestParse(t *testing.T) {
	t.Parallel()
	c, err := curve.Parse([]byte(czmq))
	if err != nil || c.Public.String() != "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID" || c.Secret.Reveal() != "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs" {
		t.Errorf("got %v, %v, want the pair of the file", c, err)
	}
	bare := strings.ReplaceAll(czmq, `"`, "")
	if again, err := curve.Parse([]byte(bare)); err != nil || *again.Secret != *c.Secret {
		t.Errorf("without quotes: got %v, %v", again, err)
	}
	for _, bad := range []struct{ name, file, want string }{
		{"empty", "", "public-key"},
		{"only a secret", strings.ReplaceAll(czmq, "public-key", "other-key"), "public-key"},
		{"elsewhere", strings.ReplaceAll(czmq, "\ncurve", "\nother"), "public-key"},
		{"cut off", czmq[:len(czmq)-5], "40 characters"},
		{"no Z85", strings.ReplaceAll(czmq, "Yne@", "Yne~"), "public-key"},
		{"beyond 32 bits", strings.ReplaceAll(czmq, "Yne@$", "#####"), "public-key"},
		{"another's secret", strings.ReplaceAll(czmq, "D:)Q", "D:)R"), "belongs to"},
	} {
		_, err := curve.Parse([]byte(bad.file))
		if err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: got %v, want %q", bad.name, err, bad.want)
		}
		if err != nil && strings.Contains(err.Error(), "IlAW") {
			t.Errorf("%s: the error shows the secret: %v", bad.name, err)
		}
	}
}

func TestASecretIsNotShown(t *testing.T) {
	t.Parallel()
	pair := curve.NewPair()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, pair); strings.Contains(text, pair.Secret.Reveal()) || !strings.Contains(text, "secret") {
			t.Errorf("%s: got %s", verb, text)
		}
	}
}

func TestFilesAreNeitherReplacedNorReadIfOthersCan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	public, secret, err := curve.Write(dir, "a", curve.NewPair())
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := curve.Write(dir, "a", curve.NewPair()); err == nil || !strings.Contains(err.Error(), secret+" exists") {
		t.Errorf("got %v, want that the file exists", err)
	}
	if err := os.Rename(secret, secret+"2"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := curve.Write(dir, "a", curve.NewPair()); err == nil || !strings.Contains(err.Error(), public+" exists") {
		t.Errorf("got %v, want that the file exists", err)
	}
	if _, err := os.Stat(secret); err == nil {
		t.Error("a secret without its public key was left")
	}
	if err := os.Rename(secret+"2", secret); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(secret); !bytes.Equal(now, before) {
		t.Error("the file was changed")
	}
	for mode, fine := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o440: true, 0o640: true, 0o644: false, 0o660: false, 0o604: false} {
		if err := os.Chmod(secret, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := curve.LoadPair(secret); (err == nil) != fine {
			t.Errorf("mode %#o: got %v, want it to be read: %v", mode, err, fine)
		}
	}
	if _, err := curve.LoadPair(public); err == nil || !strings.Contains(err.Error(), "secret-key") {
		t.Errorf("got %v, want that the secret is missing", err)
	}
	if _, err := curve.LoadPair(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "can be read") {
		t.Errorf("got %v, want that there is no file", err)
	}
}

func TestParseList(t *testing.T) {
	t.Parallel()
	const key, other = `"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"`, `"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"`
	l, err := curve.ParseList("peers", []byte("- {id: w, key: "+key+", role: worker, services: ['lora_*', echo]}\n- {id: g, key: "+other+", role: client}\n"))
	if err != nil {
		t.Fatal(err)
	}
	w, g := l.Find([]byte(strings.Trim(key, `"`))), l.Find([]byte(strings.Trim(other, `"`)))
	if w.ID != "w" || g.ID != "g" || g.Role != curve.RoleClient || l.Len() != 2 || l.Find(nil) != nil {
		t.Errorf("got %v and %v", w, g)
	}
	if !w.MayServe("lora_a") || !w.MayServe("echo") || w.MayServe("lora") || g.MayServe("echo") {
		t.Error("a worker may serve what its globs say, a client nothing")
	}
	for _, bad := range []struct{ file, want string }{
		{"", "1 peers is empty, want at least one peer"},
		{"- {id: w, key: " + key + "}", "1 peers[0] has no role"},
		{"- {id: w, key: " + key + ", role: boss}", `peers[0].role is "boss", want worker or client`},
		{"- {id: w, key: " + key + ", role: worker}", "peers[0] has no services"},
		{"- {id: w, key: " + key + ", role: client, services: ['*']}", "peers[0] has services, want none"},
		{"- {id: w, key: short, role: client}", "want a public key: 40 characters of Z85"},
		{"- {id: 'w w', key: " + key + ", role: client}", "peers[0].id"},
		{"- {id: w, key: " + key + ", role: client}\n- {id: w, key: " + other + ", role: client}", `2 peers[1] has the id "w" of another peer`},
		{"- {id: w, key: " + key + ", role: client}\n- {id: v, key: " + key + ", role: client}", `2 peers[1] has the key of "w"`},
		{"- {id: w, key: " + key + ", role: client, rate: 1/s}", "is no key here"},
	} {
		_, err := curve.ParseList("peers", []byte(bad.file))
		if e, ok := errors.AsType[*yamlnode.Error](err); !ok || !strings.Contains(fmt.Sprint(e.Line, " ", e.Text), bad.want) {
			t.Errorf("%s: got %v, want %q", bad.file, err, bad.want)
		}
	}
}
