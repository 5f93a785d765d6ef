package acme_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/signet-ca/signet/internal/testca"
)

// What is in a certificate besides its names, for each kind of key and what the provisioner says.
func TestCertificateShape(t *testing.T) {
	t.Parallel()
	template := `{"subject": {"commonName": {{ toJson .Subject.CommonName }}, "organization": {{ toJson .Insecure.CR.Subject.Organization }}},
		"sans": {{ toJson .SANs }}, "keyUsage": ["digitalSignature"], "extKeyUsage": ["serverAuth"]}`
	for _, tt := range []struct {
		name      string
		more      map[string]any // of the provisioner
		key       crypto.Signer
		usage     x509.KeyUsage
		org       string
		extension bool
	}{
		{"an EC key", nil, testca.P256(t), x509.KeyUsageDigitalSignature, "", true},
		{"an RSA key", nil, testca.RSA(t, 2048), x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, "", true},
		{"an Ed25519 key", nil, testca.Ed25519(t), x509.KeyUsageDigitalSignature, "", true},
		{"without the provisioner's extension", map[string]any{"claims": map[string]any{"disableSmallstepExtensions": true}}, testca.P256(t), x509.KeyUsageDigitalSignature, "", false},
		{"a template that reads the request", map[string]any{"options": map[string]any{"x509": map[string]any{"template": template}}}, testca.P256(t), x509.KeyUsageDigitalSignature, "Acme Co", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newWorld(t, tt.more).newClient()
			o := c.ready("b.example", "a.example")
			der := request(t, tt.key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "B.Example", Organization: []string{"Acme Co"}, Country: []string{"XX"}}, DNSNames: []string{"a.example", "b.example"}})
			c.finalize(o, der).want(http.StatusOK).into(o)
			chain := c.download(o)
			leaf := chain[0]
			if len(chain) != 2 || !chain[1].Equal(c.ca.Intermediate) {
				t.Errorf("a chain of %d certificates; leaf and intermediate, without the root, are expected", len(chain))
			}
			if leaf.Subject.CommonName != "B.Example" || strings.Join(leaf.Subject.Organization, "") != tt.org || len(leaf.Subject.Country) > 0 {
				t.Errorf("subject %s", leaf.Subject)
			}
			if got := strings.Join(leaf.DNSNames, " "); got != "a.example b.example" || leaf.KeyUsage != tt.usage || leaf.IsCA {
				t.Errorf("names %q, usage %b, CA %t", got, leaf.KeyUsage, leaf.IsCA)
			}
			if tt.org == "" && (len(leaf.ExtKeyUsage) != 2 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth || leaf.ExtKeyUsage[1] != x509.ExtKeyUsageClientAuth) {
				t.Errorf("extended usage %v", leaf.ExtKeyUsage)
			}
			var said struct {
				Type       int
				Name       []byte
				Credential []byte
			}
			found := false
			for _, ext := range leaf.Extensions {
				if ext.Id.String() == "1.3.6.1.4.1.37476.9000.64.1" {
					found = true
					if _, err := asn1.Unmarshal(ext.Value, &said); err != nil || said.Type != 6 || string(said.Name) != "acme" || len(said.Credential) > 0 {
						t.Errorf("extension %x: %+v, %v", ext.Value, said, err)
					}
				}
			}
			if found != tt.extension {
				t.Errorf("the certificate names its provisioner: %t", found)
			}
		})
	}
}

// The chain is the same whatever a client says it would like.
func TestAcceptIsIgnored(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	o, _, _ := c.certificate("a.example")
	for _, accept := range []string{"application/pkix-cert", "application/pkcs7-mime", "text/html", "*/*", ""} {
		text, _ := json.Marshal(sign(t, c.key, c.header(o.Certificate), ""))
		req, err := http.NewRequest(http.MethodPost, o.Certificate, strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/jose+json")
		req.Header.Set("Accept", accept)
		if r := c.do(req).want(http.StatusOK); r.header.Get("Content-Type") != "application/pem-certificate-chain" {
			t.Errorf("Accept %q: %v", accept, r.header)
		}
	}
}

// Webhooks that are asked about certificates refuse with their own code and words, before and
// after the certificate is drafted, and hear no secret. The order stays ready.
func TestHooksAtTheEnd(t *testing.T) {
	t.Parallel()
	for kind, code := range map[string]string{"ENRICHING": "not-in-inventory", "AUTHORIZING": "NO_2"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			var mu sync.Mutex
			answer, heard := "", ""
			own := w.ca.Foreign("hook.example", w.ca.Intermediate, w.ca.IntermediateKey, func(l *x509.Certificate) { l.IPAddresses = []net.IP{{127, 0, 0, 1}} })
			hooks := httptest.NewUnstartedServer(http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				heard += string(body)
				_, _ = io.WriteString(res, answer)
			}))
			hooks.TLS = &tls.Config{Certificates: []tls.Certificate{own.TLS()}}
			hooks.StartTLS()
			t.Cleanup(hooks.Close)
			w.ca.Reload(withACME(map[string]any{"options": map[string]any{"webhooks": []any{map[string]any{"name": "gate", "url": hooks.URL, "kind": kind,
				"secret": base64.StdEncoding.EncodeToString(make([]byte, 32))}}}}))
			c := w.newClient()
			o := c.ready("hook.example")
			token := c.readAuthz(o.Authorizations[0]).Challenges[0].Token
			for _, tt := range []struct{ answer, code, words string }{
				{`{"allow":false,"error":{"code":"` + code + `","message":"host is not ours"}}`, code, "host is not ours"},
				{`{"allow":false,"error":{"code":"a:b\u0000 c/../d","message":"odd"}}`, "denied", "odd"},
				{`{"allow":false}`, "denied", "gate"},
				{`nonsense`, "denied", "gate"},
			} {
				mu.Lock()
				answer = tt.answer
				mu.Unlock()
				p := c.finalize(o, csrFor(t, "hook.example")).refused(403, "unauthorized").problem()
				if len(p.Subproblems) != 1 || p.Subproblems[0].Type != "urn:smallstep:acme:error:"+tt.code ||
					!strings.Contains(p.Subproblems[0].Detail, tt.words) || !strings.Contains(p.Detail, tt.words) {
					t.Errorf("%s: problem %+v", tt.answer, p)
				}
				if o := c.readOrder(o.url); o.Status != "ready" {
					t.Errorf("order %s", o.Status)
				}
			}
			mu.Lock()
			answer = `{"allow":true}`
			mu.Unlock()
			c.finalize(o, csrFor(t, "hook.example")).want(http.StatusOK)
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(heard, token) || !strings.Contains(heard, "hook.example") {
				t.Errorf("the webhook heard %s", heard)
			}
		})
	}
}
