package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// serve starts n NATS servers that wait for the disk before they confirm a write, and returns the URL of all.
func serve(binary, dir string, n int) (url string, stop func(), err error) {
	ports, err := freePorts(2 * n)
	if err != nil {
		return "", nil, err
	}
	var all []*exec.Cmd
	stop = func() {
		for _, cmd := range all {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	var routes, urls []string
	for i := range n {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[n+i]))
	}
	for i := range n {
		home := filepath.Join(dir, fmt.Sprint(i))
		lines := fmt.Sprintf("server_name: n%d\nlisten: 127.0.0.1:%d\njetstream: { store_dir: %q, max_file_store: 8GB, sync_interval: always }\n",
			i, ports[i], home)
		if n > 1 {
			lines += fmt.Sprintf("cluster: { name: bench, listen: 127.0.0.1:%d, routes: [%s] }\n", ports[n+i], strings.Join(routes, ", "))
		}
		file := filepath.Join(home, "nats.conf")
		if err := errors.Join(os.MkdirAll(home, 0o700), os.WriteFile(file, []byte(lines), 0o600)); err != nil {
			stop()
			return "", nil, err
		}
		cmd := exec.Command(binary, "-c", file)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			stop()
			return "", nil, fmt.Errorf("%w: make nats-server builds it", err)
		}
		all = append(all, cmd)
	}
	return strings.Join(urls, ","), stop, nil
}

// freePorts returns ports of loopback that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
