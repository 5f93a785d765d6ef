//go:build unix

package config

import (
	"os"
	"syscall"
)

// lockFolder keeps other writers of our own make away until unlock is called. The lock lies
// on the folder, since the file itself is replaced by a rename.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
