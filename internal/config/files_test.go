package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/config"
)

func TestDatabaseTypes(t *testing.T) {
	t.Setenv("SIGNET_TEST_DSN", "postgresql://u:p@h/d")
	for name, c := range map[string]struct {
		db   string
		want config.Database
	}{
		"sqlite":                {`{"type": "SQLite", "dataSource": "/d"}`, config.Database{Type: "sqlite", DataSource: "/d"}},
		"memory":                {`{"type": "memory"}`, config.Database{Type: "memory"}},
		"badger":                {`{"type": "badger", "dataSource": "/d"}`, config.Database{Type: "sqlite", DataSource: "/d/signet.db"}},
		"badgerV1":              {`{"type": "badgerV1", "dataSource": "/d"}`, config.Database{Type: "sqlite", DataSource: "/d/signet.db"}},
		"bbolt":                 {`{"type": "bbolt", "dataSource": "/d/x.db"}`, config.Database{Type: "sqlite", DataSource: "/d/signet.db"}},
		"mysql":                 {`{"type": "mysql", "dataSource": "u:p@tcp(h)/", "database": "ca"}`, config.Database{Type: "mysql", DataSource: "u:p@tcp(h)/", Database: "ca"}},
		"dsn from the variable": {`{"type": "postgresql", "dataSource": "env:SIGNET_TEST_DSN"}`, config.Database{Type: "postgresql", DataSource: "postgresql://u:p@h/d"}},
	} {
		t.Run(name, func(t *testing.T) {
			conf, _, err := config.Parse("ca.json", []byte(with(`"db": `+c.db)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := conf.Database()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOldDataIsNotForgotten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, content string // put into the folder of the database
		db            string // %s is that folder
		refused       bool
	}{
		"badger manifest":          {"MANIFEST", "x", `{"type": "badgerv2", "dataSource": "%s"}`, true},
		"badger value log":         {"000001.vlog", "", `{"type": "badger", "dataSource": "%s"}`, true},
		"badger table":             {"000001.sst", "", `{"type": "badgerv1", "dataSource": "%s"}`, true},
		"badger keys":              {"KEYREGISTRY", "", `{"type": "badgerv2", "dataSource": "%s"}`, true},
		"badger values elsewhere":  {"000001.vlog", "", `{"type": "badgerv2", "dataSource": "/nowhere", "valueDir": "%s"}`, true},
		"empty folder":             {"", "", `{"type": "badgerv2", "dataSource": "%s"}`, false},
		"our own file":             {"signet.db", "SQLite format 3\x00", `{"type": "badgerv2", "dataSource": "%s"}`, false},
		"sqlite beside badger":     {"MANIFEST", "x", `{"type": "sqlite", "dataSource": "%s"}`, false},
		"bbolt file":               {"x.db", "\x00\x01old pages", `{"type": "bbolt", "dataSource": "%s/x.db"}`, true},
		"bbolt file that is SQL":   {"x.db", "SQLite format 3\x00", `{"type": "bbolt", "dataSource": "%s/x.db"}`, false},
		"bbolt file not there yet": {"", "", `{"type": "bbolt", "dataSource": "%s/x.db"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if c.file != "" {
				write(t, filepath.Join(dir, c.file), c.content, 0o600)
			}
			path := filepath.Join(t.TempDir(), "ca.json")
			write(t, path, with(`"db": `+fmt.Sprintf(c.db, dir)), 0o600)
			_, _, err := config.Read(path)
			if (err != nil) != c.refused {
				t.Errorf("got %v, want a refusal: %v", err, c.refused)
			}
			if c.refused && !strings.Contains(err.Error(), "import") {
				t.Errorf("the refusal does not name the import: %v", err)
			}
		})
	}
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestLooseModes(t *testing.T) {
	t.Parallel()
	secret := with(`"password": "swordfish"`)
	for name, c := range map[string]struct {
		text           string
		mode           os.FileMode
		warns, refuses bool
	}{
		"private":                   {text: secret, mode: 0o600},
		"readable without a secret": {text: smallest, mode: 0o644},
		"readable with a secret":    {text: secret, mode: 0o644, warns: true},
		"secret only referred to":   {text: with(`"password": "file:/x"`), mode: 0o644},
		"writable":                  {text: smallest, mode: 0o666, warns: true},
		"writable, strictly":        {text: with(`"signet": {"strictPermissions": true}`), mode: 0o666, refuses: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ca.json")
			write(t, path, c.text, c.mode)
			_, report, err := config.Read(path)
			if (err != nil) != c.refuses {
				t.Fatalf("refused: %v", err)
			}
			if warned := len(report.Warnings) > 0; warned != c.warns {
				t.Errorf("warnings %v, want some: %v", report.Warnings, c.warns)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	t.Setenv("SIGNET_TEST_SECRET", " from the environment ")
	file := filepath.Join(t.TempDir(), "pw")
	write(t, file, " from a file \n", 0o600)
	for name, c := range map[string]struct {
		secret config.Secret
		want   string
		fails  bool
	}{
		"literal, verbatim":    {" pw ", " pw ", false},
		"file, end cut":        {config.Secret("file:" + file), " from a file", false},
		"variable, verbatim":   {"env:SIGNET_TEST_SECRET", " from the environment ", false},
		"variable that is not": {"env:SIGNET_TEST_NO_SUCH", "", true},
		"file that is not":     {"file:/nowhere/at/all", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.secret.Reveal()
			if string(got) != c.want || (err != nil) != c.fails {
				t.Errorf("got %q, %v", got, err)
			}
			if text := fmt.Sprintf("%v %s %#v %+v", c.secret, c.secret, c.secret, c.secret); strings.Contains(text, "pw") || strings.Contains(text, "SIGNET") {
				t.Errorf("the secret prints itself: %s", text)
			}
		})
	}
}
