package sqlite

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock makes this process the only one that has a directory, until the file is closed.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%s is locked: another process has this directory", path)
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
