package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/durable"
)

// printHelp prints the help of c on standard output.
func (e *Env) printHelp(c *command) error {
	_, err := io.WriteString(e.Stdout, c.page().text(width(e.Stdout)))
	return err
}

// text is the page for a terminal of so many columns.
func (p *page) text(columns int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s - %s\n\nUsage:\n  %s\n", p.path, p.short, p.usage)
	for _, paragraph := range p.long {
		b.WriteString("\n" + wrap(paragraph, "", columns))
	}
	var rows [][2]string
	for _, c := range p.commands {
		rows = append(rows, [2]string{lastWord(c.path), c.short})
	}
	list(&b, "Commands", rows, columns)
	rows = nil
	for _, a := range p.args {
		rows = append(rows, [2]string{a.name, a.help})
	}
	list(&b, "Arguments", rows, columns)
	list(&b, "Flags", flagRows(p.flags), columns)
	list(&b, "Global flags", flagRows(p.globals), columns)
	rows = nil
	for _, f := range p.fields {
		rows = append(rows, [2]string{f.path, strings.TrimSpace(f.kind + "  " + f.help)})
	}
	list(&b, "Members of the JSON that --json prints", rows, columns)
	rows = nil
	for _, x := range p.exits {
		rows = append(rows, [2]string{fmt.Sprint(x.code), x.when})
	}
	list(&b, "Exit codes", rows, columns)
	if len(p.examples) > 0 {
		b.WriteString("\nExamples:\n")
	}
	program, _, _ := strings.Cut(p.path, " ")
	for i, x := range p.examples {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(wrap(x.does+":", "  ", columns))
		b.WriteString("    $ " + x.command(program, "\n      ") + "\n")
	}
	return b.String()
}

// command is the command line of the example; a further line starts with indent.
func (x example) command(program, indent string) string {
	return strings.ReplaceAll(cmp.Or(strings.ReplaceAll(x.line, "signet ", program+" "), program), "\n", indent)
}

func flagRows(flags []*flag) [][2]string {
	var rows [][2]string
	for _, f := range flags {
		rows = append(rows, [2]string{f.names(), f.about()})
	}
	return rows
}

// list prints names and descriptions in two columns; a long name has a line of its own.
func list(b *strings.Builder, title string, rows [][2]string, columns int) {
	if len(rows) == 0 {
		return
	}
	const limit = 24
	fmt.Fprintf(b, "\n%s:\n", title)
	indent := strings.Repeat(" ", limit+4)
	for _, row := range rows {
		text := wrap(row[1], indent, columns)
		if len(row[0]) > limit {
			b.WriteString("  " + row[0] + "\n" + text)
			continue
		}
		if text == "" {
			text = "\n"
		}
		b.WriteString("  " + row[0] + strings.Repeat(" ", limit+2-len(row[0])) + strings.TrimPrefix(text, indent))
	}
}

// wrap breaks a paragraph into lines that start with indent.
func wrap(text, indent string, columns int) string {
	var b strings.Builder
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(indent)+len([]rune(line))+1+len([]rune(word)) > columns {
			b.WriteString(indent + line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		b.WriteString(indent + line + "\n")
	}
	return b.String()
}

func lastWord(s string) string { return s[strings.LastIndexByte(s, ' ')+1:] }

// help is the command of that name.
func help() *command {
	var f struct{ html, markdown, man, http string }
	return &command{
		short: "print help, or write the reference of all commands",
		long: `Prints the help of a command, as its --help does. With one of the flags it writes the
			reference pages of all commands instead.`,
		args: []arg{rest("command", "the words of a command, such as: ca certificate")},
		examples: []example{
			{"Print the help of a command", "signet help ca certificate"},
			{"Write man pages", "signet help --man /usr/local/share/man/man1"},
		},
		flags: func(fs *flags) {
			fs.String(&f.html, "html", "dir", "write the pages as HTML below `dir`").NoEnv()
			fs.String(&f.markdown, "markdown", "dir", "write the pages as Markdown below `dir`").NoEnv()
			fs.String(&f.man, "man", "dir", "write the pages as man pages below `dir`").NoEnv()
			fs.String(&f.http, "http", "address", "serve the pages as a web site at `address`, until interrupted").NoEnv()
			fs.Exclusive("html", "markdown", "man", "http")
		},
		complete: func(_ context.Context, env *Env, args []string) []string {
			if c := find(tree(env.Name), args); c != nil {
				return c.childNames()
			}
			return nil
		},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			root := tree(env.Name)
			switch {
			case f.html != "":
				return nil, writePages(f.html, root, ".html", (*page).html)
			case f.markdown != "":
				return nil, writePages(f.markdown, root, ".md", (*page).markdown)
			case f.man != "":
				return nil, writePages(f.man, root, ".1", (*page).man)
			case f.http != "":
				return nil, servePages(ctx, env, f.http, root)
			}
			c := root
			for i, word := range args {
				child := c.child(word)
				if child == nil {
					return nil, &unknownCommand{parent: c, name: word, args: args[i+1:]}
				}
				c = child
			}
			return nil, env.printHelp(c)
		},
	}
}

func find(c *command, words []string) *command {
	for _, word := range words {
		if c = c.child(word); c == nil {
			return nil
		}
	}
	return c
}

func (c *command) childNames() []string {
	var names []string
	for _, child := range c.children {
		if !child.hidden {
			names = append(names, child.name+"\t"+child.short)
		}
	}
	return names
}

// pages is the page of each command that is not hidden, by file name without extension.
func pages(root *command) map[string]*page {
	all := map[string]*page{}
	var walk func(c *command)
	walk = func(c *command) {
		if c.hidden {
			return
		}
		all[fileStem(c.path())] = c.page()
		for _, child := range c.children {
			walk(child)
		}
	}
	walk(root)
	return all
}

// fileStem is the file name of a command's page, without extension.
func fileStem(path string) string { return strings.ReplaceAll(path, " ", "-") }

func writePages(dir string, root *command, extension string, form func(*page) string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	for stem, p := range pages(root) {
		if err := durable.WriteFile(filepath.Join(dir, stem+extension), []byte(form(p)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// servePages serves the reference as HTML until ctx ends.
func servePages(ctx context.Context, env *Env, address string, root *command) error {
	all := pages(root)
	handler := http.NewServeMux()
	handler.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/"+root.name+".html", http.StatusFound)
	})
	handler.HandleFunc("GET /{page}", func(w http.ResponseWriter, r *http.Request) {
		p := all[strings.TrimSuffix(r.PathValue("page"), ".html")]
		if p == nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, p.html())
	})
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serve help: %w", err)
	}
	env.Note("serving help at http://%s/", html.EscapeString(listener.Addr().String()))
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve help: %w", err)
	}
	return nil
}
