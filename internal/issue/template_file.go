package issue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/signet-ca/signet/internal/fault"
)

// TemplateFile is a template in a file that operators edit while the CA runs. A broken edit
// leaves the last good text in force. T is *X509Template or *SSHTemplate.
type TemplateFile[T any] struct {
	path    string
	compile func(name, text string) (T, error)
	warn    func(error) // told of an edit that cannot be used, once

	mu      sync.Mutex
	current T
	seen    fs.FileInfo // of the last reading, good or bad; nil if the file was away
}

// OpenX509TemplateFile reads and compiles a template file, whose content is literal text.
// warn is told of later edits that cannot be used; nil tells nobody.
func OpenX509TemplateFile(path string, opts TemplateOptions, warn func(error)) (*TemplateFile[*X509Template], error) {
	opts.Literal = true
	return openTemplateFile(path, opts.CompileX509, warn)
}

// OpenSSHTemplateFile is OpenX509TemplateFile for SSH.
func OpenSSHTemplateFile(path string, opts TemplateOptions, warn func(error)) (*TemplateFile[*SSHTemplate], error) {
	opts.Literal = true
	return openTemplateFile(path, opts.CompileSSH, warn)
}

func openTemplateFile[T any](path string, compile func(name, text string) (T, error), warn func(error)) (*TemplateFile[T], error) {
	if warn == nil {
		warn = func(error) {}
	}
	f := &TemplateFile[T]{path: path, compile: compile, warn: warn}
	var err error
	if f.seen, err = os.Stat(path); err != nil {
		return nil, fmt.Errorf("read template file: %w", err)
	}
	if f.current, err = f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// Current is the template as the file has it now, or as it had it before a broken edit.
func (f *TemplateFile[T]) Current() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		info = nil
	}
	if sameFile(info, f.seen) {
		return f.current
	}
	// Kept for a broken edit as well, or each request would read and complain again.
	f.seen = info
	next, err := f.read()
	if err != nil {
		f.warn(fmt.Errorf("the last good text of template %s stays in force: %w", f.path, err))
		return f.current
	}
	f.current = next
	return next
}

// sameFile compares two states of a file as far as an edit shows.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

func (f *TemplateFile[T]) read() (T, error) {
	text, err := readTemplate(f.path)
	if err != nil {
		var none T
		return none, err
	}
	return f.compile(f.path, text)
}

func readTemplate(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read template file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTemplateText+1))
	if err != nil {
		return "", fmt.Errorf("read template file %s: %w", path, err)
	}
	if len(text) > maxTemplateText {
		return "", fault.New(fault.Invalid, "template file %s has more than %d bytes", path, maxTemplateText)
	}
	return string(text), nil
}

// TemplatePath finds a configured templateFile: absolute, ~/ for the user's home, ./ and
// ../ for the working directory, else below the CA's home.
func TemplatePath(name, home string) (string, error) {
	switch {
	case filepath.IsAbs(name), strings.HasPrefix(name, "./"), strings.HasPrefix(name, "../"):
		return name, nil
	case strings.HasPrefix(name, "~/"):
		user, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the home directory for template %s: %w", name, err)
		}
		return filepath.Join(user, name[2:]), nil
	case home == "":
		return "", errors.New("there is no home directory below which to look for template " + name)
	}
	return filepath.Join(home, name), nil
}
