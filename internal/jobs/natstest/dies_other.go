//go:build !linux

package natstest

import "syscall"

// withTest does nothing here: a process stays if the test is killed.
func withTest() *syscall.SysProcAttr { return nil }
