package zmtp

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limitSilence ends a connection whose peer has acknowledged nothing for 4 seconds, or read nothing, though its kernel
// acknowledges probes.
func limitSilence(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int((4 * time.Second).Milliseconds()))
	})
	return errors.Join(err, set)
}
