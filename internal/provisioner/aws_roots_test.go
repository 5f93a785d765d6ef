package provisioner_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// The certificates built in are Amazon's as it made them: each signed itself, so that not a
// bit of it can be another. crypto/x509 refuses SHA-1, with which one is signed.
func TestAmazonRoots(t *testing.T) {
	t.Parallel()
	roots, err := provisioner.AmazonRoots()
	if err != nil {
		t.Fatal(err)
	}
	for region, all := range roots {
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]$`).MatchString(region) || len(all) != 1 {
			t.Errorf("%q: %d certificates", region, len(all))
		}
		for _, c := range all {
			if c.Subject.String() != c.Issuer.String() || !strings.HasPrefix(strings.Join(c.Subject.Organization, ""), "Amazon") {
				t.Errorf("%s: %s, issued by %s", region, c.Subject, c.Issuer)
			}
			hash, digest := crypto.SHA256, sha256.Sum256(c.RawTBSCertificate)
			sum := digest[:]
			if c.SignatureAlgorithm == x509.SHA1WithRSA {
				old := sha1.Sum(c.RawTBSCertificate)
				hash, sum = crypto.SHA1, old[:]
			}
			if err := rsa.VerifyPKCS1v15(c.PublicKey.(*rsa.PublicKey), hash, sum, c.Signature); err != nil {
				t.Errorf("%s: %v", region, err)
			}
		}
	}
	for _, region := range strings.Fields("us-east-1 us-west-2 eu-central-1 ap-south-2 me-central-1 cn-northwest-1 us-gov-west-1 eusc-de-east-1") {
		if roots[region] == nil {
			t.Errorf("nothing for %s", region)
		}
	}
	if len(roots) != 39 {
		t.Errorf("%d regions", len(roots))
	}
}

// regions is an entry of a list: names, and the certificate of a cloud.
func regions(t *testing.T, names string, cloud *testca.Cloud) string {
	t.Helper()
	text, err := os.ReadFile(cloud.RootsFile)
	if err != nil {
		t.Fatal(err)
	}
	return "Regions: " + names + "\n" + string(text)
}

// SEC-14: a key built in signs documents of its own regions; those of iidRoots sign any.
func TestSEC14_AmazonRegions(t *testing.T) {
	t.Parallel()
	west, east, stranger := testca.NewCloud(t), testca.NewCloud(t), testca.NewCloud(t)
	builtin := open(t, `{"type":"AWS","name":"p"}`)
	if err := provisioner.BuildIn(builtin, regions(t, "us-west-2 eu-west-1", west)+regions(t, "ap-east-1", east)); err != nil {
		t.Fatal(err)
	}
	named := open(t, west.AWS("p", nil))
	for _, c := range []struct {
		p         *provisioner.Provisioner
		cloud     *testca.Cloud
		region    string
		complaint string // "" for none
	}{
		{builtin, west, "us-west-2", ""},
		{builtin, west, "eu-west-1", ""},
		{builtin, east, "ap-east-1", ""},
		{builtin, west, "ap-east-1", "key of another region"},
		{builtin, east, "us-west-2", "key of another region"},
		{builtin, east, "mars-north-1", "iidRoots"},
		{builtin, west, "us-west", "iidRoots"},
		{builtin, stranger, "us-west-2", "no certificate"},
		{builtin, stranger, "mars-north-1", "iidRoots"},
		{named, west, "mars-north-1", ""},
		{named, west, "ap-east-1", ""},
		{named, east, "ap-east-1", "no certificate"},
	} {
		d := testca.Document()
		d["region"] = c.region
		text := []byte(jsonText(t, d))
		token := parsed(t, c.cloud.AmazonTokenOf(text, c.cloud.SignDocument(text), "/1.0/sign#aws/p"))
		_, err := c.p.Verify(t.Context(), provisioner.SignX509, token)
		if (err == nil) != (c.complaint == "") || err != nil && (!fault.Is(err, fault.Unproven) || !strings.Contains(err.Error(), c.complaint)) {
			t.Errorf("%s: %v", c.region, err)
		}
	}
	// With the real list nobody but Amazon signs.
	d := []byte(jsonText(t, testca.Document()))
	if _, err := open(t, `{"type":"AWS","name":"p"}`).Verify(t.Context(), provisioner.SignX509,
		parsed(t, west.AmazonTokenOf(d, west.SignDocument(d), "/1.0/sign#aws/p"))); !fault.Is(err, fault.Unproven) {
		t.Errorf("signed by a stranger: %v", err)
	}
}

// A list with anything but one certificate for some regions is refused.
func TestAmazonRegionsMalformed(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	entry := regions(t, "us-west-2", cloud)
	for _, list := range []string{"Regions: us-west-2\n", regions(t, "", cloud), entry + strings.TrimPrefix(entry, "Regions: us-west-2\n"),
		strings.Replace(entry, "MII", "MIA", 1)} {
		if err := provisioner.BuildIn(open(t, `{"type":"AWS","name":"p"}`), list); err == nil {
			t.Errorf("accepted: %s", list)
		}
	}
}

// The end of a certificate is told of ninety days ahead, and is no refusal.
func TestAmazonRootsDue(t *testing.T) {
	t.Parallel()
	key := testca.RSA(t, 2048)
	entry := func(names string, end time.Time) string {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: end.AddDate(-2, 0, 0), NotAfter: end}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return "Regions: " + names + "\n" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	now := time.Now()
	list := entry("a-b-1", now.AddDate(0, 0, 89)) + entry("c-d-1 e-f-1", now.AddDate(0, 0, -5)) + entry("g-h-1", now.AddDate(0, 0, 95))
	p := open(t, `{"type":"AWS","name":"p","accounts":["1"],"disableCustomSANs":true}`)
	before := len(p.Warnings())
	if err := provisioner.BuildIn(p, list); err != nil {
		t.Fatal(err)
	}
	w := p.Warnings()
	if len(w) != before+1 || !strings.Contains(w[before], "a-b-1, c-d-1, e-f-1 end soon") || !strings.Contains(w[before], now.AddDate(0, 0, -5).UTC().Format(time.DateOnly)) {
		t.Errorf("warnings %q", w)
	}
	file := filepath.Join(t.TempDir(), "iid.pem")
	if err := os.WriteFile(file, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	p = open(t, `{"type":"AWS","name":"p","accounts":["1"],"disableCustomSANs":true,"iidRoots":`+jsonText(t, file)+`}`)
	if w := p.Warnings(); p.Disabled() != nil || len(w) != before+1 || !strings.Contains(w[before], "iidRoots end soon") {
		t.Errorf("%v, warnings %q", p.Disabled(), w)
	}
}

// The AWS provisioner of the documents, which has no iidRoots, works as it is written.
func TestAmazonWithoutRoots(t *testing.T) {
	t.Parallel()
	p := open(t, `{"type":"AWS","name":"Amazon Web Services","accounts":["123456789042"],"disableCustomSANs":false,"disableTrustOnFirstUse":false,"instanceAge":"1h",
		"claims":{"maxTLSCertDuration":"2160h","defaultTLSCertDuration":"2160h"}}`)
	if err := p.Disabled(); err != nil {
		t.Error(err)
	}
}
