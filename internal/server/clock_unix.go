//go:build unix

package server

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the machine's monotonic clock, which a service manager compares with its own;
// ok is false where it cannot be read.
func monotonic() (since time.Duration, ok bool) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, false
	}
	return time.Duration(now.Nano()), true
}
