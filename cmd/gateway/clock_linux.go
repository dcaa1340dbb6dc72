package main

import "golang.org/x/sys/unix"

// timeError is what adjtimex(2) returns of a clock that is not synchronized.
const timeError = 5

// clockSynced reports whether the kernel knows the clock to be synchronized. Containers may not be allowed to ask.
func clockSynced() (synced, known bool) {
	state, err := unix.Adjtimex(new(unix.Timex))
	return state != timeError, err == nil
}
