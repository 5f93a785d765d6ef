package store

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// schemaVersion is the number of the last file in migrations.
const schemaVersion = 6

// migrate brings the schema up to this program's version, unless that is forbidden.
// Migrations only go forward. It returns what the operator should know.
func migrate(ctx context.Context, d *dialect, base *database, forbidden bool) (note string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("prepare database %s: %w", base.name, d.advise(base.redact(err)))
		}
	}()
	if d.exclusive != nil && !forbidden {
		release, err := d.exclusive(ctx, base.write)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	for attempt := 1; ; attempt++ {
		note, err = up(ctx, d, base, forbidden)
		if err == nil || attempt == 5 || ctx.Err() != nil || d.advice(err) != "" || errors.Is(err, errVersion) {
			return note, err
		}
		// Another process may have migrated the same file between our look and our step.
		time.Sleep(20 * time.Millisecond)
	}
}

// errVersion is a schema that this program can't work with. Trying again is of no use.
var errVersion = errors.New("the schema does not fit")

func up(ctx context.Context, d *dialect, base *database, forbidden bool) (note string, err error) {
	// Made anew for each attempt: a provider whose first look failed does not look again.
	p, err := goose.NewProvider(d.goose, base.write, worded{d, base}, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return "", err
	}
	have, known, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return "", err
	case have > known+1:
		return "", fmt.Errorf("%w: it has version %d and this program works with up to %d: a newer program wrote it; run that one, or restore a backup made before the upgrade", errVersion, have, known+1)
	case have == known+1:
		return fmt.Sprintf("its schema has version %d, one newer than this program's: upgrade this server too", have), nil
	case have == known:
		return "", nil
	case forbidden:
		return "", fmt.Errorf("%w: it has version %d and this program needs %d: a migration is due, and --no-migrate forbids it; run `signet db migrate`, or start once without --no-migrate", errVersion, have, known)
	}
	_, err = p.Up(ctx)
	return "", err
}

// worded is the migration files with a dialect's own words in place of those in braces.
type worded struct {
	dialect *dialect
	base    *database
}

func (w worded) ReadDir(name string) ([]fs.DirEntry, error) {
	return migrationFiles.ReadDir(path.Join("migrations", name))
}

func (w worded) Open(name string) (fs.File, error) {
	name = path.Join("migrations", name)
	f, err := migrationFiles.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	data, err := migrationFiles.ReadFile(name)
	if err != nil {
		return nil, err
	}
	text := string(data)
	for word, means := range w.dialect.types {
		text = strings.ReplaceAll(text, "{"+word+"}", means)
	}
	if w.base.noIfNew {
		text = guardIndexes(text)
	}
	text = strings.NewReplacer("{ifnew}", "IF NOT EXISTS", "{ifold}", "IF EXISTS").Replace(text)
	return &wordedFile{File: f, Reader: bytes.NewReader([]byte(text))}, nil
}

// guardIndexes has MySQL, which does not know IF EXISTS of an index, look by itself, so that a
// migration that was cut off can run again: there each statement is a commit of its own.
func guardIndexes(text string) string {
	create := regexp.MustCompile(`(?m)^(CREATE INDEX) \{ifnew\} ((\w+) ON (\w+) \([^;]*\));$`)
	drop := regexp.MustCompile(`(?m)^(DROP INDEX) \{ifold\} ((\w+) ON (\w+));$`)
	return drop.ReplaceAllString(create.ReplaceAllString(text, guarded("= 0")), guarded("> 0"))
}

// guarded runs a statement about an index if the number of its columns that there are is as told.
func guarded(count string) string {
	return `SET @step = (SELECT IF(COUNT(*) ` + count + `, '$1 $2', 'DO 0') FROM information_schema.statistics
	WHERE table_schema = DATABASE() AND table_name = '$4' AND index_name = '$3');
PREPARE step FROM @step;
EXECUTE step;
DEALLOCATE PREPARE step;`
}

type wordedFile struct {
	fs.File
	*bytes.Reader
}

func (f *wordedFile) Read(p []byte) (int, error) { return f.Reader.Read(p) }
