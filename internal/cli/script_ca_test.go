package cli_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-ca/signet/internal/keys"
)

// quickPassword opens the keys of a quick CA; it is in pw.txt.
const quickPassword = "pw of the story"

// quickCA makes the files of a CA in the home of a script, and the variable PORT: what `ca
// init` does, but with passwords that are fast to check, so that a story can use them often.
// The server serves any name for a second or longer. Its provisioner is ops; with the
// argument two there are also dev, whose private key is in dev.json alone, and an ACME one.
func quickCA(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: quickca [two]")
	}
	home := filepath.Join(ts.Getenv("HOME"), ".signet")
	put := func(name string, data []byte) string {
		path := filepath.Join(home, filepath.FromSlash(name))
		if filepath.IsAbs(name) {
			path = name
		}
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
		ts.Check(os.WriteFile(path, data, 0o600))
		return path
	}
	root, rootKey := quickIssuer(ts, "Root CA", nil, nil)
	issuer, issuerKey := quickIssuer(ts, "Intermediate CA", root, rootKey)
	keyPEM, err := keys.EncodePrivate(issuerKey)
	ts.Check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	ts.Setenv("PORT", port)
	ts.Check(l.Close())

	provisioners := []any{quickProvisioner(ts, "ops", "")}
	put(ts.MkAbs("pw.txt"), []byte(quickPassword+"\n"))
	if len(args) == 1 {
		provisioners = append([]any{quickProvisioner(ts, "dev", ts.MkAbs("dev.json"))}, provisioners...)
		provisioners = append(provisioners, map[string]string{"type": "ACME", "name": "acme"})
	}
	config, err := json.Marshal(map[string]any{
		"root":     put("certs/root_ca.crt", keys.EncodeCertificates(root)),
		"crt":      put("certs/intermediate_ca.crt", keys.EncodeCertificates(issuer)),
		"key":      put("secrets/intermediate_ca_key", keyPEM),
		"address":  "127.0.0.1:" + port,
		"dnsNames": []string{"127.0.0.1"},
		"logger":   map[string]string{"format": "text"},
		"db":       map[string]string{"type": "sqlite", "dataSource": filepath.Join(home, "db")},
		"authority": map[string]any{
			"claims":       map[string]any{"minTLSCertDuration": "1s", "allowRenewalAfterExpiry": true},
			"provisioners": provisioners,
		},
	})
	ts.Check(err)
	put("config/ca.json", config)
	put("config/defaults.json", fmt.Appendf(nil, `{"ca-url": "https://127.0.0.1:%s"}`, port))
	ts.Check(os.MkdirAll(filepath.Join(home, "db"), 0o700))
}

func quickIssuer(ts *testscript.TestScript, name string, parent *x509.Certificate, parentKey crypto.Signer) (*x509.Certificate, crypto.Signer) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	ts.Check(err)
	cert, err := x509.ParseCertificate(der)
	ts.Check(err)
	return cert, key
}

// quickProvisioner is a JWK provisioner. Its private key, which takes the least work to
// decrypt that is accepted, is kept by the CA, or in a file.
func quickProvisioner(ts *testscript.TestScript, name, file string) map[string]any {
	key, err := keys.Alg{}.Generate()
	ts.Check(err)
	private, err := keys.NewPrivateJWK(key)
	ts.Check(err)
	plain, err := keys.MarshalJWK(private)
	ts.Check(err)
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{
		Algorithm: jose.PBES2_HS256_A128KW, Key: []byte(quickPassword), PBES2Count: 1000}, nil)
	ts.Check(err)
	jwe, err := encrypter.Encrypt(plain)
	ts.Check(err)
	sealed, err := jwe.CompactSerialize()
	ts.Check(err)
	p := map[string]any{"type": "JWK", "name": name, "key": private.Public()}
	if file == "" {
		p["encryptedKey"] = sealed
	} else {
		ts.Check(os.WriteFile(file, []byte(sealed), 0o600))
		ts.Setenv("KID", private.KeyID)
	}
	return p
}
