package main

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Every thread has it, of which these goroutines, each on one of its own, see some.
func TestTheKernelMayWakeTheGatewayALittleLate(t *testing.T) {
	for range 8 {
		got := make(chan int)
		go func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
			if err != nil {
				t.Error(err)
			}
			got <- slack
		}()
		switch slack := <-got; {
		case slack == 500_000:
		case forbidden():
			t.Skip("this process may not set its timer slack")
		default:
			t.Fatalf("the timer slack is %d ns, want 500,000", slack)
		}
	}
}

// forbidden reports whether prctl is filtered.
func forbidden() bool {
	denied := make(chan bool)
	go func() {
		runtime.LockOSThread()
		denied <- unix.Prctl(unix.PR_SET_TIMERSLACK, 500_000, 0, 0, 0) != nil
	}()
	return <-denied
}
