package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// commands are the processes that this program can be. run starts the others.
func commands() map[string]func(ctx context.Context, args []string) error {
	return map[string]func(context.Context, []string) error{
		"run":     run,            // the benchmark
		"waiting": measureWaiting, // what a call takes that waits for its reply
		"wait":    waitForReplies, // such calls
		"pool":    callPool,       // direct calls through the gateway's pool
		"dealers": callDealers,    // direct calls without it
		"null":    serveNull,      // the gateway's HTTP server without what is behind it
		"echo":    serveEcho,      // a plain Go server that answers with the body, behind nginx
		"page":    rewritePage,    // the report once more, from the figures of a run
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	name := "run"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	command, ok := commands()[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "bench: %q is no command, want run, waiting or page\n", name)
		os.Exit(2)
	}
	if err := command(ctx, os.Args[min(2, len(os.Args)):]); err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", name, err)
		os.Exit(1)
	}
}
