package bridge

import (
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// groupAttributes makes a program the leader of a group, and has the kernel end it when the
// thread that started it ends, and so with this process however that ends.
func groupAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// bindToThread keeps the thread of the caller until release: it must live as long as the program.
func bindToThread() (release func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// awaitExit returns when the program has ended. Until wait is called no other process gets its
// number, which is that of its group.
func awaitExit(cmd *exec.Cmd) (wait func() error) {
	for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	return cmd.Wait
}

// reap waits for those processes of a group, all of them killed, that became this one's
// children: it is the first process of a container.
func reap(group int) {
	for {
		_, err := unix.Wait4(group, nil, 0, nil)
		if err != nil && err != unix.EINTR {
			return
		}
	}
}
