package issue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	"github.com/signet-ca/signet/internal/fault"
)

// An engine is one template text, parsed once, that runs any number of times in parallel.
//
// A text/template cannot be interrupted, so the engine makes it ask whether it may go on:
//
//   - The parse tree gets a hidden call at the start of every loop body and at both ends of
//     every template body. It pays from the run's meter, looks at the deadline and counts
//     how deep templates call templates. Between two of these calls a run can do no more
//     than the text has actions.
//   - Every function is wrapped: the call pays, a guard refuses arguments whose result
//     would be out of proportion before anything is allocated, and the result is weighed,
//     so that no value grows beyond a bound and no map contains itself.
//   - The output stops at its cap.
//
// Where a bound is passed, the run ends with an error. Functions that cannot be cut short,
// such as the making of an RSA key, may pass the deadline by the one call that is running.
type engine struct {
	name    string
	text    string
	include []partial          // named templates that the text includes
	base    *template.Template // parsed and instrumented; holds only the functions in use
	used    []string           // functions the text calls
	all     template.FuncMap   // the functions as they are before wrapping
	escaped bool               // actions between quotes are escaped
	runners sync.Pool          // of *runner
}

// runner is a clone of the template whose functions pay from one meter.
type runner struct {
	tmpl  *template.Template
	meter *meter
}

// maxTemplateText bounds a template, inline or in a file.
const maxTemplateText = 1 << 20

// The hidden calls. Their names are unknown while the text is parsed, so no author can
// write them.
const (
	funcTick   = "_tick"
	funcEnter  = "_enter"
	funcLeave  = "_leave"
	funcEscape = "_escape"
)

// newEngine parses a text that may use these functions. Complaints are fault.Invalid and
// name line and column.
func newEngine(name, text string, funcs template.FuncMap, opts *TemplateOptions) (*engine, error) {
	if len(text) > maxTemplateText {
		return nil, fault.New(fault.Invalid, "template %s has %d bytes; %d is the most", name, len(text), maxTemplateText)
	}
	if sum := sha256.Sum256([]byte(text)); opts.SHA256 != "" && opts.SHA256 != hex.EncodeToString(sum[:]) {
		return nil, fault.New(fault.Invalid, "the text of template %s has the SHA-256 %x, templateSha256 pins %s; somebody changed it", name, sum, opts.SHA256)
	}
	// A name with a colon or a percent sign would confuse messages that carry it.
	parsed, err := template.New("template").Funcs(funcs).Parse(text)
	if err != nil {
		return nil, complainOfText(name, text, funcs, err)
	}
	e := &engine{name: name, text: text, all: funcs, escaped: opts.AutoEscape}
	if opts.partials != nil {
		if e.include, err = includeIn(parsed, funcs, opts.partials); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "template %s cannot include a named template", name)
		}
	}
	called := map[string]bool{}
	missing := "default"
	if opts.MissingKeyError {
		missing = "error"
	}
	e.base = template.New("template").Option("missingkey=" + missing)
	for _, t := range parsed.Templates() {
		if t.Tree == nil || t.Root == nil {
			continue
		}
		if err := inspect(t.Tree, t.Root, called); err != nil {
			return nil, fault.New(fault.Invalid, "template %s, %s", name, err)
		}
		if opts.AutoEscape {
			eachUnquoted(t.Root, func(a *parse.ActionNode) { a.Pipe.Cmds = append(a.Pipe.Cmds, hiddenCommand(funcEscape, a.Pos)) })
		}
	}
	for name := range called {
		if _, ok := funcs[name]; ok {
			e.used = append(e.used, name)
		}
	}
	slices.Sort(e.used)
	e.base.Funcs(e.bind(&meter{}))
	nested := callsTemplates(parsed)
	for _, t := range parsed.Templates() {
		if t.Tree == nil || t.Root == nil {
			continue
		}
		instrument(t.Root, nested)
		if _, err := e.base.AddParseTree(t.Name(), t.Tree); err != nil {
			return nil, fmt.Errorf("keep template %s: %w", name, err)
		}
	}
	return e, nil
}

// bind wraps the functions in use so that they pay from m.
func (e *engine) bind(m *meter) template.FuncMap {
	bound := template.FuncMap{
		funcTick: m.tick, funcEnter: m.enter, funcLeave: m.leave,
		funcEscape: func(v any) (string, error) { return m.escape(v) },
	}
	for _, name := range e.used {
		if quick := m.wrapText(name, e.all[name]); quick != nil {
			bound[name] = quick
			continue
		}
		bound[name] = m.wrap(name, reflect.ValueOf(e.all[name])).Interface()
	}
	return bound
}

// run executes the template once.
func (e *engine) run(data map[string]any, l limits) ([]byte, error) {
	r, _ := e.runners.Get().(*runner)
	if r == nil {
		m := &meter{}
		clone, err := e.base.Clone()
		if err != nil {
			return nil, fmt.Errorf("copy template %s: %w", e.name, err)
		}
		r = &runner{tmpl: clone.Funcs(e.bind(m)), meter: m}
	}
	defer e.runners.Put(r)
	out := &cappedBuffer{most: l.output}
	out.buf.Grow(1024) // as long as most certificates
	r.meter.start(l)
	if err := r.tmpl.Execute(out, data); err != nil {
		return nil, e.complainOfRun(err)
	}
	return out.buf.Bytes(), nil
}

// names reports whether the text has a word in it, without which no field of that name can
// be reached.
func (e *engine) names(word string) bool {
	return strings.Contains(e.text, word) || slices.ContainsFunc(e.include, func(p partial) bool { return strings.Contains(p.text, word) })
}

// trees parses all texts once more, as they are before anything is added to them.
func (e *engine) trees() []*parse.Tree {
	var all []*parse.Tree
	for _, p := range append([]partial{{"template", e.text}}, e.include...) {
		trees, err := parse.Parse(p.name, p.text, "", "", e.all, builtins)
		if err != nil {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(trees)) {
			if t := trees[name]; t != nil && t.Root != nil {
				all = append(all, t)
			}
		}
	}
	return all
}

// hash identifies the text, for audit records; with what it includes, all of the texts.
func (e *engine) hash() string {
	h := sha256.New()
	h.Write([]byte(e.text))
	for _, p := range e.include {
		h.Write([]byte(p.name + "\x00" + p.text))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TemplateError is why a template gave no certificate. It is for the log.
type TemplateError struct {
	Template string
	Stage    string // "run", "limit" or "output"
	Line     int    // in the text, or in the output for "output"; 0 if unknown
	Column   int
	cause    error
}

func (e *TemplateError) Error() string {
	where := ""
	if e.Line > 0 {
		where = fmt.Sprintf(", line %d, column %d", e.Line, e.Column)
		if e.Stage == "output" {
			where = fmt.Sprintf(", line %d, column %d of its output", e.Line, e.Column)
		}
	}
	return fmt.Sprintf("template %s%s: %s", e.Template, where, e.cause)
}

// Unwrap gives the cause.
func (e *TemplateError) Unwrap() error { return e.cause }

// unusable is what the caller hears of a template that does not work: that it is the
// operator's matter, and no more.
func unusable(e *TemplateError) error {
	return fault.Wrap(e, fault.Internal, "the certificate template could not be applied; the log of the CA says why")
}

// refusal is an error made by the template function fail.
type refusal struct{ words string }

func (r *refusal) Error() string { return r.words }

var execPlace = regexp.MustCompile(`^template: template:(\d+):(\d+): (?s:(.*))$`)

// complainOfRun turns an error of the run into words.
func (e *engine) complainOfRun(err error) error {
	if r, ok := errors.AsType[*refusal](err); ok {
		return fault.New(fault.Invalid, "the certificate template refused the request: %s", clipWords(r.words))
	}
	te := &TemplateError{Template: e.name, Stage: "run", cause: err}
	if m := execPlace.FindStringSubmatch(err.Error()); m != nil {
		te.Line, _ = strconv.Atoi(m[1])
		te.Column, _ = strconv.Atoi(m[2])
		te.Column++ // columns count from zero there
		te.cause = errors.New(clipWords(m[3]))
	}
	if l, ok := errors.AsType[*limitError](err); ok {
		te.Stage, te.cause = "limit", l
	}
	return unusable(te)
}

func clipWords(s string) string {
	if len(s) > 1024 {
		s = strings.ToValidUTF8(s[:1024], "") + "…"
	}
	return s
}

// removed says why a function of other installations is not here.
var removed = map[string]string{
	"env":           "a template does not read the environment of the CA; put the value into templateData",
	"expandenv":     "a template does not read the environment of the CA; put the value into templateData",
	"getHostByName": `a template does not ask the DNS unless "signet": {"allowGetHostByName": true} is configured`,
}

var parsePlace = regexp.MustCompile(`^template: template:(\d+): (?s:(.*))$`)
var unknownFunction = regexp.MustCompile(`^function "(\w+)" not defined`)

// complainOfText gives a parse error its line and column.
func complainOfText(name, text string, funcs template.FuncMap, err error) error {
	words := strings.TrimPrefix(err.Error(), "template: template:")
	line, column := 0, 0
	if m := parsePlace.FindStringSubmatch(err.Error()); m != nil {
		words = m[2]
		line, column = position(text, errorOffset(text, funcs, err.Error()))
	}
	if m := unknownFunction.FindStringSubmatch(words); m != nil && removed[m[1]] != "" {
		words = fmt.Sprintf("the function %s is not available: %s", m[1], removed[m[1]])
	}
	if line == 0 {
		return fault.New(fault.Invalid, "template %s: %s", name, clipWords(words))
	}
	return fault.New(fault.Invalid, "template %s, line %d, column %d: %s", name, line, column, clipWords(words))
}

// errorOffset finds where a parse error is; the parser itself tells only the line. It is
// the end of the shortest beginning of the text that gives the same error, less the word
// that ends there.
func errorOffset(text string, funcs template.FuncMap, message string) int {
	if strings.HasSuffix(message, "unexpected EOF") {
		return len(text)
	}
	low, high := 0, len(text)
	for low < high {
		middle := int(uint(low+high) / 2)
		_, err := template.New("template").Funcs(funcs).Parse(text[:middle])
		if err != nil && err.Error() == message {
			high = middle
		} else {
			low = middle + 1
		}
	}
	end := low
	for low > 0 && isWordByte(text[low-1]) {
		low--
	}
	if low == end && low > 0 {
		low-- // a sign, not a word
	}
	return low
}

func isWordByte(c byte) bool {
	return c == '_' || c == '.' || c == '$' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// position counts line and column from one.
func position(text string, offset int) (line, column int) {
	before := text[:min(max(offset, 0), len(text))]
	return 1 + strings.Count(before, "\n"), len(before) - strings.LastIndexByte(before, '\n')
}

// forbidden are methods of big integers, which templates reach in certificates and keys:
// those that change a number in place, be it the order of a curve that the whole process
// uses, and those whose cost no wrapper can bound.
var forbidden = map[string]bool{
	"Lsh": true, "Rsh": true, "Exp": true, "Mul": true, "MulRange": true, "Binomial": true, "Sqrt": true,
	"Set": true, "SetBit": true, "SetBits": true, "SetBytes": true, "SetInt64": true, "SetUint64": true, "SetString": true,
	"Neg": true, "Abs": true, "Not": true, "And": true, "AndNot": true, "Or": true, "Xor": true,
	"Div": true, "DivMod": true, "Mod": true, "Quo": true, "QuoRem": true, "Rem": true, "GCD": true,
	"ModInverse": true, "ModSqrt": true, "Rand": true, "ProbablyPrime": true, "FillBytes": true,
	"Scan": true, "GobDecode": true, "UnmarshalText": true, "UnmarshalJSON": true, "UnmarshalBinary": true,
}

// isForbidden looks at a call of a method with so many arguments. Without arguments it is
// no call of these methods but, for instance, the claim of that name. Times have Add and
// Sub with one argument, numbers with two.
func isForbidden(method string, args int) bool {
	return args > 0 && forbidden[method] || args > 1 && (method == "Add" || method == "Sub")
}

// inspect collects the functions that a tree calls and refuses calls of forbidden methods.
func inspect(tree *parse.Tree, root parse.Node, called map[string]bool) error {
	var bad error
	walkNodes(root, func(n parse.Node) {
		pipe, ok := n.(*parse.PipeNode)
		if !ok {
			return
		}
		for i, cmd := range pipe.Cmds {
			for _, arg := range cmd.Args {
				if id, ok := arg.(*parse.IdentifierNode); ok {
					called[id.Ident] = true
				}
			}
			args := len(cmd.Args) - 1
			if i > 0 {
				args++ // the value of the pipeline so far
			}
			if method := lastField(cmd.Args[0]); isForbidden(method, args) && bad == nil {
				place, _ := tree.ErrorContext(cmd)
				bad = fmt.Errorf("%s: the method %s is not available", lineColumn(place), method)
			}
		}
	})
	return bad
}

// lineColumn words a place as text/template gives it, name:line:column.
func lineColumn(place string) string {
	parts := strings.Split(place, ":")
	if len(parts) < 3 {
		return place
	}
	column, _ := strconv.Atoi(parts[len(parts)-1])
	return fmt.Sprintf("line %s, column %d", parts[len(parts)-2], column+1)
}

// lastField is the name at the end of a chain such as $x.Y.Z; "" for anything else.
func lastField(n parse.Node) string {
	var names []string
	switch n := n.(type) {
	case *parse.FieldNode:
		names = n.Ident
	case *parse.ChainNode:
		names = n.Field
	case *parse.VariableNode:
		names = n.Ident[1:]
	}
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}

// walkNodes visits a node and all below it.
func walkNodes(n parse.Node, visit func(parse.Node)) {
	if n == nil || reflect.ValueOf(n).IsNil() {
		return
	}
	visit(n)
	switch n := n.(type) {
	case *parse.ListNode:
		for _, inner := range n.Nodes {
			walkNodes(inner, visit)
		}
	case *parse.ActionNode:
		walkNodes(n.Pipe, visit)
	case *parse.IfNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.RangeNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.WithNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.TemplateNode:
		walkNodes(n.Pipe, visit)
	case *parse.PipeNode:
		for _, cmd := range n.Cmds {
			walkNodes(cmd, visit)
		}
	case *parse.CommandNode:
		for _, arg := range n.Args {
			walkNodes(arg, visit)
		}
	case *parse.ChainNode:
		walkNodes(n.Node, visit)
	}
}

func walkBranch(b *parse.BranchNode, visit func(parse.Node)) {
	walkNodes(b.Pipe, visit)
	walkNodes(b.List, visit)
	walkNodes(b.ElseList, visit)
}

// callsTemplates reports whether any template calls another, without which none is deeper
// than the first.
func callsTemplates(all *template.Template) (calls bool) {
	for _, t := range all.Templates() {
		if t.Tree == nil || t.Root == nil {
			continue
		}
		walkNodes(t.Root, func(n parse.Node) {
			_, ok := n.(*parse.TemplateNode)
			calls = calls || ok
		})
	}
	return calls
}

// instrument puts the hidden calls into a template body; those at its ends only where
// templates call each other.
func instrument(root *parse.ListNode, nested bool) {
	walkNodes(root, func(n parse.Node) {
		if r, ok := n.(*parse.RangeNode); ok && r.List != nil {
			r.List.Nodes = slices.Insert(r.List.Nodes, 0, hiddenCall(funcTick, r.Pos, r.Line))
		}
	})
	if !nested {
		return
	}
	root.Nodes = slices.Insert(root.Nodes, 0, hiddenCall(funcEnter, root.Pos, 0))
	root.Nodes = append(root.Nodes, hiddenCall(funcLeave, root.Pos, 0))
}

func hiddenCall(name string, pos parse.Pos, line int) parse.Node {
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: pos, Line: line, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Pos: pos, Line: line, Cmds: []*parse.CommandNode{hiddenCommand(name, pos)},
	}}
}

func hiddenCommand(name string, pos parse.Pos) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos,
		Args: []parse.Node{parse.NewIdentifier(name).SetPos(pos)}}
}
