package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/store"
)

// recordsFlags say whose database a command works on. The keys of the CA stay closed.
type recordsFlags struct{ caConfig string }

func (r *recordsFlags) register(fs *flags) {
	fs.String(&r.caConfig, "ca-config", "file", "configuration of the CA whose database is meant").Preset("config/ca.json in the home")
}

// open opens the database of the configuration.
func (r *recordsFlags) open(ctx context.Context, env *Env, opts ...store.Option) (*store.Store, error) {
	file := cmp.Or(r.caConfig, env.Home.CAConfig())
	cfg, _, err := config.Options{Home: env.Home.Path()}.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no configuration of a CA at %s; give --ca-config", file)
	}
	if err != nil {
		return nil, err
	}
	where, err := cfg.Database()
	if err != nil {
		return nil, fmt.Errorf("db.dataSource: %w", err)
	}
	if where.Type == "memory" {
		return nil, errors.New("the records of this CA are in the memory of its server, where no command reaches them")
	}
	s, err := store.Open(ctx, store.Config(where), quietLog(env), opts...)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return s, nil
}

// with runs work on a database as it is: nothing is created or migrated.
func (r *recordsFlags) with(ctx context.Context, env *Env, work func(*store.Store) error) error {
	s, err := r.open(ctx, env, store.Existing(), store.NoMigrate())
	if err != nil {
		return err
	}
	return errors.Join(work(s), s.Close())
}

// progressEvery is how often long work says how far it has come.
const progressEvery = 2 * time.Second

// progress notes now and then how far long work has come.
func (e *Env) progress() store.Progress {
	last := e.Now()
	return func(table string, rows int64) {
		if now := e.Now(); now.Sub(last) >= progressEvery {
			last = now
			e.Note("%s: %d rows so far", table, rows)
		}
	}
}

// rowsText is how many rows of which table, in columns.
func rowsText(rows map[string]int64) string {
	var b strings.Builder
	for _, table := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&b, "%-18s %12d\n", table, rows[table])
	}
	return b.String()
}
