package api_test

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/testca"
)

// leafText is a template whose names are those of the proof, with more members after them.
func leafText(more string) string {
	return `{"subject":{{ toJson .Subject }},"sans":{{ toJson .SANs }},"keyUsage":["digitalSignature"],"extKeyUsage":["serverAuth"]` + more + `}`
}

// templates.md, Section 8.2: what goes wrong in a template, as the client sees it. Nothing is
// issued, and the token is not spent.
func TestTemplateFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, template string
		status         int
		says           string // "" only forbids the operator's words
	}{
		{"fail speaks to the client", `{{ fail "ask the blue team" }}`, 400, "ask the blue team"},
		{"output that is no JSON", `{"subject": operatorsecret}`, 500, ""},
		{"a member of the wrong type", `{"subject":{{ toJson .Subject }},"keyUsage":5,"x":"operatorsecret"}`, 500, ""},
		{"an unknown usage", leafText(`,"keyUsage":["operatorsecret"]`), 500, ""},
		{"a bad address", leafText(`,"ipAddresses":"operatorsecret"`), 500, ""},
		{"a bad object identifier", leafText(`,"unknownExtKeyUsage":"9.9.9"`), 500, ""},
		{"an object identifier out of range", leafText(`,"extensions":[{"id":"1.2.99999999999999999999","value":"BQA="}]`), 500, ""},
		{"a bad time", leafText(`,"notAfter":"operatorsecret"`), 500, ""},
		{"bad base64", leafText(`,"subjectKeyId":"*"`), 500, ""},
		{"a run that ends badly", `{{ index .Nope 3 "operatorsecret" }}`, 500, ""},
		{"an unknown kind of name", `{"sans":[{"type":"operatorsecret","value":"x"}]}`, 500, ""},
		{"an endless loop", `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`, 500, ""},
		{"a huge output", `{"subject":"{{ range until 100000 }}{{ repeat 1000 "x" }}{{ end }}"}`, 500, ""},
		{"a wish beyond the limits", leafText(`,"notAfter":"2199-01-01T00:00:00Z"`), 403, "maximum"},
		{"a value that is not there", `{"subject":"{{ .Insecure.User.cn }}"}`, 403, ""},
		{"CA:TRUE out of constants", leafText(`,{{ .more }}`), 403, "CA certificate"},
		{"a serial number without permission", leafText(`,"serialNumber":7`), 403, "serial"},
		{"an extension twice", leafText(`,"extensions":[{"id":"1.2.3","value":"BQA="},{"id":"1.2.3","value":"BQA="}]`), 500, ""},
		{"SHA-1", leafText(`,"signatureAlgorithm":"ECDSA-SHA1"`), 500, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			failed := 0
			office := testca.New(t, x509Options(c.template, `"templateData":{"more":"\"basicConstraints\":{\"is\\u0043A\":true}"}`), func(s *testca.Setup) {
				s.Observe = func(e ca.Event) {
					mu.Lock()
					defer mu.Unlock()
					if e.Act == "template_failed" {
						failed++
					}
				}
			})
			token, csr := office.Token("a.example"), testca.CSR(t, testca.P256(t), "")
			a := office.Sign(csr, token).Want(c.status)
			if m := a.Message(); !strings.Contains(m, c.says) || strings.Contains(m, "operatorsecret") || strings.Contains(m, "template:") {
				t.Errorf("message %q, want %q", m, c.says)
			}
			if n := len(certificates(t, office)); n != 0 {
				t.Errorf("%d certificates on record", n)
			}
			mu.Lock()
			if (failed == 1) != (c.status == 500) {
				t.Errorf("%d failures of the template were counted", failed)
			}
			mu.Unlock()
			if log := office.Log.String(); c.status == 500 && !strings.Contains(log, "template "+testca.Provisioner+"/x509") {
				t.Errorf("the log does not name the template: %s", log)
			}
			office.Reload(func(s *testca.Setup) { s.Member = nil })
			office.Sign(csr, token).Want(201)
		})
	}
}

// A broken template disables its provisioner, no other.
func TestBrokenTemplateDisablesItsProvisioner(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, x509Options(`{{ nosuchfunction }}`), func(s *testca.Setup) { s.More = []string{s2(t, "other", nil)} })
	ca.Sign(testca.CSR(t, testca.P256(t), ""), ca.Token("a.example")).Want(401)
	if log := ca.Log.String(); !strings.Contains(log, "nosuchfunction") || !strings.Contains(log, "line 1") {
		t.Errorf("log %s", log)
	}
}

// Whatever the operator's text does not say itself, no source of data says for it.
func TestSEC29_NobodyElseMakesACA(t *testing.T) {
	t.Parallel()
	hostile := `x","basicConstraints":{"isCA":true,"maxPathLen":3},"keyUsage":["certSign"],"y":"`
	key := testca.P256(t)
	for _, c := range []struct {
		name, template string
		user           any
		csr            string
		status         int
	}{
		{"pasted between quotes", `{"subject":"{{ .Insecure.User.cn }}","sans":{{ toJson .SANs }}}`, map[string]any{"cn": hostile}, "", 403},
		{"encoded", `{"subject":{{ toJson .Insecure.User.cn }},"sans":{{ toJson .SANs }}}`, map[string]any{"cn": hostile}, "", 201},
		{"escaped by option", `{"subject":"{{ .Insecure.User.cn }}","sans":{{ toJson .SANs }}}`, map[string]any{"cn": hostile}, "auto", 201},
		{"copied from the request", `{{ toJson .Insecure.CR }}`, nil, testca.BentCSR(t, key, func(r *x509.CertificateRequest) {
			r.DNSNames = []string{"a.example"}
			r.ExtraExtensions = append(r.ExtraExtensions, testca.CAExtension())
		}), 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			more := []string{}
			csr := c.csr
			if csr == "auto" {
				more, csr = append(more, `"autoEscape":true`), ""
			}
			if csr == "" {
				csr = testca.CSR(t, key, "")
			}
			ca := testca.New(t, x509Options(c.template, more...))
			a := ca.Post("/1.0/sign", map[string]any{"csr": csr, "ott": ca.Token("a.example"), "templateData": c.user}).Want(c.status)
			if c.status == 201 && a.Chain()[0].IsCA {
				t.Error("a CA certificate was issued")
			}
		})
	}
}

// The text that says isCA makes CA certificates, within the issuer's path length.
func TestTemplateOfACA(t *testing.T) {
	t.Parallel()
	text := `{"subject":{{ toJson .Subject }},"basicConstraints":{"isCA":true,"maxPathLen":0},"keyUsage":["certSign","crlSign"]}`
	deep := testca.New(t, x509Options(text), func(s *testca.Setup) {
		s.Root = func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 2, false }
		s.Middle = func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 1, false }
	})
	sub := deep.Issue("Sub CA").Leaf()
	if !sub.IsCA || !sub.MaxPathLenZero || sub.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("%v %v %v", sub.IsCA, sub.MaxPathLenZero, sub.KeyUsage)
	}
	flat := testca.New(t, x509Options(text))
	flat.Sign(testca.CSR(t, testca.P256(t), ""), flat.Token("Sub CA")).Want(403)
}

// rawSAN is the subject alternative name extension with one name, as base64.
func rawSAN(t *testing.T, tag int, content string) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(testca.SANExtension(t, testca.GeneralName(tag, tag == 0 || tag == 4, []byte(content))).Value)
}

// Every kind of name from every source that can bring one meets the rules of the provisioner
// and of the authority as it is on the wire.
func TestSEC11_RulesJudgeEverySource(t *testing.T) {
	t.Parallel()
	upn := "\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x03\x0c\x01x"
	rules := `"deny":{"cn":["evil"],"dns":["evil.example","**.evil.example"],"ip":["10.6.6.0/24"],"email":["@evil.example"],"uri":["evil.example"]}`
	closed := `"allow":{"dns":["*.example"],"cn":["good"]}`
	quoted := func(s string) string { return jsonOf(t, s) }
	for _, c := range []struct {
		name, template, rules, subject string
		user                           any
	}{
		{"token, subject", "", rules, "evil.example", nil},
		{"token, another case", "", rules, "EVIL.example", nil},
		{"token, below", "", rules, "a.b.Evil.Example", nil},
		{"token, trailing dot", "", rules, "evil.example.", nil},
		{"token, address", "", rules, "10.6.6.7", nil},
		{"token, IPv4 in IPv6", "", rules, "::ffff:10.6.6.7", nil},
		{"token, e-mail address", "", rules, "Ann@EVIL.example", nil},
		{"token, URI", "", rules, "https://Evil.Example:443/x", nil},
		{"token, wildcard over it", "", rules, "*.example", nil},
		{"token, homograph", "", closed, "еxample.example.com", nil},
		{"template, list", leafText(`,"dnsNames":["evil.example"]`), rules, "good.example", nil},
		{"template, common name", `{"subject":"evil","sans":{{ toJson .SANs }}}`, rules, "good.example", nil},
		{"template, second common name", `{"subject":{"commonName":"good.example","extraNames":[{"type":"2.5.4.3","value":"good.example"},{"type":"2.5.4.3","value":"evil"}]},"sans":{{ toJson .SANs }}}`, rules, "good.example", nil},
		{"template, raw subject", `{"rawSubject":"MA8xDTALBgNVBAMTBGV2aWw=","sans":{{ toJson .SANs }}}`, rules, "good.example", nil},
		{"template, raw names", `{"subject":"good.example","dnsNames":"good.example","extensions":[{"id":"2.5.29.17","value":` + quoted(rawSAN(t, 2, "evil.example")) + `}]}`, rules, "good.example", nil},
		{"template, raw address", `{"subject":"good.example","extensions":[{"id":"2.5.29.17","value":` + quoted(rawSAN(t, 7, "\x0a\x06\x06\x07")) + `}]}`, rules, "good.example", nil},
		{"template, mapped address", `{"subject":"good.example","extensions":[{"id":"2.5.29.17","value":` + quoted(rawSAN(t, 7, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x06\x06\x07")) + `}]}`, rules, "good.example", nil},
		{"template, raw e-mail address", `{"subject":"good.example","extensions":[{"id":"2.5.29.17","value":` + quoted(rawSAN(t, 1, "a@evil.example")) + `}]}`, rules, "good.example", nil},
		{"template, raw URI", `{"subject":"good.example","extensions":[{"id":"2.5.29.17","value":` + quoted(rawSAN(t, 6, "x://evil.example/")) + `}]}`, rules, "good.example", nil},
		{"template, other name under allow rules", `{"subject":"good","extensions":[{"id":"2.5.29.17","value":` + quoted(rawSAN(t, 0, upn)) + `}]}`, closed, "good.example", nil},
		{"template, directory name under allow rules", `{"subject":"good","sans":[{"type":"dn","asn1Value":"x"}]}`, closed, "good.example", nil},
		{"template, names of other kinds beside", `{"subject":"good","sans":[{"type":"registeredID","value":"1.2.3"},{"type":"dns","value":"evil.example"}]}`, rules, "good.example", nil},
		{"requester's data", leafText(`,"dnsNames":{{ toJson .Insecure.User.names }}`), rules, "good.example", map[string]any{"names": []string{"evil.example"}}},
		{"requester's data, as raw extension", `{"subject":"good.example","extensions":{{ toJson .Insecure.User.ext }}}`, rules, "good.example",
			map[string]any{"ext": []any{map[string]any{"id": "2.5.29.17", "value": rawSAN(t, 2, "evil.example")}}}},
		{"no name at all under allow rules", `{"subject":{"organization":"x"}}`, closed, "good.example", nil},
	} {
		for _, level := range []string{"provisioner", "authority"} {
			t.Run(c.name+", "+level, func(t *testing.T) {
				t.Parallel()
				members := []string{}
				if c.template != "" {
					members = append(members, `"template":`+quoted(c.template))
				}
				if level == "provisioner" {
					members = append(members, c.rules)
				}
				bend := []func(*testca.Setup){options(`{"x509":{` + strings.Join(members, ",") + `}}`)}
				if level == "authority" {
					bend = append(bend, authorityRules(t, c.rules))
				}
				ca := testca.New(t, bend...)
				ca.Post("/1.0/sign", map[string]any{"csr": testca.CSR(t, testca.P256(t), ""), "ott": ca.Token(c.subject), "templateData": c.user}).Want(403)
				if n := len(certificates(t, ca)); n != 0 {
					t.Errorf("%d certificates on record", n)
				}
			})
		}
	}
}

// The name of a webhook's answer is judged as any other, and so is that of a request which a
// template copies.
func TestSEC11_RulesJudgeWebhooksAndRequests(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := newHookServer(t, c, func(string, map[string]any) (int, string) {
		return 200, `{"allow":true,"data":{"name":"evil.example"}}`
	})
	template := leafText(`,"dnsNames":{{ toJson .Webhooks.gate.name }}`)
	c.Reload(withHooks(t, `{"x509":{"template":`+jsonOf(t, template)+`,"deny":{"dns":["evil.example"]}}}`, h.hook("gate", "/", nil)))
	c.Sign(testca.CSR(t, testca.P256(t), ""), c.Token("good.example")).Want(403)
	c.Reload(options(`{"x509":{"template":"{{ toJson .Insecure.CR }}","allow":{"dns":["*.example"]}}}`))
	csr := testca.BentCSR(t, testca.P256(t), func(r *x509.CertificateRequest) {
		r.ExtraExtensions = append(r.ExtraExtensions, testca.SANExtension(t,
			testca.GeneralName(2, false, []byte("good.example")), testca.GeneralName(4, true, []byte{0x30, 0})))
	})
	c.Sign(csr, c.Token("good.example")).Want(403)
}

// The property behind the tables: whatever the source of a name, no certificate carries one
// that the rules deny. The oracle reads the certificate with encoding/asn1 alone.
func TestNoCertificateCarriesADeniedName(t *testing.T) {
	t.Parallel()
	template := `{"subject":{"commonName":{{ toJson (default .Subject.CommonName .Insecure.User.cn) }},"extraNames":{{ toJson (default (list) .Insecure.User.extra) }}},
		"dnsNames":{{ toJson .Insecure.User.dns }},"sans":{{ toJson (concat .SANs (default (list) .Insecure.User.sans)) }}
		{{ with .Insecure.User.raw }},"extensions":[{"id":"2.5.29.17","value":{{ toJson . }}}]{{ end }}}`
	ca := testca.New(t, options(`{"x509":{"template":`+jsonOf(t, template)+`,"deny":{"dns":["evil.example","**.evil.example"],"cn":["evil.example"]}}}`))
	r := rand.New(rand.NewPCG(7, 11))
	labels := []string{"evil.example", "a.evil.example", "EVIL.example", "good.example", "notevil.example", "evil.example.org", "x.y.evil.example"}
	pick := func() string { return labels[r.IntN(len(labels))] }
	issued := 0
	for range 150 {
		user := map[string]any{}
		for _, source := range []string{"cn", "dns", "sans", "raw", "extra"} {
			if r.IntN(3) > 0 {
				continue
			}
			switch name := pick(); source {
			case "cn":
				user["cn"] = name
			case "dns":
				user["dns"] = []string{name, pick()}
			case "sans":
				user["sans"] = []any{map[string]any{"type": "dns", "value": name}, map[string]any{"type": "registeredID", "value": "1.2.3"}}
			case "raw":
				user["raw"] = rawSAN(t, 2, name)
			case "extra":
				user["extra"] = []any{map[string]any{"type": "2.5.4.3", "value": name}}
			}
		}
		a := ca.Post("/1.0/sign", map[string]any{"csr": testca.CSR(t, testca.P256(t), ""), "ott": ca.Token(pick()), "templateData": user})
		if a.Status != 201 {
			continue
		}
		issued++
		for _, name := range namesOnTheWire(t, a.Chain()[0]) {
			if low := strings.ToLower(name); low == "evil.example" || strings.HasSuffix(low, ".evil.example") {
				t.Fatalf("%q was certified for %v", name, user)
			}
		}
	}
	if issued < 10 {
		t.Errorf("only %d of the tries were issued, which proves little", issued)
	}
}

// namesOnTheWire lists DNS names and common names of a certificate from its DER.
func namesOnTheWire(t *testing.T, c *x509.Certificate) []string {
	t.Helper()
	var names []string
	var sets []asn1.RawValue
	if _, err := asn1.Unmarshal(c.RawSubject, &sets); err != nil {
		t.Fatal(err)
	}
	for _, set := range sets {
		for rest := set.Bytes; len(rest) > 0; {
			var pair struct {
				Type  asn1.ObjectIdentifier
				Value asn1.RawValue
			}
			var err error
			if rest, err = asn1.Unmarshal(rest, &pair); err != nil {
				t.Fatal(err)
			}
			if pair.Type.String() == "2.5.4.3" {
				names = append(names, string(pair.Value.Bytes))
			}
		}
	}
	for _, ext := range c.Extensions {
		if ext.Id.String() != "2.5.29.17" {
			continue
		}
		var all []asn1.RawValue
		if _, err := asn1.Unmarshal(ext.Value, &all); err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			if n.Tag == 2 {
				names = append(names, string(n.Bytes))
			}
		}
	}
	return names
}

// Hostile text in a claim or in the requester's data stays a value: it neither opens an
// action nor ends a string, and separators and patterns make no second name.
func TestSEC12_HostileTextStaysText(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, x509Options(`{"subject":{"commonName":"fixed.example","organizationalUnit":{{ toJson .Insecure.User.text }},"organization":{{ toJson .Token.text }}},"sans":{{ toJson .SANs }}}`,
		`"allow":{"dns":["*.example"]}`))
	for _, text := range []string{
		`","isCA":true,"x":"`, "{{ fail `x` }}", "{{", `\`, `"`, "a\\u0000b", "</script>", "\u2028", "*", ",", "a.example,b.example", "${x}", "%s%n",
	} {
		a := ca.Post("/1.0/sign", map[string]any{"csr": testca.CSR(t, testca.P256(t), ""), "ott": ca.Token("a.example", testca.Claim("text", text)),
			"templateData": map[string]any{"text": text}})
		leaf := a.Chain()[0]
		if got := fmt.Sprint(leaf.Subject.OrganizationalUnit, leaf.Subject.Organization); got != fmt.Sprint([]string{text}, []string{text}) {
			t.Errorf("%q became %q", text, got)
		}
		if leaf.IsCA || len(leaf.DNSNames) != 1 {
			t.Errorf("%q changed the certificate", text)
		}
	}
	for _, name := range []string{"a.example,b.example", "a.example b.example", "*.*.example", "a*.example", "a.example\x00.b.example", "a.example\n", "a..example", ".example", "a.example/b", "xn--a.example"} {
		claim, _ := json.Marshal(name)
		token := ca.Token("x", testca.Claim("sans", []json.RawMessage{claim}))
		if a := ca.Sign(testca.CSR(t, testca.P256(t), ""), token); a.Status == 201 {
			t.Errorf("%q was certified as %q", name, a.Chain()[0].DNSNames)
		}
	}
}

// Rules of a provisioner bind renewals as well, also when they came later.
func TestProvisionerRulesBindRenewals(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	holder := ca.Issue("a.example")
	ca.Do(testca.Call{Method: "POST", Path: "/1.0/renew", As: holder}).Want(201)
	ca.Reload(options(`{"x509":{"deny":{"dns":["a.example"]}}}`))
	ca.Do(testca.Call{Method: "POST", Path: "/1.0/renew", As: holder}).Want(403)
}

// authorityRules puts X.509 rules into the authority.
func authorityRules(t *testing.T, text string) func(*testca.Setup) {
	t.Helper()
	var c policy.X509Config
	if err := json.Unmarshal([]byte("{"+text+"}"), &c); err != nil {
		t.Fatal(err)
	}
	rules, err := policy.NewX509(&c)
	if err != nil {
		t.Fatal(err)
	}
	return func(s *testca.Setup) { s.Authority = func(a *issue.Authority) { a.Policy = rules } }
}
