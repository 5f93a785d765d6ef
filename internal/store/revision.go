package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Revision is the number of a topic: it rises with each [Tx.Bump]. 0 means that nothing of
// the kind has changed yet.
func (tx *Tx) Revision(topic string) (int64, error) {
	var n int64
	err := tx.row("SELECT number FROM revisions WHERE topic = ?", []any{topic}, &n)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, fmt.Errorf("revision of %s: %w", topic, err)
	}
	return n, nil
}

// Bump tells the other servers of a change, in the transaction that makes it: whoever
// watches the topic hears of it within two seconds.
func (tx *Tx) Bump(topic string) error {
	return tx.setRevision(topic, "number + 1", 1)
}

// SetRevision notes how far something has followed a topic. It never goes back.
func (tx *Tx) SetRevision(topic string, n int64) error {
	return tx.setRevision(topic, "CASE WHEN number < ? THEN ? ELSE number END", n, n, n)
}

// setRevision runs an UPDATE; if there is no row yet it adds one. first is its number, more
// are the arguments of the expression.
func (tx *Tx) setRevision(topic, expression string, first int64, more ...any) error {
	if err := key("topic", topic, 255); err != nil {
		return err
	}
	args := append(more, topic)
	n, err := tx.exec("UPDATE revisions SET number = "+expression+" WHERE topic = ?", args...)
	if err == nil && n == 0 {
		n, err = tx.exec("INSERT INTO revisions (topic, number) VALUES (?, ?)"+tx.store.dialect.skip, topic, first)
		if errors.Is(err, ErrExists) || (err == nil && n == 0) { // another server was faster
			_, err = tx.exec("UPDATE revisions SET number = "+expression+" WHERE topic = ?", args...)
		}
	}
	if err != nil {
		return fmt.Errorf("revision of %s: %w", topic, err)
	}
	return nil
}

// watchEvery is how often a watcher looks: often enough for the two seconds promised.
const watchEvery = time.Second

// Watch calls changed with the number of a topic, first with the one it has now and then
// whenever it has risen, until the context ends. A database that is away is asked again.
func (s *Store) Watch(ctx context.Context, topic string, changed func(int64)) {
	last := int64(-1)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		var n int64
		err := s.View(ctx, func(tx *Tx) (err error) {
			n, err = tx.Revision(topic)
			return err
		})
		if err == nil && n != last {
			last = n
			changed(n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
