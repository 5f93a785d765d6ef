package main

import (
	"context"
	"os/exec"
	"strconv"
)

// slowed is a command whose flushes to the disk take longer, if that is wanted: strace delays
// their end. With -D strace stands aside, and the process that we start is the server itself.
func (o *options) slowed(name string, args ...string) *exec.Cmd {
	if o.slowDisk == 0 {
		return exec.Command(name, args...)
	}
	delay := "fdatasync,fsync:delay_exit=" + strconv.FormatInt(o.slowDisk.Microseconds(), 10)
	return exec.Command("strace", append([]string{"-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", "inject=" + delay, "--", name}, args...)...)
}

// slowDisk compares the server on a slow disk with a floor that makes a commit for each
// certificate, with as many clients, on a disk as slow.
func slowDisk(ctx context.Context, o *options, out *report) error {
	o.floorGroup = 1
	p, err := startPair(ctx, o, operations[0], &database{kind: "sqlite"})
	if err != nil {
		return err
	}
	defer p.stop()
	for _, n := range o.clients {
		r, err := p.compare(ctx, o, n)
		if err != nil {
			return err
		}
		if err := out.add(r); err != nil {
			return err
		}
		out.note("with each flush %v slower and %d clients: %.0f a second, %.1f times the %.0f of one commit for each certificate",
			o.slowDisk, n, r.PerSecond, r.PerSecond/r.FloorPerSecond, r.FloorPerSecond)
	}
	return nil
}
