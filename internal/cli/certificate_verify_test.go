package cli_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-ca/signet/internal/keys"
)

// list makes a revocation list; change may bend it.
func (a *authority) list(change func(*x509.RevocationList), serials ...*big.Int) []byte {
	a.t.Helper()
	now := time.Now()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour)}
	for _, serial := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: serial, RevocationTime: now.Add(-time.Minute), ReasonCode: 1})
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// scope is an issuing distribution point extension.
func scope(t *testing.T, point any) func(*x509.RevocationList) {
	t.Helper()
	value, err := asn1.Marshal(point)
	if err != nil {
		t.Fatal(err)
	}
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: value}}
	}
}

func TestVerifyChain(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	middle := &authority{t: t}
	middle.cert, middle.key = ca.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Middle"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	leaf, key := middle.make(&x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}, DNSNames: []string{"leaf.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}})
	old, _ := ca.make(&x509.Certificate{Subject: pkix.Name{CommonName: "old"}, NotBefore: time.Now().Add(-3 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})

	w := newWorld(t)
	root := w.file("root.crt", string(keys.EncodeCertificates(ca.cert)))
	issuer := w.file("middle.crt", string(keys.EncodeCertificates(middle.cert)))
	alone := w.file("leaf.crt", string(keys.EncodeCertificates(leaf)))
	chain := w.file("chain.crt", string(keys.EncodeCertificates(leaf, middle.cert)))
	expired := w.file("old.crt", string(keys.EncodeCertificates(old)))
	address := serve(t, leaf, key)
	for _, c := range []struct {
		proves, line   string
		code           int
		stdout, stderr string
	}{
		{"a chain is good, silently", chain + " --roots " + root, 0, "", ""},
		{"the issuer may be given apart", alone + " --roots " + root + " --issuing-ca " + issuer + " -v", 0, "certificate is signed by a trusted root\ncertificate is valid\n", ""},
		{"the host name is checked", chain + " --roots " + root + " --host leaf.example -v", 0, "host name", ""},
		{"an IP address is a host too", chain + " --roots " + root + " --host 127.0.0.1", 0, "", ""},
		{"another host name", chain + " --roots " + root + " --host other.example", 1, "", "leaf.example, not other.example"},
		{"a gap in the chain", alone + " --roots " + root, 1, "", "--issuing-ca"},
		{"an unknown root", chain, 1, "", "--roots"},
		{"the root itself", root + " --roots " + root, 0, "", ""},
		{"an expired one", expired + " --roots " + root, 1, "", "expired"},
		{"as JSON", chain + " --roots " + root + " --json", 0, `"checks": [`, ""},
		{"a server must hold its chain", "https://" + address + " --roots " + root, 1, "", "--issuing-ca"},
		{"a server, with its name", "https://" + address + " --roots " + root + " --issuing-ca " + issuer + " -v", 0, "host name", ""},
		{"a server by another name", "https://" + address + " --servername other.example --roots " + root + " --issuing-ca " + issuer, 1, "", "not other.example"},
		{"a server, whatever its name", "https://" + address + " --servername other.example --insecure --roots " + root + " --issuing-ca " + issuer, 0, "", ""},
		{"no list without asking for it", chain + " --crl-endpoint http://x", 1, "", "--crl-endpoint requires flag --verify-crl"},
		{"no list to look at", chain + " --verify-crl --roots " + root, 1, "", "--crl-endpoint"},
		{"no responder to ask", chain + " --verify-ocsp --roots " + root, 1, "", "--ocsp-endpoint"},
	} {
		t.Run(c.proves, func(t *testing.T) {
			if code := w.run(t.Context(), append([]string{"certificate", "verify"}, strings.Fields(c.line)...)...); code != c.code {
				t.Errorf("exit code %d, want %d; %s", code, c.code, &w.stderr)
			}
			if c.stdout == "" && w.stdout.Len() > 0 || !strings.Contains(w.stdout.String(), c.stdout) || !strings.Contains(w.stderr.String(), c.stderr) {
				t.Errorf("stdout %q, stderr %q; want %q and %q", &w.stdout, &w.stderr, c.stdout, c.stderr)
			}
		})
	}
}

// TestVerifyCRL proves that a list counts only if it is the issuer's, fresh, and about
// the certificate (RFC 5280, Section 6.3.3).
func TestVerifyCRL(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	served := map[string][]byte{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/loop" {
			http.Redirect(w, r, "/loop", http.StatusFound)
			return
		}
		data, ok := served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(server.Close)
	leaf, _ := ca.make(&x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}, CRLDistributionPoints: []string{"ldap://x/y", server.URL + "/gone", server.URL + "/good"}})
	flag := func(tag string) any {
		switch tag {
		case "user":
			return struct {
				On bool `asn1:"tag:1"`
			}{true}
		case "ca":
			return struct {
				On bool `asn1:"tag:2"`
			}{true}
		}
		return struct {
			On bool `asn1:"tag:4"`
		}{true}
	}
	now := time.Now()
	served["/good"] = ca.list(nil, big.NewInt(3))
	served["/pem"] = append([]byte("some text\n"), pemCRL(ca.list(nil, big.NewInt(3)))...)
	served["/revoked"] = ca.list(nil, big.NewInt(3), leaf.SerialNumber)
	served["/other"] = other.list(nil)
	served["/old"] = ca.list(func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = now.Add(-2*time.Hour), now.Add(-time.Hour) })
	served["/future"] = ca.list(func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = now.Add(time.Hour), now.Add(2*time.Hour) })
	served["/user"] = ca.list(scope(t, flag("user")))
	served["/ca"] = ca.list(scope(t, flag("ca")))
	served["/indirect"] = ca.list(scope(t, flag("indirect")))
	served["/delta"] = ca.list(func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
	})
	served["/junk"] = []byte("junk")

	w := newWorld(t)
	root := w.file("root.crt", string(keys.EncodeCertificates(ca.cert)))
	file := w.file("leaf.crt", string(keys.EncodeCertificates(leaf)))
	for path, want := range map[string]string{
		"":          "",
		"/good":     "",
		"/pem":      "",
		"/user":     "",
		"/revoked":  "was revoked at .* (keyCompromise)",
		"/other":    "its signature is not that of",
		"/old":      "too old",
		"/future":   "still to come",
		"/ca":       "only certificates of CAs",
		"/indirect": "not understood",
		"/delta":    "not understood",
		"/junk":     "malformed",
		"/none":     "404",
		"/loop":     "too many redirects",
	} {
		args := []string{"certificate", "verify", file, "--roots", root, "--verify-crl", "-v"}
		if path != "" {
			args = append(args, "--crl-endpoint", server.URL+path)
		}
		code := w.run(t.Context(), args...)
		switch {
		case want == "" && (code != 0 || !strings.Contains(w.stdout.String(), "not on the revocation list")):
			t.Errorf("%q: exit code %d: %s%s", path, code, &w.stdout, &w.stderr)
		case want != "" && (code != 1 || !containsAll(w.stderr.String(), strings.Split(want, ".*"))):
			t.Errorf("%q: exit code %d: %s; want %q", path, code, &w.stderr, want)
		}
	}
}

func pemCRL(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// TestVerifyOCSP proves that an answer counts only if the issuer or a responder it named
// signed it, and if it is fresh (RFC 6960, Section 3.2).
func TestVerifyOCSP(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	leaf, leafKey := ca.make(&x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}})
	responder, responderKey := ca.make(&x509.Certificate{Subject: pkix.Name{CommonName: "OCSP"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}})
	past, pastKey := ca.make(&x509.Certificate{Subject: pkix.Name{CommonName: "OCSP"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		NotBefore: time.Now().Add(-3 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	now := time.Now()
	good := ocsp.Response{Status: ocsp.Good, SerialNumber: leaf.SerialNumber, ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour)}
	type answer struct {
		change func(*ocsp.Response)
		cert   *x509.Certificate
		key    *ecdsa.PrivateKey
		want   string
	}
	answers := map[string]answer{
		"/good":      {nil, ca.cert, ca.key, ""},
		"/delegated": {func(r *ocsp.Response) { r.Certificate = responder }, responder, responderKey, ""},
		"/usurper":   {func(r *ocsp.Response) { r.Certificate = leaf }, leaf, leafKey, "may not sign answers"},
		"/past":      {func(r *ocsp.Response) { r.Certificate = past }, past, pastKey, "not valid now"},
		"/other":     {nil, other.cert, other.key, "bad OCSP signature"},
		"/revoked":   {func(r *ocsp.Response) { r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, now, 4 }, ca.cert, ca.key, "(superseded)"},
		"/unknown":   {func(r *ocsp.Response) { r.Status = ocsp.Unknown }, ca.cert, ca.key, "doesn't know"},
		"/old":       {func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = now.Add(-2*time.Hour), now.Add(-time.Hour) }, ca.cert, ca.key, "too old"},
		"/future":    {func(r *ocsp.Response) { r.ThisUpdate = now.Add(time.Hour) }, ca.cert, ca.key, "still to come"},
		"/serial":    {func(r *ocsp.Response) { r.SerialNumber = big.NewInt(77) }, ca.cert, ca.key, "no response matching"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, _ := io.ReadAll(r.Body)
		asked, err := ocsp.ParseRequest(question)
		a, ok := answers[r.URL.Path]
		if err != nil || !ok || asked.SerialNumber.Cmp(leaf.SerialNumber) != 0 || r.Header.Get("Content-Type") != "application/ocsp-request" {
			http.Error(w, "?", http.StatusBadRequest)
			return
		}
		response := good
		if a.change != nil {
			a.change(&response)
		}
		der, err := ocsp.CreateResponse(ca.cert, a.cert, response, a.key)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Write(der)
	}))
	t.Cleanup(server.Close)

	w := newWorld(t)
	root := w.file("root.crt", string(keys.EncodeCertificates(ca.cert)))
	file := w.file("leaf.crt", string(keys.EncodeCertificates(leaf)))
	check := func(path, want string) {
		code := w.run(t.Context(), "certificate", "verify", file, "--roots", root, "--verify-ocsp", "--ocsp-endpoint", server.URL+path, "-v")
		switch {
		case want == "" && (code != 0 || !strings.Contains(w.stdout.String(), "OCSP")):
			t.Errorf("%s: exit code %d: %s%s", path, code, &w.stdout, &w.stderr)
		case want != "" && (code != 1 || !strings.Contains(w.stderr.String(), want)):
			t.Errorf("%s: exit code %d: %s; want %q", path, code, &w.stderr, want)
		}
	}
	for path, a := range answers {
		check(path, a.want)
	}
	check("/none", "400")
}

// TestCRLInspectFrom proves that list and issuer are found behind a server's certificate.
func TestCRLInspectFrom(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	list := ca.list(nil, big.NewInt(3))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(list) }))
	t.Cleanup(web.Close)
	leaf, key := ca.make(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, CRLDistributionPoints: []string{web.URL}})
	address := serve(t, leaf, key)
	w := newWorld(t)
	root := w.file("root.crt", string(keys.EncodeCertificates(ca.cert)))
	stranger := w.file("other.crt", string(keys.EncodeCertificates(other.cert)))
	run := func(code int, stdout, stderr string, args ...string) {
		t.Helper()
		got := w.run(context.Background(), append([]string{"crl", "inspect"}, args...)...)
		if got != code || !strings.Contains(w.stdout.String(), stdout) || !strings.Contains(w.stderr.String(), stderr) {
			t.Errorf("%q: exit code %d, stdout %s, stderr %s", args, got, &w.stdout, &w.stderr)
		}
	}
	run(0, "    Signature: valid\n", "", "--from", "https://"+address, "--roots", root)
	run(0, "    Signature: not checked\n", "", web.URL)
	run(0, "    Signature: valid\n", "", web.URL, "--ca", root)
	run(1, "    Signature: not valid", "not valid", web.URL, "--ca", stranger)
	run(1, "", "--from needs the URL of a server", "--from", root)
}
