package packaging_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// yamlReader reads the YAML that our own files and renders are written in: block maps and
// lists, literal blocks, scalars, and JSON, which is YAML too. Whatever else stands in a
// file is refused, so that a file we cannot judge fails its test.
type yamlReader struct {
	lines []string
	at    int
}

var yamlKey = regexp.MustCompile(`^("(?:[^"\\]|\\.)*"|[A-Za-z0-9_./@-]+):(?: +(.*))?$`)

func parseYAML(text string) (v any, err error) {
	r := &yamlReader{lines: strings.Split(text, "\n")}
	if v, err = r.block(0); err != nil {
		return nil, fmt.Errorf("line %d: %w", r.at+1, err)
	}
	if _, ok := r.peek(); ok {
		return nil, fmt.Errorf("line %d stands apart: %s", r.at+1, r.lines[r.at])
	}
	return v, nil
}

func mustYAML(t *testing.T, name, text string) map[string]any {
	t.Helper()
	v, err := parseYAML(text)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	object, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%s is no map", name)
	}
	return object
}

// peek gives the indentation of the next line that says something.
func (r *yamlReader) peek() (indent int, ok bool) {
	for ; r.at < len(r.lines); r.at++ {
		text := strings.TrimLeft(r.lines[r.at], " ")
		if text != "" && text[0] != '#' && text != "---" {
			return len(r.lines[r.at]) - len(text), true
		}
	}
	return 0, false
}

func (r *yamlReader) block(indent int) (any, error) {
	if n, ok := r.peek(); !ok || n != indent {
		return nil, fmt.Errorf("indentation %d, want %d", n, indent)
	}
	if text := r.lines[r.at][indent:]; text == "-" || strings.HasPrefix(text, "- ") {
		return r.list(indent)
	}
	object := map[string]any{}
	for {
		n, ok := r.peek()
		if !ok || n < indent {
			return object, nil
		}
		m := yamlKey.FindStringSubmatch(r.lines[r.at][indent:])
		if n > indent || m == nil {
			return nil, fmt.Errorf("no member at indentation %d: %s", indent, r.lines[r.at])
		}
		key := m[1]
		if key[0] == '"' {
			if err := json.Unmarshal([]byte(m[1]), &key); err != nil {
				return nil, err
			}
		}
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("%s stands twice", key)
		}
		v, err := r.value(m[2], indent)
		if err != nil {
			return nil, err
		}
		object[key] = v
	}
}

func (r *yamlReader) list(indent int) (any, error) {
	list := []any{}
	for {
		n, ok := r.peek()
		if !ok || n != indent || !strings.HasPrefix(r.lines[r.at][indent:], "-") {
			return list, nil
		}
		rest := strings.TrimPrefix(r.lines[r.at][indent+1:], " ")
		var v any
		var err error
		if yamlKey.MatchString(rest) {
			// A map begins on the line of its dash.
			r.lines[r.at] = strings.Repeat(" ", indent+2) + rest
			v, err = r.block(indent + 2)
		} else {
			v, err = r.value(rest, indent)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

// value reads what follows a key or a dash at indent; the line is the present one.
func (r *yamlReader) value(text string, indent int) (any, error) {
	if i := strings.Index(text, " #"); i >= 0 && !strings.ContainsAny(text, `"'`) {
		text = strings.TrimSpace(text[:i])
	}
	r.at++
	switch {
	case text == "|" || text == "|-":
		return r.literal(indent, text == "|"), nil
	case text == "" || text[0] == '#':
		n, ok := r.peek()
		isList := ok && n == indent && strings.HasPrefix(r.lines[r.at][indent:], "- ")
		if !ok || n <= indent && !isList {
			return nil, nil
		}
		return r.block(n)
	case strings.ContainsAny(text[:1], `"[{`) || text == "true" || text == "false" || text == "null" || numeric(text):
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		return v, nil
	case strings.ContainsAny(text[:1], `'&*!|>%@`+"`") || strings.Contains(text, ": "):
		return nil, fmt.Errorf("%s should stand in quotes", text)
	}
	return text, nil
}

func numeric(text string) bool {
	return regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`).MatchString(text)
}

func (r *yamlReader) literal(indent int, end bool) string {
	var lines []string
	depth := -1
	for ; r.at < len(r.lines); r.at++ {
		line := r.lines[r.at]
		if strings.TrimSpace(line) == "" {
			lines = append(lines, "")
			continue
		}
		n := len(line) - len(strings.TrimLeft(line, " "))
		if depth < 0 {
			depth = n
		}
		if n <= indent || n < depth {
			break
		}
		lines = append(lines, line[depth:])
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + map[bool]string{true: "\n"}[end]
}
