package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// catalogue makes services known that have no worker at first.
const catalogue = `services: {idle: {}, ms: {}, now: {}, held: {}, large: {}}
`

// A process is a running gateway.
type process struct {
	cmd         *exec.Cmd
	url, broker string
	ready       time.Duration // from its start until it listened
}

// start runs the gateway and returns it once it listens.
func (b *bench) start() (*process, error) {
	cmd := exec.Command(b.binary, append([]string{
		"serve", "--config", b.config, "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*",
		"--jobs", b.store, "--jobs-max", "1000000", "--jobs-max-bytes", "1GiB", "--max-buffered", "2GiB", "--log-level", "info",
	}, b.more...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	lines := bufio.NewScanner(log)
	for p.url == "" && lines.Scan() {
		var line struct{ Msg, Address, Endpoint string }
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue
		}
		switch line.Msg {
		case "embedded broker":
			p.broker = line.Endpoint
		case "listening":
			p.url, p.ready = "http://"+line.Address, time.Since(begun)
		}
	}
	if p.url == "" {
		return nil, errors.Join(errors.New("the gateway does not listen"), cmd.Wait())
	}
	go func() {
		for lines.Scan() {
		}
	}()
	return p, nil
}

// stop ends the gateway as a supervisor does.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// cpu is the CPU time of the gateway so far.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / 100, errors.Join(err1, err2) // ticks of 10 ms
}

// memory is what the gateway holds of the machine's memory, in MiB.
func (p *process) memory() (string, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	return fmt.Sprintf("%d MiB", kib>>10), err
}
