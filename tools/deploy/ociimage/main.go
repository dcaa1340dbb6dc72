// Command ociimage assembles the gateway's image as an OCI layout, without
// docker: the same as deploy/Dockerfile builds. The same inputs give the same
// bytes.
//
//	ociimage -binary FILE -version V -revision R DIR
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody is the user of the image; distributions leave the number free.
const nobody = 65532

var user = strconv.Itoa(nobody) + ":" + strconv.Itoa(nobody)

// passwd is the one user, for what asks for its own name.
var passwd = "gateway:x:" + user + "::/:/sbin/nologin\n"

func main() {
	binary := flag.String("binary", "", "the static gateway")
	roots := flag.String("roots", "/etc/ssl/certs/ca-certificates.crt", "CA certificates")
	arch := flag.String("arch", "amd64", "architecture of the binary")
	version := flag.String("version", "devel", "label")
	revision := flag.String("revision", "", "label")
	flag.Parse()
	if *binary == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	image, err := assemble(*binary, *roots)
	if err == nil {
		image, err = configure(image, *arch, *version, *revision)
	}
	if err == nil {
		err = write(image, flag.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ociimage:", err)
		os.Exit(1)
	}
}

// A file is what the image has at a path: a directory of the user if that ends with a slash.
type file struct {
	path string
	mode int64
	data []byte
}

// state is a directory that is empty and the user's: a volume that is mounted there is as writable.
const state = "var/lib/mdp-gateway/"

// assemble makes the layers: what rarely changes, then the gateway.
func assemble(binary, roots string) (v1.Image, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	certificates, err := os.ReadFile(roots)
	if err != nil {
		return nil, err
	}
	var layers []v1.Layer
	for _, files := range [][]file{
		{{"etc/passwd", 0o644, []byte(passwd)}, {"etc/ssl/certs/ca-certificates.crt", 0o644, certificates}, {state, 0o700, nil}},
		{{"gateway", 0o755, program}},
	} {
		layer, err := newLayer(files)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	return mutate.AppendLayers(base, layers...)
}

func newLayer(files []file) (v1.Layer, error) {
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for _, f := range files {
		header := &tar.Header{Name: f.path, Mode: f.mode, Size: int64(len(f.data)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if strings.HasSuffix(f.path, "/") {
			header.Typeflag, header.Uid, header.Gid = tar.TypeDir, nobody, nobody
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

// configure says how the image is run.
func configure(image v1.Image, arch, version, revision string) (v1.Image, error) {
	got, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	c := got.DeepCopy()
	c.OS, c.Architecture, c.Created = "linux", arch, v1.Time{Time: time.Unix(0, 0).UTC()}
	c.Config = v1.Config{
		User:         user,
		WorkingDir:   "/",
		Entrypoint:   []string{"/gateway"},
		Cmd:          []string{"serve", "--listen", ":8080", "--admin-listen", ":8081"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8081/tcp": {}},
		StopSignal:   "SIGTERM",
		Healthcheck: &v1.HealthConfig{
			Test:     []string{"CMD", "/gateway", "healthcheck", "--listen", ":8080"},
			Interval: 10 * time.Second, Timeout: 5 * time.Second, StartPeriod: 5 * time.Second, Retries: 3,
		},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "mdp-gateway",
			"org.opencontainers.image.description": "An HTTP/JSON gateway in front of a Majordomo (MDP) broker",
			"org.opencontainers.image.licenses":    "MIT",
			"org.opencontainers.image.version":     version,
			"org.opencontainers.image.revision":    revision,
		},
	}
	return mutate.ConfigFile(image, c)
}

// write writes the layout anew.
func write(image v1.Image, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return path.AppendImage(image)
}
