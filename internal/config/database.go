package config

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/provisioner"
)

// DB says where records are kept.
type DB struct {
	Type                  string  `json:"type" help:"sqlite, postgresql, mysql or memory; badger, badgerv1, badgerv2 and bbolt stand for SQLite in the same place" enum:"sqlite,postgresql,mysql,memory,badger,badgerv1,badgerv2,bbolt" required:"true"`
	DataSource            Secret  `json:"dataSource,omitempty" help:"sqlite: a file, or a folder that holds signet.db; postgresql and mysql: connection string; nothing for memory"`
	ValueDir              string  `json:"valueDir,omitempty" help:"folder of badger's values; only looked into for old data"`
	Database              string  `json:"database,omitempty" help:"name of the database on a server, created if missing"`
	BadgerFileLoadingMode *string `json:"badgerFileLoadingMode,omitempty" help:"how badger reads its files; without effect"`
}

// Database is where the store finds the records.
type Database struct {
	Type       string // sqlite, postgresql, mysql or memory
	DataSource string // with references to secrets resolved
	Database   string
}

// sqliteFile is the file in a folder that held another kind of database before.
const sqliteFile = "signet.db"

// Database resolves the db member.
func (c *Config) Database() (Database, error) {
	d := c.DB
	switch kind := strings.ToLower(d.Type); kind {
	case "badger", "badgerv1", "badgerv2":
		return Database{Type: "sqlite", DataSource: filepath.Join(string(d.DataSource), sqliteFile)}, nil
	case "bbolt":
		return Database{Type: "sqlite", DataSource: filepath.Join(filepath.Dir(string(d.DataSource)), sqliteFile)}, nil
	case "postgresql", "mysql":
		source, err := d.DataSource.Reveal()
		return Database{kind, string(source), d.Database}, err
	default:
		return Database{kind, string(d.DataSource), d.Database}, nil
	}
}

func (d *DB) isBadger() bool {
	return slices.Contains([]string{"badger", "badgerv1", "badgerv2"}, strings.ToLower(d.Type))
}

func (d *DB) isBolt() bool { return strings.EqualFold(d.Type, "bbolt") }

func (c *Config) checkDB() {
	d, s := c.DB, c.source
	known := []string{"sqlite", "postgresql", "mysql", "memory", "badger", "badgerv1", "badgerv2", "bbolt"}
	kind := strings.ToLower(d.Type)
	switch {
	case kind == "":
		s.complain("db.type", "db.type is missing; write sqlite, postgresql, mysql or memory")
		return
	case !slices.Contains(known, kind):
		s.complain("db.type", "db.type %q is not known; write sqlite, postgresql, mysql or memory", printable(d.Type))
		return
	case d.DataSource == "" && kind != "memory":
		s.complain("db.dataSource", "db.dataSource is missing; a database of type %s needs one", kind)
		return
	}
	if kind == "postgresql" || kind == "mysql" {
		if err := d.DataSource.Check(); err != nil {
			s.complain("db.dataSource", "db.dataSource: %v", err)
		}
	}
	if d.isBadger() || d.isBolt() {
		where, _ := c.Database()
		s.warn("db.type", "db.type is %s: records are kept in SQLite at %s instead", d.Type, where.DataSource)
	}
	if mode := d.BadgerFileLoadingMode; mode != nil && !slices.Contains([]string{"", "memorymap", "mmap", "fileio"}, strings.ToLower(*mode)) {
		s.complain("db.badgerFileLoadingMode", "db.badgerFileLoadingMode %q is not known; it has no effect here, leave it out", printable(*mode))
	}
}

// checkRetention keeps a slip of the pen (30 for 30 days, "1h") from emptying the records.
func (c *Config) checkRetention() {
	if c.Signet == nil || c.Signet.Retention == nil {
		return
	}
	for name, d := range map[string]*provisioner.Duration{"audit": c.Signet.Retention.Audit, "expiredCertificates": c.Signet.Retention.ExpiredCertificates} {
		if d != nil && time.Duration(*d) < 24*time.Hour {
			c.source.complain("signet.retention."+name, "signet.retention.%s is less than 24h; leave it out to keep records for ever", name)
		}
	}
}

// checkOldData refuses to begin an empty database beside one of another make: certificates
// and revocations in it would silently be forgotten.
func (c *Config) checkOldData() {
	d, s := c.DB, c.source
	switch {
	case d == nil || d.DataSource == "":
	case d.isBadger():
		for _, dir := range []string{string(d.DataSource), d.ValueDir} {
			if old := badgerFile(dir); old != "" {
				s.complain("db.dataSource", "db.dataSource: %s belongs to a badger database, which this server cannot read; import its records, or point db.dataSource to an empty folder", old)
				return
			}
		}
	case d.isBolt():
		if foreignFile(string(d.DataSource)) {
			s.complain("db.dataSource", "db.dataSource: %s is a bbolt database, which this server cannot read; import its records, or name a file that does not exist", d.path())
		}
	}
}

// path shows a data source that is a file name; connection strings stay hidden.
func (d *DB) path() string { return string(d.DataSource) }

// badgerFile finds a file in dir that only badger makes; "" if there is none.
func badgerFile(dir string) string {
	if dir == "" {
		return ""
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		name := e.Name()
		if name == "MANIFEST" || name == "KEYREGISTRY" || strings.HasSuffix(name, ".vlog") || strings.HasSuffix(name, ".sst") {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

// foreignFile reports whether a file with content lies there that SQLite did not write.
func foreignFile(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	magic := []byte("SQLite format 3\x00")
	head := make([]byte, len(magic))
	_, err = io.ReadFull(f, head)
	return err != nil || !bytes.Equal(head, magic)
}
