package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Progress is told now and then how far long work has come.
type Progress func(table string, rows int64)

// kept is every table that a backup holds, in the order in which they are written, with
// the columns that order its rows. What lives only while servers do (leases, the servers
// themselves, the heartbeat, nonces and their keys) is not in it.
var kept = []struct {
	*table
	by string
}{
	{certificatesTable, "id"},
	{namesTable, "value, kind, certificate_id"},
	{spentTable, "proof"},
	{revocationsTable, "class, serial"},
	{auditTable, "at, id"},
	{crlsTable, "issuer"},
	{revisionsTable, "topic"},
	{acmeAccountsTable, "id"},
	{acmeKeysTable, "id"},
	{acmeOrdersTable, "id"},
	{acmeAuthzsTable, "id"},
	{acmeCertificatesTable, "serial"},
	{acmeRenewalsTable, "scope"},
	{compromisedKeysTable, "key_id"},
	{acmePausesTable, "account_id, value"},
}

var (
	crlsTable      = &table{"crls", []string{"issuer", "number", "this_update", "next_update", "der"}}
	revisionsTable = &table{"revisions", []string{"topic", "number"}}
)

// kind is how a column travels: drivers give the same column as text or as bytes.
type kind uint8

const (
	words kind = iota
	whole
	octets
)

func kindOf(column string) kind {
	switch {
	case slices.Contains([]string{"raw", "ra", "der", "secret"}, column):
		return octets
	case slices.Contains([]string{"id", "certificate_id", "not_before", "not_after", "issued_at", "spent_at", "expires_at",
		"revoked_at", "reason_code", "mtls", "acme", "at", "number", "this_update", "next_update",
		"created_at", "terms_at", "bound_at", "made_at", "remove_at", "seq", "wildcard", "subdomains", "version", "day"}, column):
		return whole
	}
	return words
}

// snapshot runs read on a connection of its own that sees one state of the database,
// whatever is written meanwhile, and holds up no writer.
func (s *Store) snapshot(ctx context.Context, read func(*session) error) error {
	ss, err := openSession(ctx, s.dialect, s.base.read)
	if err != nil {
		return s.explain(ctx, "read", err)
	}
	defer ss.close()
	for _, command := range s.dialect.snapshot {
		if err := ss.command(ctx, command); err != nil {
			ss.lost = true
			return s.explain(ctx, "read", err)
		}
	}
	err = read(ss)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if ss.command(last, "ROLLBACK") != nil {
		ss.lost = true
	}
	return s.explain(ctx, "read", err)
}

// walk reads every row of a table, its columns in the kinds they travel as.
func (ss *session) walk(ctx context.Context, t *table, by string, row func([]any) error) error {
	rows, err := ss.conn.QueryContext(ctx, "SELECT "+strings.Join(t.columns, ", ")+" FROM "+t.name+" ORDER BY "+by)
	if err != nil {
		return fmt.Errorf("read %s: %w", t.name, err)
	}
	defer rows.Close()
	for rows.Next() {
		values, err := scanKinds(rows, t.columns)
		if err == nil {
			err = row(values)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", t.name, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", t.name, err)
	}
	return nil
}

func scanKinds(rows *sql.Rows, columns []string) ([]any, error) {
	dest := make([]any, len(columns))
	for i, c := range columns {
		switch kindOf(c) {
		case octets:
			dest[i] = new([]byte)
		case whole:
			dest[i] = new(int64)
		default:
			dest[i] = new(string)
		}
	}
	if err := rows.Scan(dest...); err != nil {
		return nil, err
	}
	for i, d := range dest {
		switch d := d.(type) {
		case *[]byte:
			if dest[i] = any(*d); *d == nil {
				dest[i] = nil
			}
		case *int64:
			dest[i] = *d
		case *string:
			dest[i] = *d
		}
	}
	return dest, nil
}
