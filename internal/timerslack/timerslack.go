// Package timerslack is imported for its effect: the kernel may end the sleeps of
// this process's threads up to half a millisecond late (PR_SET_TIMERSLACK, prctl(2)),
// in place of Linux's 50 µs.
//
// Go's monitor thread sleeps for 20 µs at a time while goroutines are in system calls
// or in C, as those of a gateway always are. Each such sleep is an interrupt and, in a
// virtual machine, a trip to the host and back. What waits for a deadline waits for
// milliseconds, and does not notice.
//
// A thread takes it from the one that started it, so it has to be set before there is
// another: by a constructor of C, which runs before Go's runtime.
package timerslack

import "C"
