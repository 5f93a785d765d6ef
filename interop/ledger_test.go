package interop_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// The page that says what is proven with which client, and where its table is.
const (
	ledgerPage  = "../docs/how-to/acme-clients.md"
	ledgerBegin = "<!-- table: go test ./interop -update -->\n"
	ledgerEnd   = "<!-- end of table -->\n"
)

var updateLedger = flag.Bool("update", false, "write the table of what is proven with which client")

// columns of the table, and the words that come first in a cell.
var (
	columns = []string{"http-01", "dns-01", "tls-alpn-01", "certificate keys", "account keys", "EAB, account keys", "revokes with", "also"}
	first   = []string{"issue", "renew", "revoke", "RSA", "EC", "refusals", "account", "certificate key"}
)

// ledger is what the servers of the tests have recorded of each client: client, column, word.
var ledger = struct {
	sync.Mutex
	rows map[string]map[string]map[string]bool
}{rows: map[string]map[string]map[string]bool{}}

// showed notes what only the test can see of a client.
func (s *site) showed(column string, words ...string) {
	s.Helper()
	if !slices.Contains(columns, column) {
		s.Fatalf("the table has no column %q", column)
	}
	s.noted.Lock()
	defer s.noted.Unlock()
	for _, w := range words {
		s.notes = append(s.notes, [2]string{column, w})
	}
}

// settle reads from the server's database what the client of a site has done, and enters it
// if the test went well.
func (s *site) settle() {
	s.noteAccounts()
	s.noteOrders()
	s.noteActs()
	if s.Failed() {
		return
	}
	ledger.Lock()
	defer ledger.Unlock()
	row := ledger.rows[s.client]
	if row == nil {
		row = map[string]map[string]bool{}
		ledger.rows[s.client] = row
	}
	for _, n := range s.notes {
		if row[n[0]] == nil {
			row[n[0]] = map[string]bool{}
		}
		row[n[0]][n[1]] = true
	}
}

// records asks the database of the server.
func (s *site) records(into any, query string) {
	s.Helper()
	files, err := filepath.Glob(s.path("home/db/*.db"))
	s.check(err)
	if len(files) != 1 {
		s.Fatalf("databases: %v", files)
	}
	out, err := exec.Command("sqlite3", "-json", "-cmd", ".timeout 10000", files[0], query).Output()
	s.check(err)
	if len(out) > 0 {
		s.check(json.Unmarshal(out, into))
	}
}

func (s *site) noteAccounts() {
	var accounts []struct{ DER, EAB string }
	s.records(&accounts, `SELECT hex(der) der, eab FROM acme_accounts`)
	for _, a := range accounts {
		der, err := hex.DecodeString(a.DER)
		s.check(err)
		key, err := x509.ParsePKIXPublicKey(der)
		s.check(err)
		s.showed("account keys", kindOf(key))
		if a.EAB != "" {
			s.showed("EAB, account keys", kindOf(key))
		}
	}
}

func kindOf(key any) string {
	if _, ok := key.(*rsa.PublicKey); ok {
		return "RSA"
	}
	return "EC"
}

// noteOrders notes for each certificate how its names were proven, its key, whether it came
// after another one for the same names and whether it was revoked.
func (s *site) noteOrders() {
	var certificates []struct {
		Account, Identifiers, Authorizations, Profile, Replaces, Raw, Revoked string
	}
	s.records(&certificates, `SELECT o.account_id account, o.identifiers, o.authorizations, o.profile, o.replaces, hex(c.raw) raw, coalesce(r.revoked_by, '') revoked
FROM acme_orders o JOIN certificates c ON c.class = 'x509' AND c.serial = o.serial LEFT JOIN revocations r ON r.class = 'x509' AND r.serial = o.serial ORDER BY o.seq`)
	methods := s.methods()
	before := map[string]bool{}
	for _, c := range certificates {
		der, err := hex.DecodeString(c.Raw)
		s.check(err)
		leaf, err := x509.ParseCertificate(der)
		s.check(err)
		s.showed("certificate keys", kindOf(leaf.PublicKey))
		var authorizations []string
		s.check(json.Unmarshal([]byte(c.Authorizations), &authorizations))
		of := c.Account + " " + s.sameNames(c.Identifiers)
		renewed := before[of]
		before[of] = true
		for _, id := range authorizations {
			s.showed(methods[id], "issue")
			if renewed {
				s.showed(methods[id], "renew")
			}
			if c.Revoked != "" {
				s.showed(methods[id], "revoke")
			}
		}
		s.noteRevoked(c.Revoked)
		s.noteKind(leaf, c.Profile, c.Replaces)
	}
}

// sameNames gives the names of an order one order of their own: acme-tiny keeps them in a
// set, and so asks for them in any.
func (s *site) sameNames(identifiers string) string {
	s.Helper()
	var all []struct{ Type, Value string }
	s.check(json.Unmarshal([]byte(identifiers), &all))
	var names []string
	for _, one := range all {
		names = append(names, one.Type+":"+one.Value)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (s *site) noteRevoked(by string) {
	switch {
	case by == "":
	case strings.Contains(by, "account"):
		s.showed("revokes with", "account")
	default:
		s.showed("revokes with", "certificate key")
	}
}

func (s *site) noteKind(leaf *x509.Certificate, profile, replaces string) {
	if len(leaf.IPAddresses) > 0 {
		s.showed("also", "IP")
	}
	if slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return strings.HasPrefix(n, "*.") }) {
		s.showed("also", "wildcard")
	}
	if profile != "" {
		s.showed("also", "profile")
	}
	if replaces != "" {
		s.showed("also", "ARI")
	}
}

// methods are the challenge types by which authorizations became valid.
func (s *site) methods() map[string]string {
	var authorizations []struct{ ID, Challenges string }
	s.records(&authorizations, `SELECT id, challenges FROM acme_authzs`)
	all := map[string]string{}
	for _, a := range authorizations {
		var challenges []struct{ Type, Status string }
		s.check(json.Unmarshal([]byte(a.Challenges), &challenges))
		for _, c := range challenges {
			if c.Status == "valid" {
				all[a.ID] = c.Type
			}
		}
	}
	return all
}

// noteActs notes what the server's audit log says.
func (s *site) noteActs() {
	var acts []struct{ Act string }
	s.records(&acts, `SELECT DISTINCT act FROM audit`)
	for _, a := range acts {
		switch a.Act {
		case "acme.key-change":
			s.showed("also", "account key rollover")
		case "acme.deactivate":
			s.showed("also", "account deactivation")
		}
	}
}

// wholeSuite reports whether all tests ran, so that the ledger is complete.
func wholeSuite() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

// closeLedger compares what the tests have shown with the table in the documentation. The
// versions of the clients are not compared: those of a distribution move.
func closeLedger() error {
	page, err := os.ReadFile(ledgerPage)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(page), ledgerBegin)
	written, foot, also := strings.Cut(rest, ledgerEnd)
	if !ok || !also {
		return fmt.Errorf("%s has no place for the table", ledgerPage)
	}
	table, err := ledgerTable()
	if err != nil {
		return err
	}
	if *updateLedger {
		return os.WriteFile(ledgerPage, []byte(head+ledgerBegin+table+ledgerEnd+foot), 0o644)
	}
	if withoutVersions(written) != withoutVersions(table) {
		return fmt.Errorf("%s says of the clients\n%s\nwhat the tests have shown is\n%s\n'go test ./interop -update' writes it", ledgerPage, written, table)
	}
	return nil
}

var secondCell = regexp.MustCompile(`(?m)^(\| [^|]* \|)[^|]*\|`)

func withoutVersions(table string) string { return secondCell.ReplaceAllString(table, "$1") }

func ledgerTable() (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "| client | version | %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)+2))
	for _, client := range slices.Sorted(maps.Keys(ledger.rows)) {
		version, err := versionOf(client)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "| %s | %s |", client, version)
		for _, column := range columns {
			fmt.Fprintf(&b, " %s |", cell(ledger.rows[client][column]))
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

func cell(words map[string]bool) string {
	if len(words) == 0 {
		return "–"
	}
	all := slices.SortedFunc(maps.Keys(words), func(a, b string) int {
		i, j := slices.Index(first, a), slices.Index(first, b)
		if i >= 0 || j >= 0 {
			return i - j
		}
		return strings.Compare(a, b)
	})
	return strings.Join(all, ", ")
}

// origins of clients that are no Debian package of the same name.
var origins = map[string]string{
	"Caddy": "caddy", "Apache mod_md": "apache2",
	"npm acme-client": "npm", "Ruby acme-client": "ruby-acme-client", "Go acmez": "github.com/mholt/acmez/v3", "Go lego": "github.com/go-acme/lego/v4", "Go x/crypto/acme": "golang.org/x/crypto",
}

var upstream = regexp.MustCompile(`^(?:\d+:)?([0-9][0-9.]*[0-9])`)

// versionOf asks where a client came from for its version, without what a distribution adds.
func versionOf(client string) (string, error) {
	origin := origins[client]
	switch {
	case origin == "":
		origin = client
	case origin == "npm":
		text, err := os.ReadFile("testdata/acme-client/node_modules/acme-client/package.json")
		if err != nil {
			return "", err
		}
		return firstOf(regexp.MustCompile(`"version": "([^"]+)"`), string(text), client)
	case strings.Contains(origin, "/"):
		mod, err := os.ReadFile("../go.mod")
		if err != nil {
			return "", err
		}
		return firstOf(regexp.MustCompile(`(?m)^\s*`+regexp.QuoteMeta(origin)+` v(\S+)`), string(mod), client)
	}
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", origin).Output()
	if err != nil {
		return "", fmt.Errorf("the version of %s: %w", client, err)
	}
	return firstOf(upstream, string(out), client)
}

func firstOf(pattern *regexp.Regexp, text, client string) (string, error) {
	found := pattern.FindStringSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("no version of %s in %q", client, text)
	}
	return found[1], nil
}
