package zsock

import "golang.org/x/sys/unix"

// connectionOf returns the connection that has this descriptor now. Its inode is 0 if
// there is none.
func connectionOf(descriptor int) Connection {
	var stat unix.Stat_t
	if unix.Fstat(descriptor, &stat) != nil {
		return Connection{descriptor: descriptor, known: true}
	}
	return Connection{descriptor: descriptor, inode: stat.Ino, known: true}
}
