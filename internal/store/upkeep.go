package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Stats is what a database holds.
type Stats struct {
	Type      string           // sqlite, postgresql or mysql
	Name      string           // path, or user@host/name
	Schema    int64            // version of the schema
	Bytes     int64            // size, of tables and indexes
	Rows      map[string]int64 // by table
	Expired   int64            // certificates past their end
	Revisions map[string]int64 // by topic
	Servers   []Server         // that use it now
}

// Stats counts. On a large database that takes a while.
func (s *Store) Stats(ctx context.Context, now time.Time) (*Stats, error) {
	st := &Stats{Type: s.dialectName(), Name: s.base.name, Rows: map[string]int64{}, Revisions: map[string]int64{}}
	err := s.View(ctx, func(tx *Tx) error {
		if err := tx.row("SELECT max(version_id) FROM goose_db_version", nil, &st.Schema); err != nil {
			return err
		}
		if err := tx.row(s.dialect.size, nil, &st.Bytes); err != nil {
			return err
		}
		for _, t := range kept {
			var n int64
			if err := tx.row("SELECT count(*) FROM "+t.name, nil, &n); err != nil {
				return err
			}
			st.Rows[t.name] = n
		}
		if err := tx.row("SELECT count(*) FROM certificates WHERE not_after < ?", []any{seconds(now)}, &st.Expired); err != nil {
			return err
		}
		for _, topic := range []string{"revocations"} {
			n, err := tx.Revision(topic)
			if err != nil {
				return err
			}
			st.Revisions[topic] = n
		}
		var err error
		st.Servers, err = tx.Servers(now)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count what the database holds: %w", err)
	}
	return st, nil
}

// Size is how many bytes tables and indexes take.
func (s *Store) Size(ctx context.Context) (n int64, err error) {
	err = s.View(ctx, func(tx *Tx) error { return tx.row(s.dialect.size, nil, &n) })
	if err != nil {
		return 0, fmt.Errorf("size of the database: %w", err)
	}
	return n, nil
}

// Check reads every row, has the database check itself where it can, and compares what has
// to agree. It returns what is wrong in words, and how many rows it read.
func (s *Store) Check(ctx context.Context, progress Progress) (problems []string, rows map[string]int64, err error) {
	rows = map[string]int64{}
	problems, err = s.checkItself(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("check the database: %w", err)
	}
	say := func(format string, args ...any) {
		if len(problems) < 100 {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	err = s.snapshot(ctx, func(ss *session) error {
		named := int64(0)
		for _, t := range kept {
			err := ss.walk(ctx, t.table, t.by, func(values []any) error {
				if rows[t.name]++; rows[t.name]%1000 == 0 {
					progress(t.name, rows[t.name])
				}
				if t.table != certificatesTable {
					return nil
				}
				n, err := checkCertificate(values)
				if err != nil {
					say("certificate %v: %v", values[2], err)
				}
				named += n
				return nil
			})
			if err != nil {
				return err
			}
		}
		var orphans int64
		err := ss.conn.QueryRowContext(ctx, `SELECT count(*) FROM certificate_names n
			LEFT JOIN certificates c ON c.id = n.certificate_id WHERE c.id IS NULL`).Scan(&orphans)
		if orphans > 0 {
			say("%d names belong to no certificate", orphans)
		}
		if have := rows[namesTable.name] - orphans; have != named {
			say("%d names are in the index of names and %d in the certificates", have, named)
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("check the database: %w", err)
	}
	return problems, rows, nil
}

// checkCertificate tells how many names a row of certificatesTable has in the index.
func checkCertificate(values []any) (indexed int64, err error) {
	column := map[string]any{}
	for i, c := range certificatesTable.columns {
		column[c] = values[i]
	}
	text := func(name string) string { s, _ := column[name].(string); return s }
	c := &Certificate{Serial: text("serial"), Type: text("type"), ProvisionerID: text("provisioner_id"), RenewedFrom: text("renewed_from")}
	c.Raw, _ = column["raw"].([]byte)
	if err := json.Unmarshal([]byte(text("names")), &c.Names); err != nil {
		return 0, fmt.Errorf("its names can't be read: %w", err)
	}
	indexed = int64(len(distinct(c.Names)))
	if c.RenewedFrom != "" {
		indexed++
	}
	class, err := c.check()
	if err == nil && class != text("class") {
		err = fmt.Errorf("its type is %s and its class %s", c.Type, text("class"))
	}
	return indexed, err
}

// checkItself has the database look at its own files.
func (s *Store) checkItself(ctx context.Context) (problems []string, err error) {
	if s.dialect.checks == "" {
		return nil, nil
	}
	ss, err := openSession(ctx, s.dialect, s.base.read)
	if err != nil {
		return nil, s.explain(ctx, "read", err)
	}
	defer ss.close()
	rows, err := ss.conn.QueryContext(ctx, s.dialect.checks)
	if err != nil {
		return nil, s.explain(ctx, "read", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		said := make([]string, len(columns))
		dest := make([]any, len(columns))
		for i := range said {
			dest[i] = &said[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		if !strings.EqualFold(said[len(said)-1], "ok") {
			problems = append(problems, strings.Join(said, " "))
		}
	}
	return problems, rows.Err()
}

// Vacuum gives free space back and renews what the planner knows. SQLite holds writers up
// meanwhile, the others hardly.
func (s *Store) Vacuum(ctx context.Context) error {
	ss, err := openSession(ctx, s.dialect, s.base.write)
	if err != nil {
		return s.explain(ctx, "write", err)
	}
	defer ss.close()
	for _, command := range s.dialect.vacuum {
		rows, err := ss.conn.QueryContext(ctx, command) // some answer with rows
		if err == nil {
			for rows.Next() {
			}
			err = errors.Join(rows.Err(), rows.Close())
		}
		if err != nil {
			return s.explain(ctx, "write", fmt.Errorf("%s: %w", command, err))
		}
	}
	return nil
}

// Schema is the version of the database's schema.
func (s *Store) Schema(ctx context.Context) (version int64, err error) {
	err = s.View(ctx, func(tx *Tx) error { return tx.row("SELECT max(version_id) FROM goose_db_version", nil, &version) })
	if err != nil {
		return 0, fmt.Errorf("look at the version of the schema: %w", err)
	}
	return version, nil
}

// Name says where the database is, without secrets.
func (s *Store) Name() string { return s.base.name }
