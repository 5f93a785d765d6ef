// Package internal_test holds the floor plan against the code: who may import what, and a
// few words that no file may contain.
package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/signet-ca/signet"

// rooms is the right column of the floor plan: which rooms a room may import. A room that
// stands here but not in the code yet is a reserved place. "." is the public package at the
// module root.
var rooms = map[string][]string{
	// The public client shares nothing with the CA but the wire.
	".":                {},
	"cmd/signet":       {"cli"},
	"cmd/signet-bench": {"keys", "store"}, // a client that measures the real binary; it fills databases

	"cli":    {"*"},
	"server": {"acme", "api", "ca", "config", "console", "issue", "kms", "scep", "store", "keys", "policy", "provisioner", "sshfiles", "webhook", "fault", "durable"},
	"config": {"issue", "keys", "policy", "provisioner", "sshfiles", "strict", "fault", "durable"},

	// doors
	"api":     {".", "ca", "issue", "keys", "provisioner", "sshfiles", "store", "strict", "fault"},
	"acme":    {"attest", "ca", "challenge", "fetch", "issue", "keys", "policy", "provisioner", "store", "strict", "fault"},
	"scep":    {"ca", "issue", "keys", "provisioner", "store", "fault"},
	"console": {"ca", "policy", "provisioner", "store", "fault"},

	// office
	"ca": {"issue", "keys", "krl", "lint", "policy", "provisioner", "sshfiles", "store", "webhook", "fault"},

	// workshop
	"provisioner": {"fetch", "issue", "keys", "lint", "policy", "strict", "webhook", "fault"},
	"issue":       {"keys", "policy", "strict", "fault"},

	// cellar: rooms that know nobody upstairs
	"policy":     {"fault"},
	"attest":     {"keys", "fault"},
	"lint":       {"fault"},
	"webhook":    {"fetch", "keys", "fault"},
	"fetch":      {"fault"},
	"challenge":  {"fetch", "fault"}, // looks whether a name is its asker's
	"kms":        {"keys", "fault"},
	"store":      {"fault"}, // its refusals at start speak to the operator
	"keys":       {"strict", "fault"},
	"strict":     {"fault"},
	"truststore": {"fault"},
	"inspect":    {"issue", "keys", "fault"}, // certificates and lists as text and JSON, for people
	"krl":        {"fault"},
	"sshfiles":   {"fault"}, // templates of files for ssh and sshd
	"durable":    {},
	"fault":      {},

	// beside the plan, for tests only
	"testca": {"acme", "api", "ca", "config", "console", "durable", "fault", "issue", "keys", "kms",
		"policy", "provisioner", "scep", "server", "sshfiles", "store", "strict", "webhook", "."},
	"testidp": {}, // an identity provider
}

// onlyIn reserves packages of others to rooms. A path that ends in a slash covers all below.
var onlyIn = []struct {
	path  string
	rooms []string
	why   string
}{
	{"database/sql", []string{"store"}, "SQL lives in one room"},
	{"modernc.org/sqlite", []string{"store"}, "SQL lives in one room"},
	{"github.com/jackc/pgx/", []string{"store"}, "SQL lives in one room"},
	{"github.com/go-sql-driver/mysql", []string{"store"}, "SQL lives in one room"},
	{"github.com/pressly/goose/", []string{"store"}, "SQL lives in one room"},
	{"github.com/spf13/", []string{"cli"}, "the commands are the only ones who know of flags"},
	{"golang.org/x/term", []string{"cli"}, "only commands talk to people"},
	{"os/exec", []string{"cli", "truststore", "kms"}, "only commands start programs; trust stores and keepers of keys have tools of their own"},
	{"os/signal", []string{"cli"}, "the command decides what a signal means"},
	{"github.com/prometheus/", []string{"server"}, "rooms below tell events, the server counts them"},
	// Handlers live in doors and in the server. fetch and webhook call out; the client calls in.
	{"net/http", []string{".", "cli", "server", "api", "acme", "scep", "console", "fetch", "webhook", "testca", "testidp"}, "below the doors nobody knows HTTP"},
	{"net/http/httptest", []string{"testca", "testidp"}, "for tests only"},
	{"testing", []string{"testca", "testidp"}, "for tests only"},
	// The office hands out the server's own certificate as what a listener takes.
	{"crypto/tls", []string{".", "cli", "server", "config", "ca", "acme", "fetch", "challenge", "webhook", "testca", "store"}, "TLS is the listeners' business; a database server may speak it too, and tls-alpn-01 is a handshake"},
	{"github.com/mholt/acmez/", []string{"cli"}, "the server speaks ACME by itself; commands are clients"},
	{"github.com/miekg/dns", []string{"challenge"}, "DNS is asked where names are proved"},
	{"github.com/go-jose/go-jose/", []string{"cli", "config", "keys", "provisioner", "acme", "testca", "testidp"}, "JOSE is read where proofs are"},
	{"text/template", []string{"issue", "sshfiles", "cli", "webhook"}, "templates belong to certificates and to what the SSH configuration is made of"},
	{"html/template", []string{"console", "cli"}, "pages belong to the console"},
	{"encoding/json/v2", nil, "an experiment still"},
	{"unsafe", nil, "nothing here is worth it"},
}

// file is one Go file of the module.
type file struct {
	path string // below the module root
	room string
	test bool
	tree *ast.File
	set  *token.FileSet
}

// files reads every Go file of the module once.
func files(t *testing.T) []file {
	t.Helper()
	var all []file
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "vendor" || nested(path)) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		below, err := filepath.Rel("..", path)
		if err != nil {
			return err
		}
		all = append(all, file{path: below, room: roomOf(filepath.Dir(below)), test: strings.HasSuffix(name, "_test.go"), tree: tree, set: set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files found; is this the module root?", len(all))
	}
	return all
}

// nested reports a module of its own inside ours, whose imports are not on the plan.
func nested(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// roomOf names the room of a directory: internal rooms go by their first name, with what
// lies inside them.
func roomOf(dir string) string {
	dir = filepath.ToSlash(dir)
	if in, ok := strings.CutPrefix(dir, "internal/"); ok {
		first, _, _ := strings.Cut(in, "/")
		return first
	}
	return dir
}

// importRoom gives the room of an import path of this module.
func importRoom(path string) (room string, ours bool) {
	if path == module {
		return ".", true
	}
	rest, ours := strings.CutPrefix(path, module+"/")
	return roomOf(rest), ours
}

func imports(f file) []string {
	var paths []string
	for _, spec := range f.tree.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

func TestEveryImportIsOnThePlan(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.room == "internal" || f.test {
			continue // tests look into every room
		}
		may, known := rooms[f.room]
		if !known {
			t.Errorf("%s: the room %q is not on the floor plan", f.path, f.room)
			continue
		}
		for _, path := range imports(f) {
			to, ours := importRoom(path)
			if !ours || to == f.room {
				continue
			}
			everything := slices.Contains(may, "*") && to != "testca" && to != "testidp"
			if !everything && !slices.Contains(may, to) {
				t.Errorf("%s: %s may not import %s; the plan allows %v", f.path, f.room, to, may)
			}
		}
	}
}

func TestPackagesOfOthersStayInTheirRooms(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.room == "internal" || f.room == "cmd/signet-bench" || f.test {
			continue // the benchmark is a program of its own, a client and no room
		}
		for _, path := range imports(f) {
			for _, rule := range onlyIn {
				below := strings.HasSuffix(rule.path, "/") && strings.HasPrefix(path, rule.path)
				if (path == rule.path || below) && !slices.Contains(rule.rooms, f.room) {
					t.Errorf("%s imports %s, which is for %v: %s", f.path, path, rule.rooms, rule.why)
				}
			}
		}
	}
}

// The plan itself has no upward edges: a room imports only rooms that do not import it back,
// however many doors lie between.
func TestThePlanHasNoCircle(t *testing.T) {
	t.Parallel()
	var walk func(room string, path []string)
	walk = func(room string, path []string) {
		if slices.Contains(path, room) {
			t.Fatalf("the plan runs in a circle: %v", append(path, room))
		}
		for _, next := range rooms[room] {
			if next != "*" {
				walk(next, append(path, room))
			}
		}
	}
	for room := range rooms {
		walk(room, nil)
	}
}

// doors must not know each other, or a fix in one protocol changes another.
func TestDoorsDoNotKnowEachOther(t *testing.T) {
	t.Parallel()
	doors := []string{"api", "acme", "scep", "console"}
	for _, door := range doors {
		for _, other := range doors {
			if slices.Contains(rooms[door], other) {
				t.Errorf("the door %s may import the door %s", door, other)
			}
		}
	}
}

func TestNoCatchAllPackages(t *testing.T) {
	t.Parallel()
	forbidden := []string{"util", "utils", "common", "core", "types", "helper", "helpers", "misc", "shared", "base"}
	for _, f := range files(t) {
		if name := f.tree.Name.Name; slices.Contains(forbidden, strings.TrimSuffix(name, "_test")) {
			t.Errorf("%s: a package called %s says nothing about what it hides", f.path, name)
		}
	}
}

// A test that skips proves nothing, and looks as if it did.
func TestNoTestSkips(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			s, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) {
				t.Errorf("%s: %s.%s", f.set.Position(call.Pos()), x.Name, s.Sel.Name)
			}
			return true
		})
	}
}

// mayPanic lists the files with a panic for our own mistakes, that no input can cause, and
// how many there are. A new one is a reviewed line.
var mayPanic = map[string]int{
	"client.go":                          1, // its own address was parsed before
	"internal/sshfiles/sshfiles.go":      1, // files embedded in the binary
	"internal/server/middleware.go":      1, // passes on net/http's own
	"internal/issue/template_default.go": 1, // templates of our own
	"internal/cli/provisioner_object.go": 1, // encodes values of our own
	"internal/cli/tree.go":               1, // the tree of commands is a table of ours
	"internal/cli/flags.go":              1, // so are the flags
}

func TestPanicsAreCounted(t *testing.T) {
	t.Parallel()
	found := map[string]int{}
	for _, f := range files(t) {
		if f.test || f.room == "testca" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "panic" {
					found[filepath.ToSlash(f.path)]++
				}
			}
			return true
		})
	}
	for path, n := range found {
		if n > mayPanic[path] {
			t.Errorf("%s: %d calls of panic, %d are reviewed", path, n, mayPanic[path])
		}
	}
}

// Only main exits, and only it and the commands see the process's own streams.
func TestOnlyMainExits(t *testing.T) {
	t.Parallel()
	forbidden := map[string][]string{
		"os.Exit":        {"cmd/signet", "cmd/signet-bench"},
		"log.Fatal":      nil,
		"log.Fatalf":     nil,
		"runtime.Goexit": nil,
	}
	for _, f := range files(t) {
		if f.test {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if !ok {
				return true
			}
			if allowed, named := forbidden[fmt.Sprintf("%s.%s", x.Name, s.Sel.Name)]; named && !slices.Contains(allowed, f.room) {
				t.Errorf("%s: %s.%s", f.set.Position(s.Pos()), x.Name, s.Sel.Name)
			}
			return true
		})
	}
}

// Issuing keys sign in one room; elsewhere nobody makes certificates or lists from keys.
func TestOnlyIssueSigns(t *testing.T) {
	t.Parallel()
	allowed := map[string][]string{
		"CreateCertificate":    {"issue", "testca", "cmd/signet-bench"},
		"CreateRevocationList": {"issue", "testca", "cmd/signet-bench"},
		"CreateCRL":            nil,
	}
	for _, f := range files(t) {
		if f.test {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if !ok || x.Name != "x509" {
				return true
			}
			if in, named := allowed[s.Sel.Name]; named && !slices.Contains(in, f.room) {
				t.Errorf("%s: x509.%s belongs to issue", f.set.Position(s.Pos()), s.Sel.Name)
			}
			return true
		})
	}
}

// Measures of the house: a file of more than 500 lines or a function of more than 60 hides
// too little behind too much. Exceptions are listed with their reason, by file and function.
var argued = map[string]string{
	"internal/keys/jwecrypt.go EncryptJWE":        "the plaintext and the header members of RFC 7516 that a caller chooses",
	"internal/keys/jwecrypt.go EncryptPBES2":      "the plaintext and the header members of RFC 7516 that a caller chooses",
	"internal/issue/pki.go NewIntermediate":       "two certificates, two keys and the time",
	"internal/cli/signflags.go prove":             "one flow for all commands that need a token",
	"internal/config/provisioners.go checkUnique": "one value of each side of a comparison",
	"internal/cli/flags.go bind":                  "one value of a flag each; a struct for one caller would say the same twice",
}

func TestMeasures(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		path := filepath.ToSlash(f.path)
		if lines := f.set.Position(f.tree.FileEnd).Line; lines > 500 && !f.test && argued[path] == "" {
			t.Errorf("%s has %d lines, 500 are the measure", path, lines)
		}
		for _, d := range f.tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || f.test || argued[path+" "+fn.Name.Name] != "" {
				continue
			}
			if n := codeLines(f, fn); n > 60 {
				t.Errorf("%s: %s has %d lines, 60 are the measure", f.set.Position(fn.Pos()), fn.Name.Name, n)
			}
			if n := parameters(fn); n > 4 {
				t.Errorf("%s: %s takes %d parameters after the context, 4 are the measure", f.set.Position(fn.Pos()), fn.Name.Name, n)
			}
		}
	}
}

// codeLines counts the lines of a function less those of its tables, which are data.
func codeLines(f file, fn *ast.FuncDecl) int {
	from, to := f.set.Position(fn.Pos()).Line, f.set.Position(fn.End()).Line
	lines := to - from + 1
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		table, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		lines -= f.set.Position(table.End()).Line - f.set.Position(table.Pos()).Line
		return false
	})
	return lines
}

func parameters(fn *ast.FuncDecl) int {
	n := 0
	for i, p := range fn.Type.Params.List {
		if s, ok := p.Type.(*ast.SelectorExpr); ok && i == 0 && s.Sel.Name == "Context" {
			continue
		}
		n += max(1, len(p.Names))
	}
	return n
}

// A dependency is named with its reason in the documentation, or it is not taken.
func TestDependenciesAreNamed(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(words) != 2 || !strings.HasPrefix(words[1], "v") || strings.Contains(line, "// indirect") {
			continue
		}
		if !strings.Contains(string(page), "`"+words[0]+"`") {
			t.Errorf("%s is not named in docs/dependencies.md", words[0])
		}
	}
}
