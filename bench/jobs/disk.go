package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// fsync returns how long it takes to append 4 KiB to a file and to wait for the disk: what each commit costs at least.
func fsync(dir string) (string, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return "", err
	}
	took := make([]time.Duration, 200)
	page := make([]byte, 4<<10)
	for i := range took {
		begun := time.Now()
		_, err := f.Write(page)
		if err = errors.Join(err, f.Sync()); err != nil {
			return "", errors.Join(err, f.Close())
		}
		took[i] = time.Since(begun)
	}
	return quantiles(took) + " (p50 / p99)", errors.Join(f.Close(), os.Remove(f.Name()))
}
