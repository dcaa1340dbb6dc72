package main

import (
	"context"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// slack is the gateway's timer slack in ns, see cmd/gateway/timerslack_linux.go. It is
// not done as there: the peers, which run starts, would inherit it.
const slack = 500_000

// withSlack is a command that measures parts of the gateway, with the slack that they
// have there: it begins the program once more, since all threads have it from the first.
func withSlack(command func(context.Context, []string) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		if has, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || has == slack {
			return command(ctx, args)
		}
		runtime.LockOSThread()
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0); err != nil {
			return err
		}
		return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	}
}
