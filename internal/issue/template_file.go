package issue

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/fault"
)

// X509TemplateFile is a template in a file that operators edit while the CA runs. A broken
// edit leaves the last good text in force.
type X509TemplateFile struct {
	path string
	opts TemplateOptions
	warn func(error) // told of an edit that cannot be used, once

	mu      sync.Mutex
	current *X509Template
	size    int64
	changed time.Time
}

// OpenX509TemplateFile reads and compiles a template file, whose content is literal text.
// warn is told of later edits that cannot be used; nil tells nobody.
func OpenX509TemplateFile(path string, opts TemplateOptions, warn func(error)) (*X509TemplateFile, error) {
	if warn == nil {
		warn = func(error) {}
	}
	opts.Literal = true
	f := &X509TemplateFile{path: path, opts: opts, warn: warn}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read template file: %w", err)
	}
	if f.current, err = f.read(); err != nil {
		return nil, err
	}
	f.size, f.changed = info.Size(), info.ModTime()
	return f, nil
}

// Current is the template as the file has it now, or as it had it before a broken edit.
func (f *X509TemplateFile) Current() *X509Template {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	var size int64
	var changed time.Time
	if err == nil {
		size, changed = info.Size(), info.ModTime()
	}
	if size == f.size && changed.Equal(f.changed) {
		return f.current
	}
	// Kept for a broken edit as well, or each request would read and complain again.
	f.size, f.changed = size, changed
	next, err := f.read()
	if err != nil {
		f.warn(fmt.Errorf("the last good text of template %s stays in force: %w", f.path, err))
		return f.current
	}
	f.current = next
	return next
}

func (f *X509TemplateFile) read() (*X509Template, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("read template file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTemplateText+1))
	if err != nil {
		return nil, fmt.Errorf("read template file %s: %w", f.path, err)
	}
	if len(text) > maxTemplateText {
		return nil, fault.New(fault.Invalid, "template file %s has more than %d bytes", f.path, maxTemplateText)
	}
	return f.opts.CompileX509(f.path, string(text))
}
