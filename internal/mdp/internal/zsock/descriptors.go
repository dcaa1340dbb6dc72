package zsock

import (
	"math"

	"golang.org/x/sys/unix"
)

// DescriptorLimit returns how many files the process may have open. Go raises
// the soft limit to the hard one when it starts.
func DescriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}

// DescriptorsLeft reports whether the process can open another file. libzmq
// connects in its own thread and does not say that this was why it could not.
func DescriptorsLeft() bool {
	fd, err := unix.FcntlInt(uintptr(unix.Stderr), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}
