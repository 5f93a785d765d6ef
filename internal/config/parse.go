package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/signet-ca/signet/internal/fault"
)

// Bounds on the file. A CA with a thousand provisioners stays far below.
const (
	maxFile  = 16 << 20
	maxDepth = 64
)

// Options shape the reading of a file. The zero value warns where it can.
type Options struct {
	Home   string // home directory, where the database is by default
	Strict bool   // what would be a warning about unknown members or unusable provisioners is an error
}

// Complaint is one thing that is wrong, and where.
type Complaint struct {
	File         string // name of the file
	Line, Column int    // both count from 1; 0 if no place in the file is meant
	Path         string // JSON path of the member, such as authority.claims.maxTLSCertDuration
	Message      string

	strict bool // an error if asked to be strict
	cause  error
}

// Error gives file, place and message in the form editors jump to.
func (c *Complaint) Error() string {
	switch {
	case c.File == "":
		return c.Message
	case c.Line == 0:
		return c.File + ": " + c.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", c.File, c.Line, c.Column, c.Message)
}

// Unwrap gives the cause, if the complaint has one.
func (c *Complaint) Unwrap() error { return c.cause }

// Report is what is worth saying about a file that can be used.
type Report struct {
	Warnings []Complaint
}

// Read reads, checks and completes the file at path. The error joins all complaints.
func Read(path string) (*Config, *Report, error) { return Options{}.Read(path) }

// Parse reads, checks and completes a configuration; name stands for it in complaints.
func Parse(name string, data []byte) (*Config, *Report, error) { return Options{}.Parse(name, data) }

// Read reads, checks and completes the file at path, looks at its mode and at what lies
// where the database is meant to be. The error joins all complaints.
func (o Options) Read(path string) (*Config, *Report, error) {
	data, info, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	s, c := o.parse(path, data)
	if c != nil {
		c.checkMode(path, info)
		c.checkOldData()
	}
	return o.finish(s, c)
}

// Parse reads, checks and completes a configuration without looking at any other file; name
// stands for it in complaints. The error joins all complaints.
func (o Options) Parse(name string, data []byte) (*Config, *Report, error) {
	return o.finish(o.parse(name, data))
}

func (o Options) finish(s *source, c *Config) (*Config, *Report, error) {
	report, err := s.report(o.Strict)
	if err != nil {
		return nil, report, err
	}
	return c, report, nil
}

// parse gives a nil Config only if the text cannot be understood at all.
func (o Options) parse(name string, data []byte) (*source, *Config) {
	s := newSource(name, data)
	tree, ok := s.tree()
	if !ok {
		return s, nil
	}
	c := &Config{source: s}
	s.walk(tree, configType, "")
	if _, isObject := tree.Value.(*hujson.Object); !isObject {
		return s, nil
	}
	tree.Standardize()
	err := json.Unmarshal(tree.Pack(), c)
	if err == nil {
		err = c.readNamed()
	}
	if err != nil {
		// The walk found each value fit for its type, so this is the last net.
		s.complain("", "the configuration cannot be used: %v", err)
		return s, nil
	}
	c.complete(o.Home)
	c.check()
	return s, c
}

func readFile(path string) ([]byte, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	if len(data) > maxFile {
		return nil, nil, fault.New(fault.TooLarge, "the configuration %s is larger than %d MiB", path, maxFile>>20)
	}
	return data, info, nil
}

// source remembers where each member of a file stands and what is wrong with it.
type source struct {
	name     string
	data     []byte
	at       map[string]int           // path → offset of the value
	values   map[string]*hujson.Value // path → value, the last one if it stands there twice
	broken   map[string]bool          // members whose value was refused already
	errors   []Complaint
	warnings []Complaint
}

func newSource(name string, data []byte) *source {
	// Some editors begin a file with a byte order mark, which is no JSON.
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	return &source{name: name, data: data, at: map[string]int{}, values: map[string]*hujson.Value{}, broken: map[string]bool{}}
}

// tree parses the text. What follows the first value is ignored, with a warning.
func (s *source) tree() (*hujson.Value, bool) {
	if offset, deep := tooDeep(s.data); deep {
		s.complainAt(offset, "", "the text nests deeper than %d levels", maxDepth)
		return nil, false
	}
	v, err := hujson.Parse(bytes.Clone(s.data))
	if err == nil {
		return &v, true
	}
	if v.EndOffset > 0 { // one whole value was read before the trouble began
		whole, again := hujson.Parse(bytes.Clone(s.data[:v.EndOffset]))
		if again == nil {
			s.warnAt(v.EndOffset, "", "what follows the closing bracket is ignored")
			return &whole, true
		}
	}
	s.errors = append(s.errors, syntaxComplaint(s.name, err))
	return nil, false
}

// syntaxComplaint takes the parser's own place and words.
func syntaxComplaint(name string, err error) Complaint {
	c := Complaint{File: name, Line: 1, Column: 1, Message: err.Error()}
	text, found := strings.CutPrefix(err.Error(), "hujson: ")
	if !found {
		return c
	}
	if _, serr := fmt.Sscanf(text, "line %d, column %d:", &c.Line, &c.Column); serr == nil {
		if _, rest, cut := strings.Cut(text, ": "); cut {
			text = rest
		}
	}
	c.Message = "this is no JSON: " + text
	return c
}

// tooDeep finds the place where brackets nest deeper than maxDepth. The parser recurses
// without a bound of its own, so this comes first.
func tooDeep(data []byte) (offset int, deep bool) {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = endOfString(data, i)
		case '/':
			i = endOfComment(data, i)
		case '{', '[':
			if depth++; depth > maxDepth {
				return i, true
			}
		case '}', ']':
			depth--
		}
	}
	return 0, false
}

func endOfString(data []byte, i int) int {
	for i++; i < len(data) && data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i
}

func endOfComment(data []byte, i int) int {
	rest := data[i:]
	end, length := []byte("\n"), 0
	switch {
	case bytes.HasPrefix(rest, []byte("//")):
	case bytes.HasPrefix(rest, []byte("/*")):
		end, length = []byte("*/"), 2
	default:
		return i
	}
	n := bytes.Index(rest[length:], end)
	if n < 0 {
		return len(data)
	}
	return i + length + n + len(end) - 1
}

// place turns an offset into line and column, in characters, from 1.
func (s *source) place(offset int) (line, column int) {
	before := s.data[:min(max(offset, 0), len(s.data))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return 1 + bytes.Count(before, []byte("\n")), 1 + len([]rune(string(before[start:])))
}

func (s *source) complaint(offset int, path, format string, args []any) Complaint {
	line, column := s.place(offset)
	message := fmt.Sprintf(format, args...)
	c := Complaint{File: s.name, Line: line, Column: column, Path: path, Message: message}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			c.cause = err
		}
	}
	return c
}

func (s *source) complainAt(offset int, path, format string, args ...any) {
	s.errors = append(s.errors, s.complaint(offset, path, format, args))
}

func (s *source) warnAt(offset int, path, format string, args ...any) {
	s.warnings = append(s.warnings, s.complaint(offset, path, format, args))
}

// complain notes an error about a member, or about the place where it is missing. A member
// that was refused already is not judged twice.
func (s *source) complain(path, format string, args ...any) {
	if !s.isBroken(path) {
		s.complainAt(s.offset(path), path, format, args...)
	}
}

func (s *source) warn(path, format string, args ...any) {
	if !s.isBroken(path) {
		s.warnAt(s.offset(path), path, format, args...)
	}
}

// warnStrictly warns of what is an error if asked to be strict.
func (s *source) warnStrictly(offset int, path, format string, args ...any) {
	c := s.complaint(offset, path, format, args)
	c.strict = true
	s.warnings = append(s.warnings, c)
}

// offset is where a member stands, or else the object it would stand in.
func (s *source) offset(path string) int {
	for path != "" {
		if at, ok := s.at[path]; ok {
			return at
		}
		path = parentPath(path)
	}
	return s.at[""]
}

func (s *source) isBroken(path string) bool {
	for ; path != ""; path = parentPath(path) {
		if s.broken[path] {
			return true
		}
	}
	return s.broken[""]
}

func parentPath(path string) string {
	cut := strings.LastIndexAny(path, ".[")
	if cut < 0 {
		return ""
	}
	return path[:cut]
}

// report sorts the findings by place and joins the errors.
func (s *source) report(strict bool) (*Report, error) {
	r := &Report{}
	for _, w := range s.warnings {
		if w.strict && strict {
			s.errors = append(s.errors, w)
			continue
		}
		r.Warnings = append(r.Warnings, w)
	}
	byPlace(s.errors)
	byPlace(r.Warnings)
	all := make([]error, len(s.errors))
	for i := range s.errors {
		all[i] = &s.errors[i]
	}
	return r, errors.Join(all...)
}
