package zsock

import "golang.org/x/sys/unix"

// connectionOf returns the connection that has this descriptor now. Its inode is 0 if
// there is none, or if it is another kind of file, many of which have one inode.
func connectionOf(descriptor int) Connection {
	var stat unix.Stat_t
	if unix.Fstat(descriptor, &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return Connection{descriptor: descriptor, known: true}
	}
	return Connection{descriptor: descriptor, inode: stat.Ino, known: true}
}

// receivedOver returns how many bytes came over a connection of TCP.
func receivedOver(descriptor int) uint64 {
	info, err := unix.GetsockoptTCPInfo(descriptor, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return info.Bytes_received
}

// shutDown works on a duplicate, which stays what it is though libzmq may close the
// descriptor, and the kernel may give it to another connection, meanwhile.
func (c Connection) shutDown() {
	duplicate, err := unix.FcntlInt(uintptr(c.descriptor), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return
	}
	if connectionOf(duplicate).inode == c.inode {
		_ = unix.Shutdown(duplicate, unix.SHUT_RDWR)
	}
	_ = unix.Close(duplicate)
}
