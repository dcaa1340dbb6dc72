package deploy_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A blob is a reference within an OCI layout.
type blob struct{ Digest string }

// image returns the directory of the OCI layout that make image-check has made.
func image(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("MDP_IMAGE")
	if dir == "" {
		t.Skip("MDP_IMAGE names no image; make image-check makes one and runs this test")
	}
	return dir
}

func (b blob) open(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "blobs", strings.Replace(b.Digest, ":", "/", 1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func decode(t *testing.T, from io.Reader, to any) {
	t.Helper()
	if err := json.NewDecoder(from).Decode(to); err != nil {
		t.Fatal(err)
	}
}

// unpack returns the file tree of an image, its configuration and the size of its
// layers, which is what a node pulls.
func unpack(t *testing.T, dir string) (root string, config map[string]any, size int64) {
	t.Helper()
	index, err := os.Open(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	var images struct{ Manifests []blob }
	decode(t, index, &images)
	var manifest struct {
		Config blob
		Layers []blob
	}
	decode(t, images.Manifests[0].open(t, dir), &manifest)
	var configuration struct{ Config map[string]any }
	decode(t, manifest.Config.open(t, dir), &configuration)
	root = t.TempDir()
	for _, layer := range manifest.Layers {
		compressed := layer.open(t, dir)
		unzipped, err := gzip.NewReader(compressed)
		if err != nil {
			t.Fatal(err)
		}
		extract(t, unzipped, root)
		info, err := compressed.Stat()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return root, configuration.Config, size
}

// extract writes the files of a layer. As runtimes do, it makes directories that the layer does not list open to all.
func extract(t *testing.T, layer io.Reader, root string) {
	t.Helper()
	for files := tar.NewReader(layer); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, header.Name)
		if header.Typeflag == tar.TypeDir {
			err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, header.FileInfo().Mode()), os.Lchown(path, header.Uid, header.Gid))
			if err != nil && os.Getuid() == 0 {
				t.Fatal(err)
			}
			continue
		}
		data, err := io.ReadAll(files)
		err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, header.FileInfo().Mode()))
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheImageIsSmallAndNobodys(t *testing.T) {
	_, config, size := unpack(t, image(t))
	if size > 20_000_000 {
		t.Errorf("the layers have %d bytes, want at most 20 MB", size)
	}
	if config["User"] != "65532:65532" || config["Healthcheck"] == nil {
		t.Errorf("the image's user is %v and its health check %v", config["User"], config["Healthcheck"])
	}
}

// TestTheImageRunsInABareChroot runs what is in the image where nothing else is,
// as its user: it serves, keeps jobs where a volume would be beyond a restart, resolves names and stops on SIGTERM.
func TestTheImageRunsInABareChroot(t *testing.T) {
	dir := image(t)
	if os.Getuid() != 0 {
		t.Skip("this is not root, who alone may chroot; make image-check as root runs this test")
	}
	root, _, _ := unpack(t, dir)
	for path := root; path != "/tmp" && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A container's runtime adds /etc/hosts; the gateway must find a broker by it.
	if err := os.WriteFile(filepath.Join(root, "etc/hosts"), []byte("127.0.0.1 broker.test\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	port, reached := broker(t)
	serve := func() *process {
		cmd := exec.Command("/gateway", "serve", "--listen", "127.0.0.1:0", "--embedded", "--embedded-bind", "tcp://127.0.0.1:*",
			"--broker", "tcp://broker.test:"+port, "--jobs", "/var/lib/mdp-gateway/jobs")
		cmd.Env, cmd.Dir = []string{}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return launch(t, cmd)
	}
	first := serve()
	api := first.api(t)
	answers(t, api+"/services/echo")
	select {
	case <-reached:
	case <-time.After(20 * time.Second):
		t.Error("the gateway did not reach the broker by its name")
	}
	job := submit(t, api+"/services/echo", "kept")
	first.stop(t)
	second := serve()
	if reply := get(t, second.api(t)+job+"/reply?wait=30s"); !strings.Contains(reply, "kept") {
		t.Errorf("after a restart the job's reply is %q, want its body", reply)
	}
	second.stop(t)
}

// submit sends a call whose reply is received later, and returns the path of its job.
func submit(t *testing.T, url, body string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Prefer", "respond-async")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("a call to be answered later has status %d, want 202", response.StatusCode)
	}
	return response.Header.Get("Location")
}

// stop ends a process as an orchestrator does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v, want exit code 0", err)
	}
}

// broker listens on a port until the test ends, and tells when it is reached.
func broker(t *testing.T) (port string, reached <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	accepted := make(chan struct{})
	go func() {
		if conn, err := listener.Accept(); err == nil {
			close(accepted)
			conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port, accepted
}
