package server_test

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervisor stands in for systemd: it keeps what it is told.
type supervisor struct {
	t    *testing.T
	conn *net.UnixConn
}

func newSupervisor(t *testing.T, n *node) *supervisor {
	t.Helper()
	path := n.path("notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	n.env = append(n.env, "NOTIFY_SOCKET="+path)
	return &supervisor{t, conn}
}

// next is the next message that does not start with skip.
func (s *supervisor) next(skip string) string {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		n, err := s.conn.Read(b)
		if err != nil {
			s.t.Fatalf("no message: %v", err)
		}
		if message := string(b[:n]); skip == "" || !strings.HasPrefix(message, skip) {
			return message
		}
	}
}

func TestTellsTheSupervisorHowItIs(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	s := newSupervisor(t, n)
	n.env = append(n.env, "WATCHDOG_USEC=100000")
	n.start()
	want := func(pattern string) {
		t.Helper()
		if got := s.next("WATCHDOG=1"); !regexp.MustCompile(pattern).MatchString(got) {
			t.Errorf("message %q, want %s", got, pattern)
		}
	}
	want(`^READY=1\n`)
	if got := s.next(""); got != "WATCHDOG=1" {
		t.Errorf("message %q, want a sign of life", got)
	}
	n.signal(syscall.SIGHUP)
	want(`^RELOADING=1\nMONOTONIC_USEC=[0-9]+\n`)
	want(`^READY=1\n`)
	n.file("ca.json", []byte("{"))
	n.signal(syscall.SIGHUP)
	want(`^RELOADING=1\n`)
	want(`^READY=1\nSTATUS=.*old configuration`)
	n.signal(syscall.SIGTERM)
	want(`^STOPPING=1\n`)
	n.wait(0)
}

// The socket is bound by somebody else, who accepts before the server runs.
func TestTakesOverPassedSockets(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	socket, err := net.Listen("tcp", n.address)
	if err != nil {
		t.Fatal(err)
	}
	file, err := socket.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer socket.Close()
	early := make(chan answer, 1)
	go func() { early <- n.get("/health") }() // waits in the socket until somebody serves
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The variable names the process that is meant, which the shell becomes.
	n.cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve ca.json`, exe)
	n.cmd.ExtraFiles = []*os.File{file}
	n.env = []string{"LISTEN_FDS=1"}
	n.begin()
	n.serving(0)
	if a := <-early; a.status != 200 {
		t.Errorf("the early client: %d %v", a.status, a.err)
	}
	// A reload may leave the address, and come back to it.
	other := freeAddress(t)
	n.configure(map[string]any{"address": other})
	n.reload(reloaded)
	n.configure(map[string]any{"address": n.address})
	n.reload(reloaded)
	n.mustSign("passed.example.com")
	n.stop()
}
