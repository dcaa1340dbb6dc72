package main

// The kernel may end the sleeps of this process's threads up to 0.5 ms late
// (PR_SET_TIMERSLACK, prctl(2)), in place of 50 µs. Go's monitor thread sleeps for 20 µs
// at a time while goroutines are in system calls or in C, as those of a gateway always
// are. In a virtual machine each such sleep is a trip to the host and back: with the
// slack a request takes 0.69 of the CPU at 1 connection, and 0.92 at 64. Whatever waits
// for a deadline waits for milliseconds. Other systems do without.
//
// A thread takes the slack from the one that started it, so it is set before there is
// another: by a constructor in timerslack_linux.c, which runs before Go's runtime.

import "C"
