package timerslack_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	_ "mdpgateway/internal/timerslack"
)

// Every thread has it, of which these goroutines, each on one of its own, see some.
func TestThreadsMaySleepALittleLonger(t *testing.T) {
	for range 8 {
		got := make(chan int)
		go func() {
			runtime.LockOSThread()
			slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
			if err != nil {
				t.Error(err)
			}
			got <- slack
		}()
		if slack := <-got; slack != 500_000 {
			t.Fatalf("the timer slack is %d ns, want 500,000", slack)
		}
	}
}
