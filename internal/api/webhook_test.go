package api_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// hookSecret is the key of the signatures, 64 bytes as the CA's own tool draws them.
var hookSecret = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 64))

// hookServer is the operator's server: TLS by a certificate of the CA, asking for one.
type hookServer struct {
	*httptest.Server
	answer func(path string, body map[string]any) (int, string)

	mu    sync.Mutex
	calls []hookCall
}

type hookCall struct {
	path   string
	header http.Header
	raw    []byte
	body   map[string]any
	client string // common name of the TLS client certificate
}

func newHookServer(t *testing.T, c *testca.CA, answer func(path string, body map[string]any) (int, string)) *hookServer {
	t.Helper()
	h := &hookServer{answer: answer}
	own := c.Foreign("hook.example", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) { l.IPAddresses = []net.IP{{127, 0, 0, 1}} })
	h.Server = httptest.NewUnstartedServer(h)
	h.Config.ErrorLog = nil
	h.TLS = &tls.Config{Certificates: []tls.Certificate{own.TLS()}, ClientAuth: tls.RequestClientCert}
	h.StartTLS()
	t.Cleanup(h.Close)
	return h
}

func (h *hookServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	call := hookCall{path: r.URL.RequestURI(), header: r.Header, raw: raw}
	_ = json.Unmarshal(raw, &call.body)
	if len(r.TLS.PeerCertificates) > 0 {
		call.client = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	h.mu.Lock()
	h.calls = append(h.calls, call)
	h.mu.Unlock()
	status, text := h.answer(r.URL.Path, call.body)
	if status == http.StatusFound {
		w.Header().Set("Location", text)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (h *hookServer) seen() []hookCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// hook is the JSON of a webhook of this server.
func (h *hookServer) hook(name, path string, more map[string]any) map[string]any {
	w := map[string]any{"name": name, "url": h.URL + path, "kind": "ENRICHING", "secret": hookSecret, "id": "id-of-" + name}
	for k, v := range more {
		w[k] = v
	}
	return w
}

// with puts webhooks beside further options.
func withHooks(t *testing.T, rest string, hooks ...map[string]any) func(*testca.Setup) {
	t.Helper()
	o := map[string]any{}
	if rest != "" {
		if err := json.Unmarshal([]byte(rest), &o); err != nil {
			t.Fatal(err)
		}
	}
	o["webhooks"] = hooks
	return options(jsonOf(t, o))
}

func allow(string, map[string]any) (int, string) { return 200, `{"allow":true}` }

func TestEnrichingWebhook(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := newHookServer(t, c, func(path string, _ map[string]any) (int, string) {
		if strings.HasPrefix(path, "/people/") {
			return 200, `{"allow":true,"data":{"team":"red \"x\"","path":"next"}}`
		}
		return 200, `{"allow":true,"data":["second"]}`
	})
	c.Reload(withHooks(t, `{"x509":{"template":"{\"subject\":{\"commonName\":{{ toJson .Subject.CommonName }},\"organizationalUnit\":{{ toJson (list .Webhooks.people.team (index .Webhooks.more 0)) }}},\"sans\":{{ toJson .SANs }}}"}}`,
		h.hook("people", "/people/{{ .Token.sub }}?q={{ .Subject.CommonName }}&x=1", map[string]any{"bearerToken": "t0ken"}),
		h.hook("more", "/{{ .Webhooks.people.path }}", map[string]any{"kind": "enriching", "disableTLSClientAuth": true, "basicAuth": map[string]any{"username": "u", "password": "p"}}),
		h.hook("ssh-only", "/ssh", map[string]any{"certType": "ssh"})))
	subject := "a/../b&c d.example"
	key := testca.P256(t)
	csr := testca.CSR(t, key, "")
	leaf := c.Sign(csr, c.Token(subject, testca.SANs("a.example"))).Chain()[0]
	ou := slices.Sorted(slices.Values(leaf.Subject.OrganizationalUnit))
	if diff := cmp.Diff([]string{`red "x"`, "second"}, ou); diff != "" {
		t.Error(diff)
	}
	calls := h.seen()
	if len(calls) != 2 {
		t.Fatalf("%d calls", len(calls))
	}
	first := calls[0]
	if first.path != "/people/a%2F..%2Fb%26c%20d.example?q=a%2F..%2Fb%26c%20d.example&x=1" || calls[1].path != "/next" {
		t.Errorf("paths %s, %s", first.path, calls[1].path)
	}
	secret, _ := base64.StdEncoding.DecodeString(hookSecret)
	mac := hmac.New(sha256.New, secret)
	mac.Write(first.raw)
	for name, want := range map[string]string{"X-Smallstep-Signature": hex.EncodeToString(mac.Sum(nil)), "X-Smallstep-Webhook-ID": "id-of-people",
		"Authorization": "Bearer t0ken", "Content-Type": "application/json"} {
		if got := first.header.Get(name); got != want || got == "" {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := calls[1].header.Get("Authorization"); got != "Basic dTpw" {
		t.Errorf("second authorization %q", got)
	}
	if first.client != "Test Online CA" || calls[1].client != "" {
		t.Errorf("client certificates %q and %q", first.client, calls[1].client)
	}
	request, _ := first.body["x509CertificateRequest"].(map[string]any)
	if first.body["provisionerName"] != testca.Provisioner || request["raw"] != base64.StdEncoding.EncodeToString(testca.DER(t, csr)) || request["publicKeyAlgorithm"] != "ECDSA" {
		t.Errorf("body %s", first.raw)
	}
	if strings.Contains(string(first.raw), "ott") {
		t.Error("the token was sent along")
	}
}

func TestAuthorizingWebhook(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	refuse := false
	h := newHookServer(t, c, func(string, map[string]any) (int, string) {
		if refuse {
			return 200, `{"allow":false,"error":{"code":"X1","message":"no\nway"}}`
		}
		return 200, `{"allow":true,"data":{"ignored":1}}`
	})
	c.Reload(withHooks(t, "", h.hook("gate", "/gate", map[string]any{"kind": "authorizing", "certType": "x509"})))
	leaf := c.Issue("a.example", "10.0.0.1").Leaf()
	body := h.seen()[0].body
	tbs, _ := base64.StdEncoding.DecodeString(body["tbs"].(string))
	if !bytes.Equal(tbs, leaf.RawTBSCertificate) {
		t.Error("tbs is not what was signed")
	}
	cert := body["x509Certificate"].(map[string]any)
	want := map[string]any{"subject": map[string]any{"commonName": "a.example"}, "dnsNames": nil, "keyUsage": []any{"digitalSignature"},
		"extKeyUsage": []any{"serverAuth", "clientAuth"}, "raw": nil, "publicKeyAlgorithm": "ECDSA", "issuer": map[string]any{}, "serialNumber": nil,
		"sans": []any{map[string]any{"type": "dns", "value": "a.example"}, map[string]any{"type": "ip", "value": "10.0.0.1"}}}
	for name, value := range want {
		if diff := cmp.Diff(value, cert[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	refuse = true
	token := c.Token("b.example")
	csr := testca.CSR(t, testca.P256(t), "")
	if a := c.Sign(csr, token).Want(403); !strings.Contains(a.Message(), "no way (X1)") {
		t.Errorf("message %q", a.Message())
	}
	if n := len(certificates(t, c)); n != 1 {
		t.Errorf("%d certificates on record", n)
	}
	refuse = false
	c.Sign(csr, token).Want(201) // a refusal does not spend the token
	holder := c.Issue("c.example")
	before := len(h.seen())
	c.Do(testca.Call{Method: "POST", Path: "/1.0/renew", As: holder}).Want(201)
	if got := len(h.seen()); got != before {
		t.Error("a renewal asked the webhook")
	}
}

// What a webhook's server does wrong is a refusal, in words that tell nothing of it.
func TestWebhookTrouble(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		status     int
		want       string
		calls      int
	}{
		{"a status that refuses", "secret internals", 418, "status 418", 1},
		{"a broken server, tried twice", "secret internals", 503, "status 503", 2},
		{"no JSON", "secret internals", 200, "could not be asked", 1},
		{"no permission", `{}`, 200, "refused", 1},
		{"a permission of another type", `{"allow":"true"}`, 200, "could not be asked", 1},
		{"a redirect", "https://secret.internals/", 302, "status 302", 1},
		{"too long an answer", `{"allow":true,"data":"` + strings.Repeat("x", 1<<20) + `"}`, 200, "could not be asked", 1},
	} {
		for _, kind := range []string{"ENRICHING", "AUTHORIZING"} {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				t.Parallel()
				office := testca.New(t)
				h := newHookServer(t, office, func(string, map[string]any) (int, string) { return c.status, c.text })
				office.Reload(withHooks(t, "", h.hook("gate", "/gate", map[string]any{"kind": kind})))
				a := office.Sign(testca.CSR(t, testca.P256(t), ""), office.Token("a.example")).Want(403)
				if m := a.Message(); !strings.Contains(m, c.want) || strings.Contains(m, "secret") || strings.Contains(m, "127.0.0.1") {
					t.Errorf("message %q", m)
				}
				if got := len(h.seen()); got != c.calls {
					t.Errorf("%d calls, want %d", got, c.calls)
				}
				if len(certificates(t, office)) != 0 {
					t.Error("something was issued")
				}
			})
		}
	}
}

func TestWebhookThatIsAway(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := newHookServer(t, c, allow)
	c.Reload(withHooks(t, "", h.hook("gate", "/gate", nil)))
	h.Close()
	a := c.Sign(testca.CSR(t, testca.P256(t), ""), c.Token("a.example")).Want(403)
	if m := a.Message(); !strings.Contains(m, "could not be asked") || strings.Contains(m, "127.0.0.1") {
		t.Errorf("message %q", m)
	}
	if !strings.Contains(c.Log.String(), "connect") {
		t.Error("the log does not say what was wrong")
	}
}

// A request beyond its proof never reaches a webhook.
func TestWebhookIsNotAskedAboutRefusedRequests(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := newHookServer(t, c, allow)
	c.Reload(withHooks(t, `{"x509":{"deny":{"dns":["evil.example"]}}}`, h.hook("first", "/1", nil), h.hook("last", "/2", map[string]any{"kind": "AUTHORIZING"})))
	c.Sign(testca.CSR(t, testca.P256(t), "other.example"), c.Token("a.example")).Want(403)
	if got := len(h.seen()); got != 0 {
		t.Errorf("%d calls for a request that its proof does not cover", got)
	}
	c.Sign(testca.CSR(t, testca.P256(t), ""), c.Token("evil.example")).Want(403)
	if got := len(h.seen()); got != 1 {
		t.Errorf("%d calls for a name the policy denies, want the enriching one", got)
	}
}

// Turning a webhook off ends its calls with the reload.
func TestSEC18_WebhookTurnedOff(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := newHookServer(t, c, func(string, map[string]any) (int, string) { return 200, `{"allow":false}` })
	c.Reload(withHooks(t, "", h.hook("gate", "/gate", nil)))
	c.Sign(testca.CSR(t, testca.P256(t), ""), c.Token("a.example")).Want(403)
	c.Reload()
	c.Sign(testca.CSR(t, testca.P256(t), ""), c.Token("a.example")).Want(201)
	if got := len(h.seen()); got != 1 {
		t.Errorf("%d calls", got)
	}
}

// sshOffice gives a CA keys for SSH certificates.
func sshOffice(t *testing.T) func(*testca.Setup) {
	t.Helper()
	user, err := issue.NewLocalSSH(testca.P256(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	host, err := issue.NewLocalSSH(testca.P256(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(s *testca.Setup) {
		if s.Member == nil {
			s.Member = map[string]any{}
		}
		s.Member["claims"] = map[string]any{"enableSSHCA": true}
		s.State = func(st *ca.State) { st.SSH = &ca.SSHState{User: user, Host: host} }
	}
}

// sshSign asks for an SSH certificate.
func sshSign(t *testing.T, c *testca.CA, claim, more map[string]any) *testca.Answer {
	t.Helper()
	key, err := ssh.NewPublicKey(testca.P256(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]any{"publicKey": base64.StdEncoding.EncodeToString(key.Marshal()),
		"ott": c.Token("ann", testca.Audience("https://localhost:9000/1.0/ssh/sign"), testca.Claim("step", map[string]any{"ssh": claim}))}
	for k, v := range more {
		body[k] = v
	}
	return c.Post("/1.0/ssh/sign", body)
}

func sshCertificate(t *testing.T, a *testca.Answer) *ssh.Certificate {
	t.Helper()
	a.Want(201)
	var body struct{ Crt []byte }
	a.JSON(&body)
	key, err := ssh.ParsePublicKey(body.Crt)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ssh.Certificate)
}

func TestSSHTemplateWithWebhooks(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := newHookServer(t, c, func(path string, _ map[string]any) (int, string) {
		if path == "/net" {
			return 200, `{"allow":true,"data":{"cidr":"10.0.0.0/8"}}`
		}
		return 200, `{"allow":true}`
	})
	template := `{"type":{{ toJson .Type }},"keyId":{{ toJson .KeyID }},"principals":{{ toJson (append .Principals .Insecure.User.extra) }},
		"extensions":{{ toJson .Extensions }},"criticalOptions":{"source-address":{{ toJson .Webhooks.net.cidr }}}}`
	c.Reload(withHooks(t, `{"ssh":{"template":`+jsonOf(t, template)+`,"user":{"deny":{"principal":["root"]}}}}`,
		h.hook("net", "/net", map[string]any{"certType": "SSH"}), h.hook("gate", "/gate", map[string]any{"kind": "AUTHORIZING", "certType": "SSH"})), sshOffice(t))
	cert := sshCertificate(t, sshSign(t, c, map[string]any{"certType": "user", "principals": []string{"ann"}}, map[string]any{"templateData": map[string]any{"extra": "deploy"}}))
	if diff := cmp.Diff([]string{"ann", "deploy"}, cert.ValidPrincipals); diff != "" {
		t.Error(diff)
	}
	if cert.CriticalOptions["source-address"] != "10.0.0.0/8" || len(cert.Extensions) != 5 {
		t.Errorf("permissions %v", cert.Permissions)
	}
	calls := h.seen()
	if len(calls) != 2 || calls[0].body["sshCertificateRequest"] == nil || calls[1].body["sshCertificate"] == nil {
		t.Fatalf("calls %v", calls)
	}
	told := calls[1].body["sshCertificate"].(map[string]any)
	if fmt.Sprint(told["principals"]) != "[ann deploy]" || told["type"] != "user" {
		t.Errorf("told of %v", told)
	}
	// The rules judge what the template made of the request's own data.
	a := sshSign(t, c, map[string]any{"certType": "user", "principals": []string{"ann"}}, map[string]any{"templateData": map[string]any{"extra": "root"}}).Want(403)
	if !strings.Contains(a.Message(), "root") {
		t.Errorf("message %q", a.Message())
	}
}
