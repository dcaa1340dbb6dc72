package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A volume that is mounted at the directory takes its owner and mode, so jobs can be kept there.
func TestTheStateDirectoryIsTheUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	image, err := assemble(file, file)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, layer := range layers {
		r, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for files := tar.NewReader(r); ; {
			h, err := files.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Name != "var/lib/mdp-gateway/" {
				continue
			}
			found++
			if h.Typeflag != tar.TypeDir || h.Uid != 65532 || h.Gid != 65532 || h.Mode != 0o700 {
				t.Errorf("%s has type %c, mode %o and the owner %d:%d, want a directory of 0700 and 65532:65532", h.Name, h.Typeflag, h.Mode, h.Uid, h.Gid)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if found != 1 {
		t.Errorf("the directory is there %d times, want once", found)
	}
}
