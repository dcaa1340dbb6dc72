//go:build !linux

package bridge

import (
	"os/exec"
	"syscall"
)

func groupAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func bindToThread() (release func()) { return func() {} }

// awaitExit returns when the program has ended and its output is closed.
func awaitExit(cmd *exec.Cmd) (wait func() error) {
	err := cmd.Wait()
	return func() error { return err }
}

func reap(int) {}
