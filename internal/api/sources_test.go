package api_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/signet-ca/signet/internal/testca"
)

// hostile are texts that try to be more than text.
var hostile = []string{
	`x","basicConstraints":{"isCA":true},"y":"`, `"}],"dnsNames":["evil.example"],"x":[{"y":"`, "{{ fail `x` }}", "{{", "}}", "{{/* isCA */}}", `{{ template "x" }}`,
	`\`, `\"`, `\u0022,\u0022isCA\u0022:true`, "line\nbreak", "carriage\rreturn", "tab\tstop", "nul\x00byte", "\u2028\u2029", "</script>", "<no value>x",
	"*", "a.example,b.example", "a.example b.example", "${HOME}", "$(id)", "%s%n%x", "'; DROP TABLE certificates; --", "../../etc/passwd", "éẞ😀", "\u202egnp.exe", "е.example",
}

// SEC-12: hostile text in any claim of a token and in any field of a request is refused, or
// it is the text it is in the place where the template puts it, and changes nothing else.
func TestSEC12_HostileTextInEveryClaimAndField(t *testing.T) {
	t.Parallel()
	claims := []string{"sub", "sans", "jti", "email", "groups", "step", "custom", "nested"}
	fields := []string{"cn", "o", "ou", "c", "l", "st", "street", "postal", "serial", "extra", "email", "uri", "extension"}
	template := `{"subject":{"commonName":"fixed.example","organization":{{ toJson (default "-" .Token.custom) }},"locality":{{ toJson (default "-" .Token.jti) }},
		"province":{{ toJson (printf "%v" .Token) }},"organizationalUnit":{{ toJson .Insecure.CR.Subject.OrganizationalUnit }},"streetAddress":{{ toJson (toJson .Insecure.CR) }}},
		"dnsNames":"fixed.example","keyUsage":["digitalSignature"],"extKeyUsage":["serverAuth"]}`
	ca := testca.New(t, x509Options(template, `"allow":{"dns":["*.example"]}`))
	key := testca.P256(t)
	plain := testca.CSR(t, key, "")
	check := func(place, text string, a *testca.Answer, find func(*x509.Certificate) []string) {
		t.Helper()
		switch {
		case a.Status == 201:
			leaf := a.Chain()[0]
			if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature || fmt.Sprint(leaf.DNSNames) != "[fixed.example]" || leaf.Subject.CommonName != "fixed.example" || len(leaf.EmailAddresses)+len(leaf.URIs)+len(leaf.IPAddresses) > 0 {
				t.Errorf("%q in %s changed the certificate: %s %v", text, place, leaf.Subject, leaf.DNSNames)
			}
			if find != nil && !slices.Contains(find(leaf), strings.ToValidUTF8(text, "\ufffd")) {
				t.Errorf("%q in %s became %q", text, place, find(leaf))
			}
		case a.Status != 400 && a.Status != 401 && a.Status != 403:
			t.Errorf("%q in %s: status %d, %s", text, place, a.Status, a.Message())
		}
	}
	for _, text := range hostile {
		for _, claim := range claims {
			var bend testca.Bend
			var find func(*x509.Certificate) []string
			switch claim {
			case "sans", "groups":
				bend = testca.Claim(claim, []string{text})
			case "step":
				bend = testca.Claim(claim, map[string]any{text: text})
			case "nested":
				bend = testca.Claim(claim, map[string]any{"a": []any{map[string]any{text: text}}})
			default:
				bend = testca.Claim(claim, text)
			}
			if claim == "custom" {
				find = func(c *x509.Certificate) []string { return c.Subject.Organization }
			}
			check("claim "+claim, text, ca.Sign(plain, ca.Token("fixed.example", testca.SANs("fixed.example"), bend)), find)
		}
		for _, field := range fields {
			var find func(*x509.Certificate) []string
			if field == "ou" {
				find = func(c *x509.Certificate) []string { return c.Subject.OrganizationalUnit }
			}
			der, ok := hostileRequest(t, key, field, text)
			if !ok {
				continue // no such request can be written
			}
			check("field "+field, text, ca.Sign(testca.RequestPEM(der), ca.Token("fixed.example", testca.SANs("fixed.example"))), find)
		}
	}
}

// hostileRequest is a request with a text in one field.
func hostileRequest(t *testing.T, key any, field, text string) ([]byte, bool) {
	t.Helper()
	attributes := map[string]asn1.ObjectIdentifier{"cn": {2, 5, 4, 3}, "o": {2, 5, 4, 10}, "ou": {2, 5, 4, 11}, "c": {2, 5, 4, 6}, "l": {2, 5, 4, 7}, "st": {2, 5, 4, 8},
		"street": {2, 5, 4, 9}, "postal": {2, 5, 4, 17}, "serial": {2, 5, 4, 5}, "extra": {1, 2, 3, 4}}
	r := new(x509.CertificateRequest)
	switch oid := attributes[field]; {
	case oid != nil:
		r.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oid, Value: text}}
	case field == "extension":
		r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte(text)}}
	default:
		tag := map[string]int{"email": 1, "uri": 6}[field]
		r.ExtraExtensions = []pkix.Extension{testca.SANExtension(t, testca.GeneralName(tag, false, []byte(text)))}
	}
	der, err := x509.CreateCertificateRequest(nil, r, key)
	return der, err == nil
}

// spelling varies how a name is written.
func spelling(r *rand.Rand, name string) string {
	switch r.IntN(5) {
	case 0:
		return strings.ToUpper(name)
	case 1:
		return name + "."
	case 2:
		return "A." + name
	}
	return name
}

// The property for every source at once: token, request, requester's data, constants of the
// template and a webhook all bring names, and no certificate carries one that is denied. The
// oracle reads the DER with encoding/asn1 alone.
func TestNoSourceBringsADeniedName(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 5))
	labels := []string{"evil.example", "good.example", "notevil.example", "evil.example.org", "good.test"}
	pick := func() string { return spelling(r, labels[r.IntN(len(labels))]) }
	var mu sync.Mutex
	said := ""
	c := testca.New(t)
	h := newHookServer(t, c, func(string, map[string]any) (int, string) {
		mu.Lock()
		defer mu.Unlock()
		return 200, `{"allow":true,"data":` + said + `}`
	})
	template := `{"subject":{"commonName":{{ toJson (default .Subject.CommonName .Webhooks.gate.cn) }}},
		"dnsNames":{{ toJson (concat (default (list) .Insecure.User.dns) (default (list) .Webhooks.gate.dns) .fixed) }},
		"emailAddresses":{{ toJson .Webhooks.gate.mail }},"ipAddresses":{{ toJson .Insecure.User.ips }},
		"sans":{{ toJson .SANs }}{{ with .Insecure.CR.Extensions }},"extensions":{{ toJson . }}{{ end }}}`
	rules := `"deny":{"dns":["evil.example","**.evil.example"],"cn":["evil.example"],"email":["@evil.example","@**.evil.example"],"ip":["10.6.6.0/24"]}`
	issued := 0
	for i := range 120 {
		if i%20 == 0 {
			c.Reload(withHooks(t, `{"x509":{"template":`+jsonOf(t, template)+`,"templateData":{"fixed":`+jsonOf(t, []string{labels[r.IntN(2)]})+`},`+rules+`}}`, h.hook("gate", "/", nil)))
		}
		mu.Lock()
		gate := map[string]any{}
		if r.IntN(3) == 0 {
			gate["cn"] = pick()
		}
		if r.IntN(3) == 0 {
			gate["dns"] = []string{pick()}
		}
		if r.IntN(3) == 0 {
			gate["mail"] = "Ann@" + strings.TrimSuffix(pick(), ".")
		}
		said = jsonOf(t, gate)
		mu.Unlock()
		user := map[string]any{}
		if r.IntN(3) == 0 {
			user["dns"] = []string{pick(), pick()}
		}
		if r.IntN(3) == 0 {
			user["ips"] = []string{[]string{"10.6.6.7", "::ffff:10.6.6.7", "10.6.7.7", "::ffff:a06:607"}[r.IntN(4)]}
		}
		subject := pick()
		csr := testca.BentCSR(t, testca.P256(t), func(q *x509.CertificateRequest) {
			if r.IntN(4) == 0 {
				q.ExtraExtensions = []pkix.Extension{testca.SANExtension(t, testca.GeneralName(2, false, []byte(subject)), testca.GeneralName(4, true, []byte{0x30, 0}))}
			}
		})
		a := c.Post("/1.0/sign", map[string]any{"csr": csr, "ott": c.Token(subject), "templateData": user})
		if a.Status != 201 {
			continue
		}
		issued++
		leaf := a.Chain()[0]
		for _, name := range append(namesOnTheWire(t, leaf), leaf.EmailAddresses...) {
			if low := strings.TrimSuffix(strings.ToLower(name), "."); low == "evil.example" || strings.HasSuffix(low, ".evil.example") || strings.HasSuffix(low, "@evil.example") {
				t.Fatalf("%q was certified for %q, %v, %v", name, subject, user, gate)
			}
		}
		for _, ip := range leaf.IPAddresses {
			if a, _ := netip.AddrFromSlice(ip); netip.MustParsePrefix("10.6.6.0/24").Contains(a.Unmap()) {
				t.Fatalf("%s was certified for %v", ip, user)
			}
		}
	}
	if issued < 5 {
		t.Errorf("only %d of the tries were issued, which proves little", issued)
	}
}

// The same for principals of SSH certificates, of users and of hosts.
func TestNoSourceBringsADeniedPrincipal(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 13))
	var mu sync.Mutex
	said := "[]"
	c := testca.New(t)
	h := newHookServer(t, c, func(string, map[string]any) (int, string) {
		mu.Lock()
		defer mu.Unlock()
		return 200, `{"allow":true,"data":` + said + `}`
	})
	template := `{"type":{{ toJson .Type }},"keyId":{{ toJson .KeyID }},"extensions":{{ toJson .Extensions }},
		"principals":{{ toJson (concat .Principals (default (list) .Insecure.User.more) .Webhooks.gate (default (list) .Insecure.CR.Principals)) }}}`
	rules := `"user":{"deny":{"principal":["root"],"email":["@evil.example"]}},"host":{"deny":{"dns":["evil.example","**.evil.example"],"ip":["10.6.6.0/24"]}}`
	c.Reload(withHooks(t, `{"ssh":{"template":`+jsonOf(t, template)+`,`+rules+`}}`, h.hook("gate", "/", map[string]any{"certType": "SSH"})), sshOffice(t))
	names := map[string][]string{
		"user": {"root", "Root", "ROOT", "ann", "roots", "ann@evil.example", "Ann@Evil.Example", "ann@good.example", "deploy"},
		"host": {"evil.example", "Evil.example", "a.evil.example", "good.example", "10.6.6.7", "::ffff:10.6.6.7", "10.7.7.7", "db.good.example"},
	}
	issued := 0
	for range 120 {
		kind := []string{"user", "host"}[r.IntN(2)]
		pick := func() string { return names[kind][r.IntN(len(names[kind]))] }
		mu.Lock()
		said = jsonOf(t, []string{pick()}[:r.IntN(2)])
		mu.Unlock()
		mine := pick()
		body := map[string]any{"templateData": map[string]any{"more": []string{pick()}[:r.IntN(2)]}}
		if r.IntN(2) == 0 {
			body["principals"] = []string{mine}
		}
		a := sshSign(t, c, map[string]any{"certType": kind, "principals": []string{mine}}, body)
		if a.Status != 201 {
			continue
		}
		issued++
		for _, p := range sshCertificate(t, a).ValidPrincipals {
			low := strings.ToLower(p)
			ip, err := netip.ParseAddr(low)
			denied := low == "root" || strings.HasSuffix(low, "evil.example") || err == nil && netip.MustParsePrefix("10.6.6.0/24").Contains(ip.Unmap())
			if denied {
				t.Fatalf("%q was certified", p)
			}
		}
	}
	if issued < 15 {
		t.Errorf("only %d of the tries were issued, which proves little", issued)
	}
}
