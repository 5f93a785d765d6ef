package main

import (
	"context"
	"syscall"
	"time"
)

// reloadPause is how long one reload has before the next.
const reloadPause = 100 * time.Millisecond

// reloads has the server read its configuration again and again under load, and tells what
// its clients noticed.
func reloads(ctx context.Context, o *options, out *report) error {
	op, db := operations[0], &database{kind: "sqlite"}
	ours, err := startServer(ctx, o, op, db)
	if err != nil {
		return err
	}
	defer ours.stop()
	for _, n := range o.clients {
		s, err := ours.connect(ctx, op, n)
		if err != nil {
			return err
		}
		defer s.close()
		if _, err := s.turn(ctx, o.warmUp); err != nil {
			return err
		}
		quiet, err := s.turn(ctx, o.duration)
		if err != nil {
			return err
		}
		s.during = func() {
			for range o.reloads {
				_ = ours.cmd.Process.Signal(syscall.SIGHUP)
				time.Sleep(reloadPause)
			}
		}
		r, err := s.turn(ctx, time.Duration(o.reloads)*reloadPause)
		if err != nil {
			return err
		}
		row := rowOf(r, ours)
		row.Operation, row.Database, row.Clients = op.name, db.kind, n
		if err := out.add(row); err != nil {
			return err
		}
		quiet.sort()
		out.note("%d reloads under %d clients: %d failed requests, the slowest took %.0f ms (without reloads %.0f ms)", o.reloads, n, row.Errors, row.Max, quiet.quantile(1))
	}
	return nil
}
