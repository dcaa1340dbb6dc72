// Command gateway is an HTTP/JSON gateway in front of a Majordomo (MDP) broker,
// with a broker and a worker of its own to try it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// Go ends a process whose write to stdout or stderr fails since the reader of the pipe is gone.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
