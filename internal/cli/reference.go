package cli

import (
	"fmt"
	"html"
	"strings"
)

// The written forms of a page: Markdown, HTML and man. They hold no date and no version,
// so that they change only when the commands do.

// markdown is the page for docs/reference.
func (p *page) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s.\n\n```\n%s\n```\n", p.path, capital(p.short), p.usage)
	for _, paragraph := range p.long {
		b.WriteString("\n" + paragraph + "\n")
	}
	if len(p.commands) > 0 {
		b.WriteString("\n## Commands\n\n| Command | What it does |\n|---|---|\n")
		for _, c := range p.commands {
			fmt.Fprintf(&b, "| [%s](%s.md) | %s |\n", lastWord(c.path), fileStem(c.path), cell(c.short))
		}
	}
	if len(p.args) > 0 {
		b.WriteString("\n## Arguments\n\n| Argument | Meaning |\n|---|---|\n")
		for _, a := range p.args {
			fmt.Fprintf(&b, "| `%s` | %s |\n", a, cell(a.help))
		}
	}
	markdownFlags(&b, "Flags", p.flags)
	if len(p.fields) > 0 {
		b.WriteString("\n## JSON\n\nWith `--json` the result is printed as JSON.\n\n| Member | Kind | Meaning |\n|---|---|---|\n")
		for _, f := range p.fields {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.path, f.kind, cell(f.help))
		}
	}
	if len(p.exits) > 0 {
		b.WriteString("\n## Exit codes\n\n| Code | When |\n|---|---|\n")
		for _, x := range p.exits {
			fmt.Fprintf(&b, "| %d | %s |\n", x.code, cell(x.when))
		}
	}
	if len(p.examples) > 0 {
		b.WriteString("\n## Examples\n")
	}
	for _, x := range p.examples {
		fmt.Fprintf(&b, "\n%s:\n\n```\n$ %s\n```\n", x.does, x.command("signet", "\n  "))
	}
	if len(p.commands) > 0 {
		markdownFlags(&b, "Flags of every command", p.globals)
	}
	return b.String()
}

func markdownFlags(b *strings.Builder, title string, flags []*flag) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n| Flag | Meaning | Environment |\n|---|---|---|\n", title)
	for _, f := range flags {
		variables := ""
		if len(f.env) > 0 {
			variables = "`" + strings.ReplaceAll(f.variables(), ", ", "`, `") + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", strings.ReplaceAll(f.names(), "|", "\\|"), cell(f.about()), variables)
	}
}

// cell makes text fit into a cell of a Markdown table.
func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "<", "&lt;") }

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// html is the page as a document of its own.
func (p *page) html() string {
	var b strings.Builder
	esc := html.EscapeString
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>%s</title></head>\n<body>\n", esc(p.path))
	fmt.Fprintf(&b, "<h1>%s</h1>\n<p>%s.</p>\n<pre>%s</pre>\n", esc(p.path), esc(capital(p.short)), esc(p.usage))
	for _, paragraph := range p.long {
		fmt.Fprintf(&b, "<p>%s</p>\n", esc(paragraph))
	}
	section := func(title string, rows [][2]string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(&b, "<h2>%s</h2>\n<dl>\n", esc(title))
		for _, row := range rows {
			fmt.Fprintf(&b, "<dt>%s</dt><dd>%s</dd>\n", row[0], esc(row[1]))
		}
		b.WriteString("</dl>\n")
	}
	var commands [][2]string
	for _, c := range p.commands {
		commands = append(commands, [2]string{fmt.Sprintf("<a href=\"%s.html\">%s</a>", esc(fileStem(c.path)), esc(lastWord(c.path))), c.short})
	}
	section("Commands", commands)
	for _, s := range p.sections() {
		for i := range s.rows {
			s.rows[i][0] = "<code>" + esc(s.rows[i][0]) + "</code>"
		}
		section(s.title, s.rows)
	}
	if len(p.examples) > 0 {
		b.WriteString("<h2>Examples</h2>\n")
	}
	for _, x := range p.examples {
		fmt.Fprintf(&b, "<p>%s:</p>\n<pre>$ %s</pre>\n", esc(x.does), esc(x.command("signet", "\n  ")))
	}
	b.WriteString("</body>\n</html>\n")
	return b.String()
}

// section is a titled list of names and what they mean.
type section struct {
	title string
	rows  [][2]string
}

// sections are the lists of a page that all forms print alike.
func (p *page) sections() []section {
	var args, fields, exits [][2]string
	for _, a := range p.args {
		args = append(args, [2]string{a.String(), a.help})
	}
	for _, f := range p.fields {
		fields = append(fields, [2]string{f.path, strings.TrimSpace(f.kind + "; " + f.help)})
	}
	for _, x := range p.exits {
		exits = append(exits, [2]string{fmt.Sprint(x.code), x.when})
	}
	var all []section
	for _, s := range []section{
		{"Arguments", args},
		{"Flags", flagRows(p.flags)},
		{"Global flags", flagRows(p.globals)},
		{"JSON", fields},
		{"Exit codes", exits},
	} {
		if len(s.rows) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// man is the page in the language of man(7).
func (p *page) man() string {
	var b strings.Builder
	stem := fileStem(p.path)
	fmt.Fprintf(&b, ".TH %s 1 \"\" signet \"signet manual\"\n.SH NAME\n%s \\- %s\n", roff(strings.ToUpper(stem)), roff(stem), roff(p.short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(p.usage))
	if len(p.long) > 0 {
		b.WriteString(".SH DESCRIPTION\n")
	}
	for i, paragraph := range p.long {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roff(paragraph) + "\n")
	}
	items := func(title string, rows [][2]string) {
		fmt.Fprintf(&b, ".SH %s\n", roff(strings.ToUpper(title)))
		for _, row := range rows {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(row[0]), roff(row[1]))
		}
	}
	for _, s := range p.sections() {
		items(s.title, s.rows)
	}
	if len(p.examples) > 0 {
		b.WriteString(".SH EXAMPLES\n")
	}
	for _, x := range p.examples {
		fmt.Fprintf(&b, "%s:\n.PP\n.nf\n.RS\n%s\n.RE\n.fi\n.PP\n", roff(x.does), roff("$ "+x.command("signet", "\n  ")))
	}
	var also [][2]string
	for _, c := range p.commands {
		also = append(also, [2]string{fileStem(c.path) + "(1)", c.short})
	}
	if len(also) > 0 {
		items("commands", also)
	}
	return b.String()
}

// roff protects text from being read as requests.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
