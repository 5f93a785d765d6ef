package store

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrate brings the schema up to this program's version. Migrations only go forward.
func migrate(ctx context.Context, d *dialect, base *database) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("prepare database %s: %w", base.name, d.advise(base.redact(err)))
		}
	}()
	if d.exclusive != nil {
		release, err := d.exclusive(ctx, base.write)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	for attempt := 1; ; attempt++ {
		err = up(ctx, d, base)
		if err == nil || attempt == 5 || ctx.Err() != nil || d.advice(err) != "" {
			return err
		}
		// Another process may have migrated the same file between our look and our step.
		time.Sleep(20 * time.Millisecond)
	}
}

func up(ctx context.Context, d *dialect, base *database) error {
	// Made anew for each attempt: a provider whose first look failed does not look again.
	p, err := goose.NewProvider(d.goose, base.write, worded{d, base}, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	have, known, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > known {
		return fmt.Errorf("its schema has version %d and this program knows up to %d: a newer program wrote it; run that one, or restore a backup made before the upgrade", have, known)
	}
	if have == known {
		return nil
	}
	_, err = p.Up(ctx)
	return err
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
	ifNew := "IF NOT EXISTS"
	if w.base.noIfNew {
		ifNew = ""
	}
	text = strings.ReplaceAll(text, "{ifnew}", ifNew)
	for word, means := range w.dialect.types {
		text = strings.ReplaceAll(text, "{"+word+"}", means)
	}
	return &wordedFile{File: f, Reader: bytes.NewReader([]byte(text))}, nil
}

type wordedFile struct {
	fs.File
	*bytes.Reader
}

func (f *wordedFile) Read(p []byte) (int, error) { return f.Reader.Read(p) }
