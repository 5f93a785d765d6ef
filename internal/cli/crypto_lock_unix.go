//go:build unix

package cli

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the whole file for this process until it is closed, without waiting.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
