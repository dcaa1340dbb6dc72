package natstest

import "syscall"

// withTest has the kernel end a process that is left when the test is killed.
func withTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
