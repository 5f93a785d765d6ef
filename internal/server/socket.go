package server

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
)

const (
	firstSocket = 3 // number of the first file descriptor the service manager passes (sd_listen_fds)
	maxSockets  = 8
)

// passedSockets are the sockets of a systemd socket unit. They stay open as long as the
// process: a reload may leave an address and a later one come back to it.
func passedSockets(getenv func(string) string, log *slog.Logger) []*net.TCPListener {
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil {
		return nil
	}
	var sockets []*net.TCPListener
	for fd := firstSocket; fd < firstSocket+min(n, maxSockets); fd++ {
		f := os.NewFile(uintptr(fd), "socket")
		l, err := net.FileListener(f)
		_ = f.Close()
		if tcp, ok := l.(*net.TCPListener); ok {
			sockets = append(sockets, tcp)
			continue
		}
		log.Warn("a socket passed by the service manager is no listening TCP socket, and is not used", "fd", fd, "err", err)
	}
	return sockets
}

// warnUnused names the passed sockets that no listener took: their clients would wait.
func warnUnused(passed []*net.TCPListener, listeners map[string]*listener, log *slog.Logger) {
	for _, p := range passed {
		bound, used := p.Addr().String(), false
		for _, l := range listeners {
			used = used || l.address == bound || samePort(bound, l.address)
		}
		if !used {
			log.Warn("a socket passed by the service manager has an address the configuration does not name; nobody answers there", "address", bound)
		}
	}
}

func duplicate(l *net.TCPListener) (net.Listener, error) {
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("take over the socket of %s: %w", l.Addr(), err)
	}
	defer f.Close()
	return net.FileListener(f)
}
