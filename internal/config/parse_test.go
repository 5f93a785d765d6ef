package config_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/provisioner"
)

// smallest is the smallest valid file.
const smallest = `{"root": "r.crt", "crt": "i.crt", "key": "i.key", "address": ":9000", "dnsNames": ["ca.example"], "authority": {}}`

// with puts members into the smallest file, in front of the others.
func with(members string) string {
	return strings.Replace(smallest, "{", "{"+members+", ", 1)
}

// without drops a member from the smallest file.
func without(name string) string {
	drop := map[string]string{
		"root": `"root": "r.crt", `, "crt": `"crt": "i.crt", `, "key": `"key": "i.key", `,
		"address": `"address": ":9000", `, "dnsNames": `"dnsNames": ["ca.example"], `, "authority": `, "authority": {}`,
	}
	return strings.Replace(smallest, drop[name], "", 1)
}

func authority(members string) string {
	return strings.Replace(smallest, `"authority": {}`, `"authority": {`+members+`}`, 1)
}

// complaints lists what an error joins, each as path and message.
func complaints(err error) []string {
	var all []string
	for _, c := range each(err) {
		all = append(all, c.Path+": "+c.Message)
	}
	return all
}

func each(err error) []*config.Complaint {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []*config.Complaint{{Message: "not joined: " + err.Error()}}
	}
	var all []*config.Complaint
	for _, e := range joined.Unwrap() {
		if c, ok := errors.AsType[*config.Complaint](e); ok {
			all = append(all, c)
		}
	}
	return all
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, report, err := config.Options{Home: "/home/ca"}.Parse("ca.json", []byte(without("dnsNames")))
	if err != nil || len(report.Warnings) > 0 {
		t.Fatalf("the smallest file is refused: %v, warnings %v", err, report)
	}
	database, err := c.Database()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{
		"dnsNames":        c.DNSNames,
		"commonName":      c.CommonName,
		"suites":          c.TLS.CipherSuites,
		"min":             float64(c.TLS.MinVersion),
		"max":             float64(c.TLS.MaxVersion),
		"renegotiation":   c.TLS.Renegotiation,
		"backdate":        c.Backdate(),
		"renewUnrecorded": c.Authority.RenewUnrecorded,
		"type":            c.Authority.Type,
		"deploymentType":  c.Authority.DeploymentType,
		"logger":          c.Logger == nil,
		"ssh":             c.SSH == nil,
		"crl":             c.CRL == nil,
		"database":        database,
		"issued at":       c.IssuedAtUnchecked(),
		"template":        *c.Authority.Template,
	}
	want := map[string]any{
		"dnsNames":        []string{"localhost", "127.0.0.1", "::1"},
		"commonName":      "Step Online CA",
		"suites":          []string{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		"min":             1.2,
		"max":             1.3,
		"renegotiation":   false,
		"backdate":        time.Minute,
		"renewUnrecorded": "extension",
		"type":            "softcas",
		"deploymentType":  "standalone",
		"logger":          true,
		"ssh":             true,
		"crl":             true,
		"database":        config.Database{Type: "sqlite", DataSource: "/home/ca/db/signet.db"},
		"issued at":       false,
		"template":        config.Subject{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults differ (-want +got):\n%s", diff)
	}
}

func TestCRLDefaults(t *testing.T) {
	t.Parallel()
	c, _, err := config.Parse("ca.json", []byte(with(`"crl": {"enabled": true, "cacheDuration": "0s"}`)))
	if err != nil {
		t.Fatal(err)
	}
	got := []any{time.Duration(*c.CRL.CacheDuration), time.Duration(*c.CRL.RenewPeriod), c.CRL.IDPURL}
	if diff := cmp.Diff([]any{24 * time.Hour, 16 * time.Hour, "https://ca.example:9000/1.0/crl"}, got); diff != "" {
		t.Errorf("defaults of crl differ (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	jwk := `{"type": "JWK", "name": "%s", "key": {"kty": "EC", "crv": "P-256", "kid": "%s", "x": "6meWfyXfhUt9KuqlTCWheUwWjW85WzS_4RkROXZEptI", "y": "T7TZua3Gn0b7CqS--M5kDZuk4F7rkzMZICvt7ULs7Gs"}}`
	pair := func(name1, kid1, name2, kid2 string) string {
		return authority(`"provisioners": [` + fmt.Sprintf(jwk, name1, kid1) + "," + fmt.Sprintf(jwk, name2, kid2) + `]`)
	}
	for name, c := range map[string]struct {
		text string
		path string // of the complaint
		says string
	}{
		"no root":                      {without("root"), "root", "root is missing"},
		"empty root":                   {strings.Replace(smallest, `"r.crt"`, `["a", ""]`, 1), "root[1]", "empty file name"},
		"root of a wrong type":         {strings.Replace(smallest, `"r.crt"`, `7`, 1), "root", "a string or a list of strings"},
		"no crt":                       {without("crt"), "crt", "crt is missing"},
		"no key":                       {without("key"), "key", "key is missing"},
		"no address":                   {without("address"), "address", "address is missing"},
		"address without a port":       {strings.Replace(smallest, ":9000", "ca.example", 1), "address", "host:port"},
		"address with an empty port":   {strings.Replace(smallest, ":9000", "ca.example:", 1), "address", "port is missing"},
		"address with a port too high": {strings.Replace(smallest, ":9000", ":70000", 1), "address", "65535"},
		"insecureAddress malformed":    {with(`"insecureAddress": "8080"`), "insecureAddress", "host:port"},
		"metricsAddress malformed":     {with(`"metricsAddress": "9090"`), "metricsAddress", "host:port"},
		"two listeners on one port":    {with(`"metricsAddress": ":9000"`), "metricsAddress", "its own port"},
		"retention that is too short":  {with(`"signet": {"retention": {"audit": "30m"}}`), "signet.retention.audit", "less than 24h"},
		"no names at all":              {strings.Replace(smallest, `["ca.example"]`, `[]`, 1), "dnsNames", "dnsNames is empty"},
		"an empty name":                {strings.Replace(smallest, `"ca.example"`, `"a", " "`, 1), "dnsNames[1]", "empty name"},
		"two names in one":             {strings.Replace(smallest, `"ca.example"`, `"a, b"`, 1), "dnsNames[0]", "on its own"},
		"password from nowhere":        {with(`"password": "file:"`), "password", "file:PATH"},
		"kms of an unknown type":       {with(`"kms": {"type": "vault"}`), "kms.type", "not known"},
		"kms with an unknown scheme":   {with(`"kms": {"uri": "hsm:x"}`), "kms.uri", "no known scheme"},
		"logger with an odd format":    {with(`"logger": {"format": "xml"}`), "logger.format", "text, json or common"},
		"logger with an odd header":    {with(`"logger": {"traceHeader": "a b"}`), "logger.traceHeader", "HTTP header"},
		"monitoring elsewhere":         {with(`"monitoring": {"type": "datadog"}`), "monitoring.type", "not known"},
		"db without a type":            {with(`"db": {}`), "db.type", "db.type is missing"},
		"db of an unknown type":        {with(`"db": {"type": "oracle", "dataSource": "x"}`), "db.type", "not known"},
		"db without a source":          {with(`"db": {"type": "badgerv2"}`), "db.dataSource", "dataSource is missing"},
		"db secret from nowhere":       {with(`"db": {"type": "mysql", "dataSource": "env:"}`), "db.dataSource", "env:NAME"},
		"db with an odd loading mode":  {with(`"db": {"type": "badger", "dataSource": "x", "badgerFileLoadingMode": "fast"}`), "db.badgerFileLoadingMode", "not known"},
		"an unknown cipher suite":      {with(`"tls": {"cipherSuites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_FAST"]}`), "tls.cipherSuites[1]", "no cipher suite"},
		"a TLS version that is none":   {with(`"tls": {"minVersion": 1.25}`), "tls.minVersion", "no TLS version"},
		"a TLS version as text":        {with(`"tls": {"maxVersion": "1.3"}`), "tls.maxVersion", "a number is expected"},
		"TLS 1.1":                      {with(`"tls": {"minVersion": 1.1}`), "tls.minVersion", "allowLegacyTLS"},
		"TLS upside down":              {with(`"tls": {"minVersion": 1.3, "maxVersion": 1.2}`), "tls.minVersion", "above"},
		"suites without HTTP/2's":      {with(`"tls": {"cipherSuites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]}`), "tls.cipherSuites", "HTTP/2"},
		"crl duration below zero":      {with(`"crl": {"enabled": true, "cacheDuration": "-1h"}`), "crl.cacheDuration", "below zero"},
		"crl renewal below zero":       {with(`"crl": {"enabled": true, "renewPeriod": "-1h"}`), "crl.renewPeriod", "below zero"},
		"crl renewed too late":         {with(`"crl": {"enabled": true, "cacheDuration": "1h", "renewPeriod": "2h"}`), "crl.renewPeriod", "above"},
		"crl duration as a number":     {with(`"crl": {"cacheDuration": 24}`), "crl.cacheDuration", "duration"},
		"crl duration in days":         {with(`"crl": {"cacheDuration": "1d"}`), "crl.cacheDuration", "duration"},
		"crl at no URL":                {with(`"crl": {"enabled": true, "idpURL": "ldap://x/"}`), "crl.idpURL", "http"},
		"ssh key of no type":           {with(`"ssh": {"keys": [{"type": "robot", "key": {"kty": "oct", "k": "AAAA"}}]}`), "ssh.keys[0].type", "user or host"},
		"ssh key that is private":      {with(`"ssh": {"keys": [{"type": "user", "key": {"kty": "oct", "k": "AAAA"}}]}`), "ssh.keys[0].key", "public key"},
		"template with a taken name":   {with(`"templates": {"data": {"Step": 1}}`), "templates.data", "taken"},
		"template without a name":      {with(`"templates": {"ssh": {"user": [{"type": "file", "path": "p", "template": "t"}]}}`), "templates.ssh.user[0].name", "missing"},
		"template of no type":          {with(`"templates": {"ssh": {"host": [{"name": "n", "type": "link", "path": "p"}]}}`), "templates.ssh.host[0].type", "not known"},
		"template without a path":      {with(`"templates": {"ssh": {"host": [{"name": "n", "type": "directory"}]}}`), "templates.ssh.host[0].path", "missing"},
		"template without a file":      {with(`"templates": {"ssh": {"host": [{"name": "n", "type": "file", "path": "p"}]}}`), "templates.ssh.host[0].template", "missing"},
		"backdate below zero":          {authority(`"backdate": "-1m"`), "authority.backdate", "below zero"},
		"renewUnrecorded unknown":      {authority(`"renewUnrecorded": "sometimes"`), "authority.renewUnrecorded", "not known"},
		"an unknown kind of CA":        {authority(`"type": "magiccas"`), "authority.type", "not known"},
		"an unknown deployment":        {authority(`"deploymentType": "cloud"`), "authority.deploymentType", "not known"},
		"authority ID is no UUID":      {authority(`"authorityId": "me"`), "authority.authorityId", "UUID"},
		"claims upside down":           {authority(`"claims": {"minTLSCertDuration": "2h", "maxTLSCertDuration": "1h"}`), "authority.claims", "below"},
		"SSH claims upside down":       {authority(`"claims": {"minUserSSHCertDuration": "2h", "maxUserSSHCertDuration": "1h"}`), "authority.claims", "below"},
		"claims with a number":         {authority(`"claims": {"minTLSCertDuration": 5}`), "authority.claims.minTLSCertDuration", "duration"},
		"policy with an odd rule":      {authority(`"policy": {"x509": {"allow": {"ip": ["10.0.0.0/99"]}}}`), "authority.policy", "10.0.0.0/99"},
		"previous issuer without name": {authority(`"previousIssuers": [""]`), "authority.previousIssuers[0]", "empty file name"},
		"provisioners not in a list":   {authority(`"provisioners": {}`), "authority.provisioners", "a list is expected"},
		"a provisioner that is text":   {authority(`"provisioners": ["x"]`), "authority.provisioners[0]", "an object is expected"},
		"a provisioner that is null":   {authority(`"provisioners": [null]`), "authority.provisioners[0]", "null"},
		"a malformed JWK":              {authority(`"provisioners": [{"type": "jwk", "name": "a", "key": {"kty": "XX"}}]`), "authority.provisioners[0].key", "JSON Web Key"},
		"a provisioner's odd claim":    {authority(`"provisioners": [{"type": "ACME", "name": "a", "claims": {"disableRenewal": "yes"}}]`), "authority.provisioners[0].claims.disableRenewal", "true or false"},
		"two of one name":              {pair("a", "1", "a", "2"), "authority.provisioners[1].name", "is called"},
		"a text where a list belongs":  {with(`"federatedRoots": "f.crt"`), "federatedRoots", "a list is expected"},
		"a list where a text belongs":  {with(`"commonName": ["x"]`), "commonName", "a string is expected"},
		"no object at all":             {`[]`, "", "an object is expected"},
		"no JSON":                      {`{"root": }`, "", "no JSON"},
		"nothing":                      {``, "", "no JSON"},
		"too deep":                     {strings.Repeat("[", 100000), "", "deeper"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := config.Parse("ca.json", []byte(c.text))
			if err == nil {
				t.Fatal("accepted")
			}
			found := slices.ContainsFunc(each(err), func(got *config.Complaint) bool {
				return got.Path == c.path && strings.Contains(got.Message, c.says) && got.Line > 0 && got.Column > 0
			})
			if !found {
				t.Errorf("want a complaint about %q that says %q, got %q", c.path, c.says, complaints(err))
			}
		})
	}
}

func TestEveryComplaintAtOnce(t *testing.T) {
	t.Parallel()
	text := `{
	// three mistakes, and a typo
	"root": ["r.crt"],
	"crt": 5,
	"key": "i.key",
	"address": "nowhere",
	"adress": ":443",
	"authority": {
		"claims": {"maxTLSCertDuration": "1 day"},
	},
}`
	_, report, err := config.Parse("ca.json", []byte(text))
	var got []string
	for _, c := range each(err) {
		got = append(got, c.Error())
	}
	want := []string{
		"ca.json:4:9: crt: a string is expected here, not a number",
		`ca.json:6:13: address "nowhere": write host:port or :port, with an IPv6 address in brackets`,
		`ca.json:9:36: authority.claims.maxTLSCertDuration: "1 day" is no duration; write for example "24h" or "1h30m"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("complaints differ (-want +got):\n%s", diff)
	}
	if len(report.Warnings) != 1 || report.Warnings[0].Error() != "ca.json:7:2: the member adress is not known here and has no effect; did you mean address?" {
		t.Errorf("warnings: %v", report.Warnings)
	}
}

func TestLaxWhereTheReferenceIs(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"comments and trailing commas": `{/* a */ "root": "r", "crt": "c", "key": "k", "address": ":1", "dnsNames": ["x",], "authority": {}, // b` + "\n}",
		"names in any case":            `{"ROOT": "r", "Crt": "c", "kEy": "k", "address": ":1", "dnsnames": ["x"], "Authority": {}}`,
		"text after the value":         smallest + " and more",
		"a comment without line end":   smallest + " // end",
		"a byte order mark":            "\xef\xbb\xbf" + smallest,
		"softkms written out":          with(`"kms": {"type": "SoftKMS"}`),
		"what tools leave empty":       authority(`"policy": {}, "template": {}, "provisioners": [{"type": "JWK", "name": "a", "options": {"x509": {}, "ssh": {}}}]`),
		"softcas written out":          authority(`"type": "SoftCAS", "deploymentType": "standalone"`),
		"issued at check in claims":    authority(`"claims": {"disableIssuedAtCheck": true}`),
		"TLS 1.0 when insisted":        with(`"tls": {"minVersion": 1.0}, "signet": {"allowLegacyTLS": true}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := config.Parse("ca.json", []byte(text)); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, path, says string
		strict           bool // refused if asked to be strict
	}{
		"unknown member":                {with(`"polici": {}`), "polici", "not known", true},
		"unknown member of tls":         {with(`"tls": {"minimumVersion": 1.2}`), "tls.minimumVersion", "did you mean minVersion?", true},
		"unknown member of db":          {with(`"db": {"type": "memory", "datasource2": ""}`), "db.datasource2", "did you mean dataSource?", true},
		"unknown claim":                 {authority(`"claims": {"maxTLSDuration": "1h"}`), "authority.claims.maxTLSDuration", "did you mean maxTLSCertDuration?", true},
		"unknown member of provisioner": {authority(`"provisioners": [{"type": "JWK", "name": "a", "encriptedKey": ""}]`), "authority.provisioners[0].encriptedKey", "did you mean encryptedKey?", true},
		"unknown option":                {authority(`"provisioners": [{"type": "JWK", "name": "a", "options": {"x508": {}}}]`), "authority.provisioners[0].options.x508", "did you mean x509?", true},
		"unknown claim of provisioner":  {authority(`"provisioners": [{"type": "ACME", "name": "a", "claims": {"disableRenewall": true}}]`), "authority.provisioners[0].claims.disableRenewall", "did you mean disableRenewal?", true},
		"a type not served yet":         {authority(`"provisioners": [{"type": "SCEP", "name": "a"}]`), "authority.provisioners[0]", "disabled", true},
		"a type nobody knows":           {authority(`"provisioners": [{"type": "Magic", "name": "a", "wand": 1}]`), "authority.provisioners[0]", "not known", true},
		"a provisioner's bad claims":    {authority(`"provisioners": [{"type": "JWK", "name": "a", "claims": {"minTLSCertDuration": "48h"}}]`), "authority.provisioners[0]", "disabled", true},
		"a member twice":                {with(`"Address": ":1"`), "address", "stands twice", false},
		"monitoring":                    {with(`"monitoring": {"name": "x", "key": "k"}`), "monitoring", "no effect", false},
		"badger is SQLite now":          {with(`"db": {"type": "badgerv2", "dataSource": "/x/db"}`), "db.type", "/x/db/signet.db", false},
		"a name with a port":            {strings.Replace(smallest, "ca.example", "ca.example:9000", 1), "dnsNames[0]", "port", false},
		"text after the value":          {smallest + "}", "", "ignored", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, report, err := config.Parse("ca.json", []byte(c.text))
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			if !slices.ContainsFunc(report.Warnings, func(w config.Complaint) bool {
				return w.Path == c.path && strings.Contains(w.Message, c.says) && w.Line > 0
			}) {
				t.Errorf("want a warning about %q that says %q, got %+v", c.path, c.says, report.Warnings)
			}
			_, _, err = config.Options{Strict: true}.Parse("ca.json", []byte(c.text))
			if (err != nil) != c.strict {
				t.Errorf("strictly: %v, want an error: %v", err, c.strict)
			}
		})
	}
}

func TestLastOfTwoCounts(t *testing.T) {
	t.Parallel()
	c, _, err := config.Parse("ca.json", []byte(with(`"commonName": "first", "COMMONNAME": "last"`)))
	if err != nil || c.CommonName != "last" {
		t.Errorf("got %q, %v", c.CommonName, err)
	}
}

// TestUnserved lists what is known but not served yet. Whoever builds one takes its line out.
func TestUnserved(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"kms.type":                              with(`"kms": {"type": "pkcs11"}`),
		"kms.uri":                               with(`"kms": {"uri": "pkcs11:token=t"}`),
		"authority.enableAdmin":                 authority(`"enableAdmin": true`),
		"authority.type":                        authority(`"type": "stepcas"`),
		"authority.deploymentType":              authority(`"deploymentType": "linked"`),
		"authority.provisioners[].options.wire": authority(`"provisioners": [{"type": "JWK", "name": "a", "options": {"wire": {"oidc": {"a": 1}}}}]`),
	}
	var paths []string
	for path, text := range want {
		paths = append(paths, path)
		_, _, err := config.Parse("ca.json", []byte(text))
		if len(each(err)) != 1 || !strings.Contains(err.Error(), "does not serve") {
			t.Errorf("%s: want the one complaint that it is not served, got %q", path, complaints(err))
		}
	}
	slices.Sort(paths)
	listed := slices.Sorted(slices.Values(config.Unserved()))
	if diff := cmp.Diff(paths, listed); diff != "" {
		t.Errorf("the list of what is not served yet differs (-test +code):\n%s", diff)
	}
	if diff := cmp.Diff(provisioner.Unserved(), config.UnservedTypes()); diff != "" {
		t.Error(diff)
	}
	for _, key := range []string{"pkcs11:id=1", "yubikey:slot-id=9c", "awskms:key-id=x"} {
		_, _, err := config.Parse("ca.json", []byte(strings.Replace(smallest, "i.key", key, 1)))
		if len(each(err)) != 1 || each(err)[0].Path != "key" {
			t.Errorf("key %s: %q", key, complaints(err))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(smallest))
	f.Add([]byte(with(`"kms": {"type": "pkcs11"}, "tls": {"minVersion": 1.25}, "tls": null`)))
	f.Add([]byte(authority(`"provisioners": [{"type": "JWK", "name": "a", "key": {}}, {"type": "ACME"}, 5]`)))
	f.Add([]byte(`{"root": {}, "authority": [], "db": {"type": 1}, /* x */ }`))
	f.Add([]byte("{\"a\":\"\\ud800\",//\n}//"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, report, err := config.Parse("ca.json", data)
		if err == nil && (c == nil || report == nil) {
			t.Fatal("neither a configuration nor an error")
		}
		if err != nil && c != nil {
			t.Fatal("a configuration in spite of an error")
		}
		for _, complaint := range each(err) {
			if complaint.Line < 1 || complaint.Column < 1 {
				t.Fatalf("a complaint without a place: %+v", complaint)
			}
		}
	})
}
