package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Server is one that uses this database now.
type Server struct {
	ID          string    `json:"id"`
	Host        string    `json:"host"`
	Version     string    `json:"version"`
	IssuerKeyID string    `json:"issuerKeyID"` // fingerprint of the key that it signs with
	Knows       []string  `json:"-"`           // fingerprints of the earlier issuing keys it accepts
	StartedAt   time.Time `json:"startedAt"`
	SeenAt      time.Time `json:"seenAt"`
}

const (
	presenceEvery = 10 * time.Second
	presenceLasts = 30 * time.Second // a server that was killed is forgotten after this
)

// Attend shows the others that this server is there until the context ends; self tells
// what it is now. A database that is away is told again later.
func (s *Store) Attend(ctx context.Context, self func() Server, log func(error)) {
	if !s.Durable() {
		return // nobody else can see it
	}
	tick := time.NewTicker(presenceEvery)
	defer tick.Stop()
	for {
		if err := s.Announce(ctx, self()); err != nil && ctx.Err() == nil {
			log(err)
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		err := s.Update(last, func(tx *Tx) error {
			_, err := tx.exec("DELETE FROM servers WHERE id = ?", s.id)
			return err
		})
		if err != nil {
			log(fmt.Errorf("take this server off the list: %w", err))
		}
		return
	}
}

// Announce writes down once that this server is there.
func (s *Store) Announce(ctx context.Context, self Server) error {
	if err := key("issuing key", self.IssuerKeyID, 255); err != nil {
		return err
	}
	knows, err := json.Marshal(self.Knows)
	if err != nil {
		return err
	}
	err = s.Update(ctx, func(tx *Tx) error {
		now := time.Now()
		n, err := tx.exec("UPDATE servers SET issuer_key_id = ?, knows = ?, seen_at = ? WHERE id = ?",
			self.IssuerKeyID, string(knows), now.UnixMilli(), s.id)
		if err == nil && n == 0 {
			_, err = tx.exec("INSERT INTO servers (id, host, version, issuer_key_id, knows, started_at, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
				s.id, text(self.Host), text(self.Version), self.IssuerKeyID, string(knows), self.StartedAt.UnixMilli(), now.UnixMilli())
		}
		if err == nil {
			_, err = tx.exec("DELETE FROM servers WHERE seen_at < ?", now.Add(-time.Hour).UnixMilli())
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("announce this server: %w", err)
	}
	return nil
}

// Servers lists those that were seen lately, this one included, the oldest first.
func (tx *Tx) Servers(now time.Time) (all []Server, err error) {
	err = tx.rows("SELECT id, host, version, issuer_key_id, knows, started_at, seen_at FROM servers WHERE seen_at > ? ORDER BY started_at, id",
		[]any{now.Add(-presenceLasts).UnixMilli()}, func(r *sql.Rows) error {
			var v Server
			var knows string
			var started, seen int64
			if err := r.Scan(&v.ID, &v.Host, &v.Version, &v.IssuerKeyID, &knows, &started, &seen); err != nil {
				return err
			}
			v.StartedAt, v.SeenAt = time.UnixMilli(started).UTC(), time.UnixMilli(seen).UTC()
			all = append(all, v)
			return json.Unmarshal([]byte(knows), &all[len(all)-1].Knows)
		})
	if err != nil {
		return nil, fmt.Errorf("list servers: %w", err)
	}
	return all, nil
}

// Strangers are the servers on this database that sign with a key which has nothing to do
// with ours: neither server counts the other's among its own and earlier ones. Records
// and revocation lists of two authorities would mix. older tells which of them were there
// before this server.
func (s *Store) Strangers(ctx context.Context, self Server) (older, younger []Server, err error) {
	var all []Server
	err = s.View(ctx, func(tx *Tx) (err error) {
		all, err = tx.Servers(time.Now())
		return err
	})
	for _, other := range all {
		switch {
		case other.ID == s.id, other.IssuerKeyID == self.IssuerKeyID,
			slices.Contains(self.Knows, other.IssuerKeyID), slices.Contains(other.Knows, self.IssuerKeyID):
		case other.StartedAt.Before(self.StartedAt), other.StartedAt.Equal(self.StartedAt) && other.ID < s.id:
			older = append(older, other)
		default:
			younger = append(younger, other)
		}
	}
	return older, younger, err
}
