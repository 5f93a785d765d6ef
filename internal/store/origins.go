package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// tell has the changes of a group that asked for origins run again, now that these are known.
func (w *writer) tell(ctx context.Context, group []*pending) error {
	var wanted []subject
	for _, p := range group {
		wanted = append(wanted, p.wanted...)
	}
	if len(wanted) == 0 {
		return nil
	}
	known, err := w.origins(ctx, wanted)
	if err != nil {
		return err
	}
	for _, p := range group {
		if len(p.wanted) == 0 {
			continue
		}
		if p.rec = w.store.record(ctx, p.change, known); p.rec != nil && len(p.rec.wanted) > 0 {
			p.rec = nil // it asks for more each time it is told something: it has its turn
		}
	}
	return nil
}

// origins looks up where certificates came from; nil for those that are not on record.
func (w *writer) origins(ctx context.Context, wanted []subject) (map[subject]*Certificate, error) {
	known := make(map[subject]*Certificate, len(wanted))
	for len(wanted) > 0 {
		class := wanted[0].class
		args, later := []any{class}, []subject(nil)
		for _, s := range wanted {
			if s.class != class || len(args) > statementRows {
				later = append(later, s)
				continue
			}
			known[s] = nil
			args = append(args, s.serial)
		}
		if err := w.originsOf(ctx, args, known); err != nil {
			return nil, fmt.Errorf("look for origins of certificates: %w", err)
		}
		wanted = later
	}
	return known, nil
}

// originsOf asks for those of a class: args are it and serials, the last of which is repeated
// so that few different statements need preparing.
func (w *writer) originsOf(ctx context.Context, args []any, known map[subject]*Certificate) error {
	n := 1
	for n < len(args)-1 {
		n *= 2
	}
	for len(args)-1 < n {
		args = append(args, args[len(args)-1])
	}
	st, err := w.session.stmt(ctx, "SELECT serial, class, provisioner_id, provisioner_name, not_after FROM certificates WHERE class = ? AND serial IN (?"+
		strings.Repeat(", ?", n-1)+")")
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scanOrigin(rows, known); err != nil {
			return err
		}
	}
	return rows.Err()
}

func scanOrigin(rows *sql.Rows, known map[subject]*Certificate) error {
	var class string
	var notAfter int64
	c := new(Certificate)
	if err := rows.Scan(&c.Serial, &class, &c.ProvisionerID, &c.ProvisionerName, &notAfter); err != nil {
		return err
	}
	c.NotAfter = moment(notAfter)
	known[subject{class, c.Serial}] = c
	return nil
}
