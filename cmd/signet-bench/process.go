package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// launch starts the server and waits until it is healthy.
func (t *target) launch(ctx context.Context, cmd *exec.Cmd) error {
	log, err := os.Create(filepath.Join(t.dir, "server.log"))
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	cmd.Stderr = log
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	t.cmd = cmd
	if err := t.waitHealthy(ctx); err != nil {
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w\n%s", err, said[max(0, len(said)-2000):])
	}
	t.startup = time.Since(begin)
	time.Sleep(500 * time.Millisecond) // let the start settle before the idle memory is read
	t.idle = t.resident("VmRSS")
	return nil
}

func (t *target) waitHealthy(ctx context.Context) error {
	client := t.client(1)
	defer client.CloseIdleConnections()
	for range 4000 {
		if resp, err := client.Get(t.url + "/health"); err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return errors.New("the server did not become healthy within 20 s")
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// writes is how many durable changes the server has made, as its metrics tell; a floor has none.
func (t *target) writes() float64 {
	if t.metrics == "" {
		return 0
	}
	resp, err := http.Get("http://" + t.metrics + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), `signet_database_duration_seconds_count{act="write",success="true"} `); ok {
			count, _ := strconv.ParseFloat(n, 64)
			return count
		}
	}
	return 0
}

// resident reads a memory figure of the server from the kernel, in bytes.
func (t *target) resident(field string) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if rest, ok := strings.CutPrefix(string(line), field+":"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// cpu is the processor time the server has used.
func (t *target) cpu() time.Duration { return treeCPU(t.cmd.Process.Pid) }

// treeCPU is the processor time of a process, its children of now, and those that ended.
func treeCPU(root int) time.Duration {
	var ticks int64
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(fields) < 15 {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		if pid != root && parent != root {
			continue
		}
		last := 12 // user and system time; of the root its children's as well
		if pid == root {
			last = 14
		}
		for _, f := range fields[11 : last+1] {
			n, _ := strconv.ParseInt(f, 10, 64)
			ticks += n
		}
	}
	const hertz = 100 // USER_HZ on every Linux we know
	return time.Duration(ticks) * time.Second / hertz
}

// profileTo takes a CPU profile of the server while the clock runs.
func (t *target) profileTo(file string, warmUp, duration time.Duration) {
	time.Sleep(2 * warmUp)
	resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", t.profiles, max(1, int(2*duration.Seconds())-1)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		return
	}
	defer resp.Body.Close()
	out, err := os.Create(file)
	if err == nil {
		_, err = out.ReadFrom(resp.Body)
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
	}
}
