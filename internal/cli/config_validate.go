package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/server"
)

// validateResult is what there is to say about a configuration.
type validateResult struct {
	File     string   `json:"file" help:"the configuration file"`
	Valid    bool     `json:"valid" help:"the server would start from it"`
	Errors   []string `json:"errors" help:"what keeps the server from starting, each with file, line and column where there is one"`
	Warnings []string `json:"warnings" help:"what the server would warn of"`
}

func (*validateResult) Text() string { return "" } // the notes say it all

type validateFlags struct {
	passwordFile, sshHostPasswordFile, sshUserPasswordFile string
	strict, fileOnly                                       bool
}

func configValidate() *command {
	f := new(validateFlags)
	return &command{
		short: "check a configuration of the server",
		long: `Does what the server does at its start before it opens database and sockets, and says everything
			that is wrong, each with line and column. The keys are opened, so their password is needed; with
			--file-only the configuration file alone is looked at.

			Without an argument the file is config/ca.json below the home directory.`,
		args: []arg{may("config", "configuration file (ca.json)")},
		examples: []example{
			{"Check the configuration of the home directory", "signet config validate --password-file password.txt"},
			{"Check a file on a machine without the keys, as strictly as possible", "signet config validate ca.json --file-only --strict"},
		},
		exits: []exitNote{{1, "the server would not start"}},
		flags: func(fs *flags) {
			fs.String(&f.passwordFile, "password-file", "file", "read the password of the keys from `file`")
			fs.String(&f.sshHostPasswordFile, "ssh-host-password-file", "file", "read the password of the SSH host key from `file`")
			fs.String(&f.sshUserPasswordFile, "ssh-user-password-file", "file", "read the password of the SSH user key from `file`")
			fs.Bool(&f.strict, "strict", "unknown members and disabled provisioners are errors")
			fs.Bool(&f.fileOnly, "file-only", "look at nothing but the configuration file")
			fs.Incompatible("file-only", "password-file", "ssh-host-password-file", "ssh-user-password-file")
		},
		result: &validateResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			file := env.Home.CAConfig()
			if len(args) > 0 {
				file = args[0]
			}
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("there is no configuration at %s; make a CA with `%s ca init`, or name the file", file, env.Name)
			}
			return f.run(ctx, env, file)
		},
	}
}

func (f *validateFlags) run(ctx context.Context, env *Env, file string) (any, error) {
	check := f.checkStart
	if f.fileOnly {
		check = f.checkFile
	}
	r := &validateResult{File: file, Errors: []string{}, Warnings: []string{}}
	notes := new(warnings)
	if err := check(ctx, env, file, notes); err != nil {
		r.Errors = strings.Split(err.Error(), "\n")
	}
	r.Warnings = append(r.Warnings, notes.all...)
	for _, w := range r.Warnings {
		env.Warn("%s", w)
	}
	if r.Valid = len(r.Errors) == 0; r.Valid {
		env.Done("Configuration", "%s", file)
		return r, nil
	}
	for _, line := range r.Errors {
		env.Fail("Configuration", "%s", line)
	}
	return r, exitWith(exitFailure, nil)
}

func (f *validateFlags) checkFile(_ context.Context, env *Env, file string, notes *warnings) error {
	_, report, err := config.Options{Home: env.Home.Path(), Strict: f.strict}.Read(file)
	if report != nil {
		for _, w := range report.Warnings {
			notes.add(w.Error())
		}
	}
	return err
}

func (f *validateFlags) checkStart(ctx context.Context, env *Env, file string, notes *warnings) error {
	o := server.Options{
		ConfigFile: file, Home: env.Home.Path(), Strict: f.strict, Prompt: env.password(ctx, "", "password-file"),
		Log: slog.New(notes), Getenv: env.Getenv, Stderr: env.Stderr,
	}
	for _, p := range []struct {
		file string
		dst  *[]byte
	}{{f.passwordFile, &o.Password}, {f.sshHostPasswordFile, &o.SSHHostPassword}, {f.sshUserPasswordFile, &o.SSHUserPassword}} {
		if p.file == "" {
			continue
		}
		var err error
		if *p.dst, err = env.readPassword(ctx, p.file, question{}); err != nil {
			return err
		}
	}
	return server.Check(ctx, o)
}

// warnings is a log that keeps what it is told, one line each.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) add(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

func (w *warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler               { return w }
func (w *warnings) WithGroup(string) slog.Handler                    { return w }

// Handle makes a sentence of a record: the warning itself, or the message with what it is
// about.
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "warning" {
			text = a.Value.String()
			return false
		}
		text += fmt.Sprintf(", %s: %v", a.Key, a.Value)
		return true
	})
	w.add(text)
	return nil
}
