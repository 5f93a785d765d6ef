package server

import (
	"net"
	"os"
	"strconv"
)

// firstSocket is the number of the first file descriptor systemd passes (sd_listen_fds).
const firstSocket = 3

// passedSockets are the sockets of a systemd socket unit.
func passedSockets(getenv func(string) string) []net.Listener {
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil {
		return nil
	}
	var sockets []net.Listener
	for fd := firstSocket; fd < firstSocket+min(n, 8); fd++ {
		f := os.NewFile(uintptr(fd), "socket")
		if l, err := net.FileListener(f); err == nil {
			sockets = append(sockets, l)
		}
		_ = f.Close()
	}
	return sockets
}
