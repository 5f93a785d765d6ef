package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/store"
)

// copyResult is what went into a backup, or came out of one.
type copyResult struct {
	File     string           `json:"file" help:"the backup"`
	Database string           `json:"database" help:"the database, without secrets"`
	Rows     map[string]int64 `json:"rows" help:"number of rows of each table"`
}

func (r *copyResult) Text() string { return rowsText(r.Rows) }

func dbBackup() *command {
	var where recordsFlags
	force := false
	return &command{
		short: "back the records of a CA up",
		long: `Writes all records as they are at one moment into a file, while the servers go on serving. The file is
			text, one JSON value a line, the same for every kind of database: what was taken from SQLite can be restored into
			PostgreSQL or MySQL, and back. With a name that ends in .gz it is compressed. It appears under its name only when
			it is whole and on the disk.

			It holds every certificate, but no private key: the configuration, the keys and their passwords have to be
			backed up apart from it.`,
		args: []arg{need("file", "where to write the backup; - is standard output")},
		examples: []example{
			{"Back the CA of the home directory up", "signet db backup records.jsonl.gz"},
			{"Send a backup to another machine", "signet db backup - --ca-config /etc/signet/ca.json | ssh backup@example.com 'cat > records.jsonl'"},
		},
		flags: func(fs *flags) {
			where.register(fs)
			fs.Bool(&force, "force", "overwrite a file that exists").Alias("f")
		},
		result: &copyResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			file := args[0]
			if err := env.confirmOverwrite(ctx, force, file); err != nil {
				return nil, err
			}
			r := &copyResult{File: file}
			err := where.with(ctx, env, func(s *store.Store) error {
				r.Database = s.Name()
				return r.write(ctx, env, s)
			})
			if err != nil {
				return nil, err
			}
			env.Done("Backup", "%s", file)
			if file == "-" {
				return nil, nil
			}
			return r, nil
		},
	}
}

func (r *copyResult) write(ctx context.Context, env *Env, s *store.Store) error {
	plain := func(w io.Writer) (err error) {
		r.Rows, err = s.Backup(ctx, w, env.progress())
		return err
	}
	switch {
	case r.File == "-":
		w := bufio.NewWriter(env.Stdout)
		return errors.Join(plain(w), w.Flush())
	case !strings.HasSuffix(r.File, ".gz"):
		return durable.Stream(r.File, 0o600, plain)
	}
	return durable.Stream(r.File, 0o600, func(w io.Writer) error {
		z := gzip.NewWriter(w)
		return errors.Join(plain(z), z.Close())
	})
}

func dbRestore() *command {
	var where recordsFlags
	return &command{
		short: "restore the records of a CA from a backup",
		long: `Brings the records of a backup into the database of the configuration, which is created if it is missing
			and must be empty: nothing is ever overwritten. All of them are written, or none. Stop the servers of that
			database first.`,
		args: []arg{need("file", "the backup, compressed or not; - is standard input")},
		examples: []example{
			{"Restore a backup into the database of the home directory", "signet db restore records.jsonl.gz"},
			{"Move from SQLite to the database of another configuration", "signet db backup - | signet db restore - --ca-config postgresql.json"},
		},
		flags:  where.register,
		result: &copyResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			r := &copyResult{File: args[0]}
			in := env.Stdin
			if r.File != "-" {
				f, err := os.Open(r.File)
				if err != nil {
					return nil, fmt.Errorf("open the backup: %w", err)
				}
				defer f.Close()
				in = f
			}
			from, err := unpacked(in)
			if err != nil {
				return nil, err
			}
			s, err := where.open(ctx, env)
			if err != nil {
				return nil, err
			}
			r.Database = s.Name()
			r.Rows, err = s.Restore(ctx, from, env.progress())
			if err = errors.Join(err, s.Close()); err != nil {
				return nil, err
			}
			env.Done("Restored", "%s", r.Database)
			return r, nil
		},
	}
}

// unpacked reads through compression, whatever the file is called.
func unpacked(in io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(in, 1<<16)
	magic, err := b.Peek(2)
	if err != nil || !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return b, nil // what is wrong with it is the restore's to say
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("read the compressed backup: %w", err)
	}
	return z, nil
}
