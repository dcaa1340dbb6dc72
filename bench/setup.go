package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The names of the processes that are measured.
const (
	theGateway  = "gateway"  // at the C broker
	theCrowd    = "crowd"    // another like it, for windows of many connections
	theAgainst  = "against"  // another build of it, BENCH_AGAINST
	thePlain    = "plain"    // at gateway broker, in mdp/0.2
	theMuxed    = "muxed"    // at gateway broker, in mdpx/1
	theEmbedded = "embedded" // the gateway as `make run` starts it, its broker and worker within
	theNull     = "null"
	theAiohttp  = "aiohttp"
	theFlask    = "flask"
	thePushpin  = "pushpin"
	theNginx    = "nginx"
)

// slowMS is how long the C broker's service slow takes to answer.
const slowMS = 3000

// A bench has the processes of a run.
type bench struct {
	bin, src string // directories of binaries and of sources
	dir      string // logs and configurations of this run
	out      io.Writer
	retries  int // how many windows may still be measured again: the run must end in its time

	all    []*process
	procs  map[string]*process // by name
	urls   map[string]string   // base URLs of what speaks HTTP
	broker string              // the C broker's endpoint
	ours   string              // that of gateway broker, with the same workers
}

// service is the gateway's catalogue, so that it does not ask the broker for services.
const gatewayFile = `services:
  echo: {vars: none}
  local: {vars: none}
  slow: {vars: none}
  hole: {vars: none}
`

// setUp starts all that is installed.
func setUp(out io.Writer) (b *bench, err error) {
	b = &bench{bin: env("BENCH_BIN", "bin"), src: env("BENCH_SRC", "bench"), out: out, procs: map[string]*process{}, urls: map[string]string{}}
	if b.dir, err = os.MkdirTemp("", "gateway-bench-"); err != nil {
		return nil, err
	}
	for _, part := range []func() error{b.startBrokers, b.startGateways, b.startNull, b.startAiohttp, b.startFlask, b.startPushpin, b.startNginx} {
		if err := part(); err != nil {
			b.close()
			return nil, err
		}
	}
	return b, nil
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func (b *bench) close() {
	for i := len(b.all) - 1; i >= 0; i-- {
		b.all[i].stop()
	}
}

func (b *bench) start(name string, env []string, program string, args ...string) (*process, error) {
	p, err := start(b.dir, name, env, program, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b.all = append(b.all, p)
	b.procs[name] = p
	return p, nil
}

// serve starts an HTTP server at a free address.
func (b *bench) serve(name, path string, env []string, command func(address string) []string) error {
	address, err := freePort()
	if err != nil {
		return err
	}
	args := command(address)
	p, err := b.start(name, env, args[0], args[1:]...)
	if err != nil {
		return err
	}
	b.urls[name] = "http://" + address + path
	return p.awaitPort(address)
}

// installed reports whether a program is there, and logs that it is missing.
func (b *bench) installed(name, program string, args ...string) bool {
	if exec.Command(program, args...).Run() == nil {
		return true
	}
	fmt.Fprintf(b.out, "skipped: %s is not installed (make bench-setup)\n", name)
	return false
}

func (b *bench) write(name, text string) (string, error) {
	path := filepath.Join(b.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// startBrokers starts both brokers with eight workers each.
func (b *bench) startBrokers() error {
	for name, endpoint := range map[string]*string{"broker": &b.broker, "ours": &b.ours} {
		address, err := freePort()
		if err != nil {
			return err
		}
		*endpoint = "tcp://" + address
		args := []string{b.bin + "/bench-zmq", "broker", *endpoint, fmt.Sprint(slowMS)}
		if name == "ours" {
			// More than the 1,000 that may wait by default: all but 8 of 1,024 calls wait for its workers.
			args = []string{b.gateway(), "broker", "--bind", *endpoint, "--service-queue-max", "2000"}
		}
		p, err := b.start(name, nil, args[0], args[1:]...)
		if err != nil {
			return err
		}
		if err := p.awaitPort(address); err != nil {
			return err
		}
		if _, err := b.start("workers-of-"+name, nil, b.bin+"/bench-zmq", "workers", *endpoint, "echo", "8"); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) gateway() string { return env("BENCH_GATEWAY", b.bin+"/gateway") }

// startGateways starts gateways with their defaults: metrics, and a request log, which
// goes to a file.
func (b *bench) startGateways() error {
	if err := b.startGateway(theGateway, b.gateway(), "1100"); err != nil {
		return err
	}
	if err := b.startGateway(theCrowd, b.gateway(), "1100"); err != nil {
		return err
	}
	for name, dialect := range map[string]string{thePlain: "mdp/0.2", theMuxed: "mdpx/1"} {
		if err := b.startGatewayAt(b.ours, name, b.gateway(), "1100", "--dialect", dialect); err != nil {
			return err
		}
	}
	if other := os.Getenv("BENCH_AGAINST"); other != "" {
		if err := b.startGateway(theAgainst, other, "1100"); err != nil {
			return err
		}
	}
	return b.serve(theEmbedded, "/services/", nil, func(address string) []string {
		return []string{b.gateway(), "serve", "--listen", address, "--embedded", "--embedded-bind", "tcp://127.0.0.1:*"}
	})
}

func (b *bench) startGateway(name, program, poolMax string, more ...string) error {
	return b.startGatewayAt(b.broker, name, program, poolMax, more...)
}

func (b *bench) startGatewayAt(broker, name, program, poolMax string, more ...string) error {
	file, err := b.write("gateway.yaml", gatewayFile)
	if err != nil {
		return err
	}
	return b.serve(name, "/services/", nil, func(address string) []string {
		return append([]string{program, "serve", "--listen", address, "--broker", broker, "--config", file,
			"--pool-max", poolMax, "--pool-reserve", "0", "--queue-timeout", "10s", "--connect-timeout", "10s"}, more...)
	})
}

func (b *bench) startNull() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return b.serve(theNull, "/", nil, func(address string) []string { return []string{self, "null", address} })
}

const python = "/usr/bin/python3" // the system's, which has Debian's packages

func (b *bench) startAiohttp() error {
	if !b.installed(theAiohttp, python, "-c", "import aiohttp, zmq") {
		return nil
	}
	return b.serve(theAiohttp, "/services/", nil, func(address string) []string {
		_, port, _ := strings.Cut(address, ":")
		return []string{python, filepath.Join(b.src, "peers/aiohttp_bridge.py"), port, b.broker}
	})
}

func (b *bench) startFlask() error {
	if !b.installed(theFlask, python, "-c", "import flask, gunicorn, zmq") {
		return nil
	}
	return b.serve(theFlask, "/services/", []string{"BENCH_BROKER=" + b.broker}, func(address string) []string {
		return []string{python, "-m", "gunicorn", "--chdir", filepath.Join(b.src, "peers"), "--bind", address,
			"--worker-class", "gthread", "--workers", fmt.Sprint(runtime.NumCPU()), "--threads", "64", "--log-level", "warning", "flask_bridge:app"}
	})
}

// startNginx starts nginx in front of a Go server that returns the body.
func (b *bench) startNginx() error {
	if !b.installed(theNginx, "/usr/sbin/nginx", "-v") {
		return nil
	}
	behind, err := freePort()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := b.start("echo", nil, self, "echo", behind); err != nil {
		return err
	}
	return b.serve(theNginx, "/", nil, func(address string) []string {
		file, _ := b.write("nginx.conf", fmt.Sprintf(nginxFile, b.dir, runtime.NumCPU(), behind, address))
		return []string{"/usr/sbin/nginx", "-e", filepath.Join(b.dir, "nginx-error.log"), "-c", file}
	})
}

const nginxFile = `daemon off; pid %[1]s/nginx.pid; worker_processes %[2]d; error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off; client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 1000000;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  upstream echo { server %[3]s; keepalive 256; keepalive_requests 1000000; }
  server { listen %[4]s; location / { proxy_pass http://echo; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}
`

// startPushpin starts Pushpin in front of a handler in C that speaks ZHTTP.
func (b *bench) startPushpin() error {
	if !b.installed(thePushpin, "pushpin", "--version") {
		return nil
	}
	back, err := freePort()
	if err != nil {
		return err
	}
	if _, err := b.start("zhttp", nil, b.bin+"/bench-zmq", "zhttp", "tcp://"+back); err != nil {
		return err
	}
	err = b.serve(thePushpin, "/", nil, func(address string) []string {
		_, port, _ := strings.Cut(address, ":")
		file, _ := b.write("pushpin.conf", fmt.Sprintf(pushpinFile, b.dir, port))
		_, _ = b.write("routes", fmt.Sprintf("* zhttpreq/tcp://%s\n", back))
		return []string{"pushpin", "--config", file, "--merge-output"}
	})
	if err == nil {
		err = awaitAnswer(b.urls[thePushpin] + "echo")
	}
	if err != nil { // it has parts of its own that may not start here
		fmt.Fprintf(b.out, "skipped: %v\n", err)
		delete(b.urls, thePushpin)
	}
	return nil
}

// awaitAnswer waits until a bridge answers. Pushpin's processes find each other only
// after it listens.
func awaitAnswer(url string) error {
	client := http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
		answer, err := client.Post(url, "application/octet-stream", strings.NewReader("x"))
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("status %d", answer.StatusCode)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: no answer: %w", url, err)
		}
	}
}

// pushpinFile moves all sockets of Pushpin into the directory of this run.
const pushpinFile = `[global]
include={libdir}/internal.conf
rundir=%[1]s
ipc_prefix=pushpin-
port_offset=0
stats_connection_ttl=120
[runner]
services=condure,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:%[2]s
logdir=%[1]s
log_level=1
client_buffer_size=8192
client_maxconn=50000
condure_bin=condure
[proxy]
routesfile=routes
debug=false
sig_key=changeme
updates_check=off
[handler]
push_in_spec=ipc://{rundir}/{ipc_prefix}push
push_in_sub_specs=ipc://{rundir}/{ipc_prefix}sub
push_in_http_addr=127.0.0.1
push_in_http_port=0
stats_spec=ipc://{rundir}/{ipc_prefix}stats
command_spec=ipc://{rundir}/{ipc_prefix}command
message_rate=2500
message_hwm=25000
`
