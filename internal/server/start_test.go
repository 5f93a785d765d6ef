package server_test

import (
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestServesAndStops(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.args = []string{"--pidfile", n.path("pid")}
	n.start()
	pid, err := os.ReadFile(n.path("pid"))
	if err != nil || string(pid) != strconv.Itoa(n.cmd.Process.Pid)+"\n" {
		t.Errorf("the pid file says %q, %v", pid, err)
	}
	if a := n.get("/health"); a.status != http.StatusOK {
		t.Errorf("/health: %d %v", a.status, a.err)
	}
	if a := n.get("/ready"); a.status != http.StatusOK {
		t.Errorf("/ready: %d %s %v", a.status, a.body, a.err)
	}
	n.mustSign("a.example.com")
	n.stop()
	if _, err := os.Stat(n.path("pid")); !os.IsNotExist(err) {
		t.Errorf("the pid file is still there: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	l, err := net.Listen("tcp", n.address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n.launch()
	n.wait(2)
	if log := n.log.String(); !strings.Contains(log, n.address) || strings.Contains(log, "Serving") {
		t.Errorf("the log does not name the address, or says that it serves:\n%s", log)
	}
}
