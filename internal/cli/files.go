package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unicode"

	"github.com/signet-ca/signet/internal/durable"
)

// maxInput bounds what is read from a file or standard input.
const maxInput = 64 << 20

// maxPassword bounds a password file.
const maxPassword = 64 << 10

// readFile reads a file given by the user; "-" is standard input, pipes and /dev/fd/N work.
func (e *Env) readFile(name string) ([]byte, error) { return e.readBounded(name, maxInput) }

func (e *Env) readBounded(name string, limit int64) ([]byte, error) {
	source, label := e.Stdin, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read %w", err)
		}
		defer f.Close()
		source, label = f, name
	}
	data, err := io.ReadAll(io.LimitReader(source, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", label, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: it is larger than %d bytes", label, limit)
	}
	return data, nil
}

// readArg reads the file that is positional argument i, or standard input without it.
func (e *Env) readArg(args []string, i int) ([]byte, error) {
	if i < len(args) {
		return e.readFile(args[i])
	}
	return e.readFile("-")
}

// writeFile writes a file for the user, asking first if it exists, unless force. Its
// directory is made if it is missing. "-" is standard output.
func (e *Env) writeFile(ctx context.Context, name string, data []byte, perm fs.FileMode, force bool) error {
	if name == "-" {
		_, err := e.Stdout.Write(data)
		return err
	}
	if err := e.confirmOverwrite(ctx, force, name); err != nil {
		return err
	}
	return durable.WriteFile(name, data, perm)
}

// confirmOverwrite asks about every file that exists already. A command that writes
// several files, or works long before it writes, asks here first and then forces.
func (e *Env) confirmOverwrite(ctx context.Context, force bool, names ...string) error {
	for _, name := range names {
		if force || name == "" || name == "-" {
			continue
		}
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at %w", err)
		}
		if info.IsDir() {
			return fmt.Errorf("%s is a directory", name)
		}
		if !info.Mode().IsRegular() {
			continue // a pipe or a device loses nothing
		}
		agreed, err := e.confirm(ctx, "Would you like to overwrite "+name, "force")
		if err != nil {
			return err
		}
		if !agreed {
			return fmt.Errorf("%s exists and was not overwritten", name)
		}
	}
	return nil
}

// makeDirs makes the directories in which files are to be written, readable for their
// owner alone.
func makeDirs(files ...string) error {
	for _, file := range files {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	return nil
}

// readPassword is the password in file, or asked with q if file is empty. "-" is standard
// input. White space at the end of a file is no part of the password.
func (e *Env) readPassword(ctx context.Context, file string, q question) ([]byte, error) {
	if file == "" {
		return e.askPassword(ctx, q)
	}
	data, err := e.readBounded(file, maxPassword)
	if err != nil {
		return nil, err
	}
	return bytes.TrimRightFunc(data, unicode.IsSpace), nil
}
