package main

import (
	"path/filepath"
	"strings"
	"testing"

	"mdpgateway/internal/curve"
)

// newPair makes a pair as an operator does, in dir, and returns its public key and the path of its secret.
func newPair(t *testing.T, dir, id string) (public, secretFile string) {
	t.Helper()
	code, stdout, stderr := runGateway(t, "curve new "+id+" --dir "+dir, nil, "")
	lines := strings.Split(stdout, "\n")
	if code != exitOK || stderr != "" || len(lines) != 4 {
		t.Fatalf("curve new: got %d %q %q, want the key and two paths", code, stdout, stderr)
	}
	return lines[0], lines[2]
}

func TestCurveNewWritesAPair(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	public, secretFile := newPair(t, dir, "hall1")
	pair, err := curve.LoadPair(secretFile)
	if err != nil || pair.Public.String() != public || secretFile != filepath.Join(dir, "hall1.key_secret") {
		t.Errorf("got %v, %v in %s, want the pair of %s", pair, err, secretFile, public)
	}
	for args, want := range map[string]string{
		"curve new hall1 --dir " + dir:          "hall1.key_secret exists, want another id",
		"curve new a/b":                         "want 1 to 64 letters",
		"curve new a --dir " + dir + "/nothing": "no such file or directory",
	} {
		if code, _, stderr := runGateway(t, args, nil, ""); code == exitOK || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: got %d %q, want %q", args, code, stderr, want)
		}
	}
}
