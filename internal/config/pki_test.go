package config_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/keys"
)

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newKey(t *testing.T, alg keys.Alg) crypto.Signer {
	t.Helper()
	key, err := alg.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a CA certificate below parent, a root if there is none, after bend has changed
// what a good one says.
func sign(t *testing.T, name string, parent *pair, key crypto.Signer, bend func(*x509.Certificate)) *pair {
	t.Helper()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if bend != nil {
		bend(template)
	}
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &pair{cert, key}
}

// pki writes certificates and a key and gives the configuration that names them.
func pki(t *testing.T, roots, chain []*x509.Certificate, key crypto.Signer, more string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	text, err := keys.EncodePrivate(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "r.crt"), string(keys.EncodeCertificates(roots...)), 0o600)
	write(t, filepath.Join(dir, "i.crt"), string(keys.EncodeCertificates(chain...)), 0o600)
	write(t, filepath.Join(dir, "i.key"), string(text), 0o600)
	file := fmt.Sprintf(`{"root": "%[1]s/r.crt", "crt": "%[1]s/i.crt", "key": "%[1]s/i.key", "address": ":9000", "authority": {}%[2]s}`, dir, more)
	c, _, err := config.Parse("ca.json", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func certs(all ...*pair) []*x509.Certificate {
	var out []*x509.Certificate
	for _, p := range all {
		out = append(out, p.cert)
	}
	return out
}

func TestLoadPKI(t *testing.T) {
	t.Parallel()
	ec := func() crypto.Signer { return newKey(t, keys.Alg{}) }
	root := sign(t, "root", nil, ec(), nil)
	good := sign(t, "issuer", root, ec(), func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
	middle := sign(t, "middle", root, ec(), nil)
	below := sign(t, "below", middle, ec(), nil)
	tight := sign(t, "tight", nil, ec(), func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
	rsaRoot := sign(t, "rsa root", nil, newKey(t, keys.Alg{Kty: "RSA", Size: 2048}), nil)
	bent := func(parent *pair, bend func(*x509.Certificate)) *pair { return sign(t, "issuer", parent, ec(), bend) }
	expired := bent(root, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	young := bent(root, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
	ending := bent(root, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(29 * 24 * time.Hour) })
	leaf := bent(root, func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
	})
	mute := bent(root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	cramped := bent(tight, nil)
	old := sign(t, "old root", nil, ec(), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	belowOld := bent(old, nil)
	weak := sign(t, "issuer", root, newKey(t, keys.Alg{Kty: "RSA", Size: 1024}), nil)

	for name, c := range map[string]struct {
		roots, chain []*x509.Certificate
		key          crypto.Signer
		more         string
		refused      string // what the refusal says; "" if it loads
		warned       string
		length       int // of the chain
	}{
		"root and intermediate":            {roots: certs(root), chain: certs(good), key: good.key, length: 1},
		"a longer chain":                   {roots: certs(root), chain: certs(below, middle), key: below.key, length: 2},
		"the root at the end of the chain": {roots: certs(root), chain: certs(good, root), key: good.key, length: 1},
		"one of two roots":                 {roots: certs(rsaRoot, root), chain: certs(good), key: good.key, length: 1},
		"the root issues itself":           {roots: certs(root), chain: certs(root), key: root.key, length: 1},
		"RSA above EC":                     {roots: certs(rsaRoot), chain: certs(sign(t, "i", rsaRoot, good.key, nil)), key: good.key, length: 1},
		"another key":                      {roots: certs(root), chain: certs(good), key: ec(), refused: "one pair"},
		"a foreign root":                   {roots: certs(rsaRoot), chain: certs(good), key: good.key, refused: "none of the roots signed it"},
		"the middle is missing":            {roots: certs(root), chain: certs(below), key: below.key, refused: "none of the roots signed it"},
		"expired":                          {roots: certs(root), chain: certs(expired), key: expired.key, refused: "expired at"},
		"not valid yet":                    {roots: certs(root), chain: certs(young), key: young.key, refused: "valid only from"},
		"soon expired":                     {roots: certs(root), chain: certs(ending), key: ending.key, warned: "expires at", length: 1},
		"an end-entity certificate":        {roots: certs(root), chain: certs(leaf), key: leaf.key, refused: "not the certificate of a CA"},
		"may not sign certificates":        {roots: certs(root), chain: certs(mute), key: mute.key, refused: "keyCertSign"},
		"no room for leaves":               {roots: certs(tight), chain: certs(cramped), key: cramped.key, refused: "leaves no room"},
		"an expired root":                  {roots: certs(old), chain: certs(belowOld), key: belowOld.key, refused: "does not lead"},
		"an expired root beside":           {roots: certs(root, old), chain: certs(good), key: good.key, warned: "expired at", length: 1},
		"a weak key":                       {roots: certs(root), chain: certs(weak), key: weak.key, refused: "too weak"},
		"a root that is none":              {roots: certs(root, middle), chain: certs(good), key: good.key, warned: "not self-signed", length: 1},
		"an anchor on purpose":             {roots: certs(root, middle), chain: certs(good), key: good.key, more: `, "signet": {"trustAnchors": true}`, length: 1},
		"a leaf among the roots":           {roots: certs(root, leaf), chain: certs(good), key: good.key, refused: "not the certificate of a CA"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, warnings, err := config.LoadPKI(pki(t, c.roots, c.chain, c.key, c.more), nil, time.Now())
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("got %v, want a refusal that says %q", err, c.refused)
				}
				if !strings.HasPrefix(err.Error(), "ca.json:1:") {
					t.Errorf("the refusal has no place: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Chain) != c.length || p.Signer == nil || p.Anchor == nil || len(p.Roots) != len(c.roots) {
				t.Errorf("loaded %+v", p)
			}
			if (c.warned == "") != (len(warnings) == 0) || c.warned != "" && !strings.Contains(warnings[0].Message, c.warned) {
				t.Errorf("warnings %v, want one that says %q", warnings, c.warned)
			}
		})
	}
}

func TestSHA1IsRefused(t *testing.T) {
	t.Parallel()
	read := func(name string) []*x509.Certificate {
		list, err := keys.ReadCertificates(filepath.Join("testdata", "sha1", name))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	key, err := keys.ReadPrivate(filepath.Join("testdata", "sha1", "issuer.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = config.LoadPKI(pki(t, read("root.crt"), read("issuer.crt"), key, ""), nil, time.Now())
	if err == nil || !strings.Contains(err.Error(), "signed with SHA1-RSA") {
		t.Errorf("got %v", err)
	}
}

func TestLoadPKISaysAllAtOnce(t *testing.T) {
	t.Parallel()
	c, _, err := config.Parse("ca.json", []byte("{\n\"root\": \"/no/root\",\n\"crt\": \"/no/crt\",\n\"key\": \"/no/key\",\n\"address\": \":1\", \"authority\": {\"previousIssuers\": [\"/no/old\"]}}"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = config.LoadPKI(c, nil, time.Now())
	var got []string
	for _, complaint := range each(err) {
		got = append(got, fmt.Sprintf("%d %s", complaint.Line, complaint.Path))
	}
	if want := "2 root[0], 3 crt, 4 key, 5 authority.previousIssuers"; strings.Join(got, ", ") != want {
		t.Errorf("complaints about %v, want %s", got, want)
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	root := sign(t, "root", nil, newKey(t, keys.Alg{}), nil)
	issuer := sign(t, "issuer", root, newKey(t, keys.Alg{}), nil)
	locked, err := keys.EncodeEncrypted(issuer.key, []byte("swordfish"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		more string
		pw   keys.Password
		good bool
	}{
		"given":                {pw: keys.FixedPassword([]byte("swordfish")), good: true},
		"configured":           {more: `, "password": "swordfish"`, good: true},
		"wrong":                {pw: keys.FixedPassword([]byte("trout"))},
		"none":                 {},
		"given over the wrong": {more: `, "password": "trout"`, pw: keys.FixedPassword([]byte("swordfish")), good: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := pki(t, certs(root), certs(issuer), issuer.key, c.more)
			write(t, conf.Key, string(locked), 0o600)
			_, _, err := config.LoadPKI(conf, c.pw, time.Now())
			if (err == nil) != c.good {
				t.Errorf("got %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "swordfish") || strings.Contains(err.Error(), "trout")) {
				t.Errorf("the password stands in the refusal: %v", err)
			}
		})
	}
}

func TestKeyModes(t *testing.T) {
	t.Parallel()
	root := sign(t, "root", nil, newKey(t, keys.Alg{}), nil)
	for _, strict := range []bool{false, true} {
		c := pki(t, certs(root), certs(root), root.key, fmt.Sprintf(`, "signet": {"strictPermissions": %v}`, strict))
		if err := os.Chmod(c.Key, 0o640); err != nil {
			t.Fatal(err)
		}
		_, warnings, err := config.LoadPKI(c, nil, time.Now())
		if (err != nil) != strict || (len(warnings) > 0) == strict {
			t.Errorf("strict %v: warnings %v, error %v", strict, warnings, err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"/a/key": "/a/key", "softkms:/a/key": "/a/key", "softkms:path=/a/key": "/a/key", "softkms:key": "key", `C:\key`: `C:\key`,
	} {
		if got := config.KeyFile(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
