package interop_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
)

// bind is BIND 9 with one zone, where every name without records of its own is on this
// machine. Whoever has the key may change it (RFC 2136, 8945).
type bind struct {
	host, port string
	zone       string
	key        string // base64, of the TSIG key "interop", HMAC-SHA-512
}

// newBind starts BIND with more records for the zone, in the form of zone files.
func newBind(t *testing.T, zone string, records ...string) *bind {
	t.Helper()
	secret := make([]byte, 64)
	if _, err := rand.Read(secret); err != nil {
		t.Fatal(err)
	}
	b := &bind{host: "127.0.0.1", port: freePorts(t, 1)[0], zone: zone, key: base64.StdEncoding.EncodeToString(secret)}
	s := &site{T: t, dir: t.TempDir()} // its files
	s.file("zone.db", fmt.Sprintf(`$TTL 1
@ SOA ns admin 1 3600 600 86400 1
@ NS ns
ns A 127.0.0.1
* A 127.0.0.1
%s
`, strings.Join(records, "\n")))
	// Who climbs towards the root finds nothing more.
	s.file("parent.db", "$TTL 1\n@ SOA ns.invalid. admin.invalid. 1 3600 600 86400 1\n@ NS ns.invalid.\n")
	config := s.file("named.conf", fmt.Sprintf(`
options {
	directory %[1]q;
	listen-on port %[2]s { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file "named.pid";
	lock-file none;
	session-keyfile "session.key";
	recursion no;
	dnssec-validation no;
	empty-zones-enable no;
	notify no;
};
controls { };
key interop { algorithm hmac-sha512; secret %[4]q; };
zone %[3]q { type primary; file "zone.db"; allow-update { key interop; }; };
zone %[5]q { type primary; file "parent.db"; };
`, s.dir, b.port, zone, b.key, zone[strings.LastIndex(zone, ".")+1:]))
	log := s.background(s.command("named", "-g", "-n", "1", "-c", config), "named.log")
	s.waitFor(b.address(), log)
	s.eventually("a name server with the zone "+zone, func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), "running")
	})
	return b
}

func (b *bind) address() string { return b.host + ":" + b.port }

// name is a name of the zone.
func (b *bind) name(label string) string { return label + "." + b.zone }

// add puts up a record, as its owner would.
func (b *bind) add(s *site, record string) {
	s.Helper()
	script := s.file("update.txt", fmt.Sprintf("server %s %s\nzone %s\nupdate add %s\nsend\n", b.host, b.port, b.zone, record))
	s.run(nil, "nsupdate", "-y", "hmac-sha512:interop:"+b.key, script)
}
