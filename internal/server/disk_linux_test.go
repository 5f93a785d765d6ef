package server_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-ca/signet/internal/ca"
)

// fillDisk lets a server issue until its disk is full, frees space, and goes on.
func fillDisk(t *testing.T, n *node, free func()) {
	t.Helper()
	client := n.dial()
	var serials []string
	var last answer
	var refused []byte
	for range 20_000 {
		body := n.signBody("full.example.com")
		if last = n.sign(client, body); last.status != http.StatusCreated {
			refused = body
			break
		}
		serials = append(serials, ca.SerialHex(n.leaf(last).SerialNumber))
	}
	if last.status != http.StatusServiceUnavailable || strings.Contains(last.body, n.dir) {
		t.Errorf("on a full disk a request was answered %d %s %v", last.status, last.body, last.err)
	}
	n.until("/ready says no", func() bool { return n.get("/ready").status == http.StatusServiceUnavailable })
	if a := n.get("/health"); a.status != http.StatusOK {
		t.Errorf("/health: %d", a.status)
	}
	free()
	n.until("/ready says yes again", func() bool { return n.get("/ready").status == http.StatusOK })
	serials = append(serials, ca.SerialHex(n.leaf(n.sign(client, refused)).SerialNumber)) // its token was not spent
	for range 5 {
		serials = append(serials, ca.SerialHex(n.leaf(n.sign(client, n.signBody("again.example.com"))).SerialNumber))
	}
	n.stop()
	n.recorded(serials)
	t.Logf("%d certificates until the disk was full", len(serials)-6)
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if err := os.Mkdir(n.path("db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", n.path("db"), "tmpfs", 0, "size=16m"); err != nil {
		t.Logf("no small disk can be mounted here (%v): limiting the size of files instead", err)
		limited(t, n)
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(n.path("db"), syscall.MNT_DETACH) })
	n.configure(map[string]any{"db": map[string]any{"type": "sqlite", "dataSource": n.path("db/signet.db")}})
	ballast := filepath.Join(n.path("db"), "ballast")
	if err := os.WriteFile(ballast, make([]byte, 12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	n.start()
	fillDisk(t, n, func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	})
	if err := os.WriteFile(ballast, make([]byte, 16<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk could not be filled: %v", err)
	}
	skip := len(n.log.String())
	n.launch()
	n.wait(2)
	if log := n.log.String()[skip:]; !strings.Contains(log, "space") {
		t.Errorf("a start on a full disk says %s", log)
	}
}

// TestFilesThatCannotGrow needs no right to mount: the limit on the size of files stands in.
func TestFilesThatCannotGrow(t *testing.T) {
	t.Parallel()
	limited(t, newNode(t))
}

func limited(t *testing.T, n *node) {
	n.start()
	var was unix.Rlimit
	pid := n.cmd.Process.Pid
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: was.Max}, nil); err != nil {
		t.Fatal(err)
	}
	fillDisk(t, n, func() {
		if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &was, nil); err != nil {
			t.Fatal(err)
		}
	})
}
