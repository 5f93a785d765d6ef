package issue_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// strictCSR: what a request asks for is in the certificate, or the request is refused and the
// refusal names it.
func TestStrictRequests(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	usage := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 7, 0x80}}
	purpose := func(last byte) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, last}}
	}
	unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}
	upn := testca.GeneralName(0, true, []byte("\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x03\x0c\x01x"))
	narrow := `{"subject":"web","dnsNames":"web","keyUsage":"digitalSignature","extKeyUsage":"serverAuth"}`
	for _, c := range []struct {
		proves, template string
		bend             func(*x509.CertificateRequest)
		lost             string // "": nothing, it is issued
	}{
		{"a request for nothing", "", func(*x509.CertificateRequest) {}, ""},
		{"names of the grant", "", func(r *x509.CertificateRequest) { r.DNSNames = []string{"web", "www.example"} }, ""},
		{"usage that is granted", "", func(r *x509.CertificateRequest) { r.ExtraExtensions = []pkix.Extension{usage, purpose(2)} }, ""},
		{"a leaf's basicConstraints", "", func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 0}}}
		}, ""},
		{"more usage", "", func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{{Id: usage.Id, Value: []byte{3, 2, 6, 0xc0}}}
		}, "keyUsage"},
		{"another purpose", "", func(r *x509.CertificateRequest) { r.ExtraExtensions = []pkix.Extension{purpose(3)} }, "extKeyUsage"},
		{"an unknown extension", "", func(r *x509.CertificateRequest) { r.ExtraExtensions = []pkix.Extension{unknown} }, "1.2.3"},
		{"an attribute of the subject", "", func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"Example"} }, "Example"},
		{"a name the template leaves out", narrow, func(r *x509.CertificateRequest) { r.DNSNames = []string{"web", "www.example"} }, "www.example"},
		{"an other name the template leaves out", narrow, func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{testca.SANExtension(t, testca.GeneralName(2, false, []byte("web")), testca.GeneralName(2, false, []byte("www.example")), upn)}
		}, "www.example"},
		{"an other name the template copies", `{{ toJson .Insecure.CR }}`, func(r *x509.CertificateRequest) {
			r.Subject.CommonName = "web"
			r.ExtraExtensions = []pkix.Extension{testca.SANExtension(t, testca.GeneralName(2, false, []byte("web")), testca.GeneralName(2, false, []byte("www.example")), upn), unknown}
		}, ""},
		{"an address in its other form", `{"subject":"web","ipAddresses":"10.0.0.1"}`, func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{testca.SANExtension(t, testca.GeneralName(7, false, net.ParseIP("10.0.0.1")))}
		}, ""},
		{"an address left out", narrow, func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{{10, 0, 0, 1}} }, "iPAddress"},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			g := grant(ca)
			if strings.Contains(c.proves, "address") {
				g.Names = issue.NamesOf([]string{"10.0.0.1"})
			}
			g.Profile.X509.StrictRequest = true
			if c.template != "" {
				tmpl := compile(t, c.template)
				g.Profile.X509.Template, g.Profile.X509.Custom = func() *issue.X509Template { return tmpl }, true
			}
			draft, err := draftOf(g, testca.Request(t, testca.BentCSR(t, testca.P256(t), c.bend)), time.Now())
			if err == nil {
				_, err = draft.Check(time.Now())
			}
			switch {
			case c.lost == "" && err != nil:
				t.Error(err)
			case c.lost != "" && (!fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), c.lost) || !strings.Contains(err.Error(), "strictCSR")):
				t.Errorf("got %v", err)
			}
		})
	}
}

// subjectEncoding: one value, one relative distinguished name, in the order of the values.
func TestSeparateSubject(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	g := grant(ca)
	tmpl := compile(t, `{"subject":{"organization":"b","organizationalUnit":["z","a"],"commonName":"web"},"dnsNames":"web"}`)
	g.Profile.X509.Template, g.Profile.X509.Custom = func() *issue.X509Template { return tmpl }, true
	for separate, want := range map[bool]string{
		false: "3030" + "310a3008060355040a130162" + "3114" + "3008060355040b130161" + "3008060355040b13017a" + "310c300a06035504031303776562",
		true:  "3032" + "310a3008060355040a130162" + "310a3008060355040b13017a" + "310a3008060355040b130161" + "310c300a06035504031303776562",
	} {
		g.Profile.X509.SeparateSubject = separate
		leaf := seal(t, ca, g, testca.P256(t))
		if got := hex.EncodeToString(leaf.RawSubject); got != want {
			t.Errorf("separate %v:\n got %s\nwant %s", separate, got, want)
		}
	}
}

// templateSha256 pins a text, before and after it runs.
func TestPinnedTemplate(t *testing.T) {
	t.Parallel()
	text := `{"subject":"x"}`
	sum := compile(t, text).Hash()
	place := issue.TemplatePlace{Name: "p/x509"}
	for pin, ok := range map[string]bool{sum: true, strings.ToUpper(sum): true, strings.Repeat("0", 64): false, "abc": false, sum[:62]: false} {
		c := issue.TemplateConfig{Template: text, TemplateSHA256: pin}
		if _, err := c.OpenX509(place); ok != (err == nil) || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", pin, err)
		}
	}
}

// What a default template is known to write is what it writes: the certificate is the same
// whether the template runs or not.
func TestDefaultTemplatesAreKnown(t *testing.T) {
	t.Parallel()
	ca, now := testca.New(t), time.Now()
	uri, err := url.Parse("spiffe://example/web?x=%20<&>")
	if err != nil {
		t.Fatal(err)
	}
	requests := map[string]func(*x509.CertificateRequest){
		"nothing": func(*x509.CertificateRequest) {},
		"name":    func(r *x509.CertificateRequest) { r.Subject.CommonName = `a"b\c<d>é` },
		"all": func(r *x509.CertificateRequest) {
			r.Subject = pkix.Name{CommonName: "web", Country: []string{"DE"}, Organization: []string{"b", "a"}, SerialNumber: "7",
				ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "uid"}}}
			r.DNSNames, r.EmailAddresses = []string{"web", "*.example"}, []string{"Ann@example.com"}
			r.IPAddresses, r.URIs = []net.IP{{10, 0, 0, 1}, net.ParseIP("2001:db8::1")}, []*url.URL{uri}
		},
	}
	for _, name := range []string{issue.TemplateLeaf, issue.TemplateAttestedLeaf, issue.TemplateAdminLeaf, issue.TemplateCloudLeaf} {
		ran := compile(t, issue.DefaultX509Text(name))
		known := issue.DefaultX509Template(name)
		for what, bend := range requests {
			for kind, key := range testKeys() {
				for _, names := range [][]string{nil, {"web", "10.0.0.1", "ann@example.com", "https://example/x"}} {
					request := testca.Request(t, testca.BentCSR(t, key, bend))
					text := func(tmpl *issue.X509Template) string {
						g := grant(ca, func(g *issue.Grant) {
							g.FreeNames, g.Names = true, issue.NamesOf(names)
							g.Profile.X509.Template = func() *issue.X509Template { return tmpl }
						})
						draft, err := draftOf(g, request, now)
						if err != nil {
							return err.Error()
						}
						checked, err := draft.Check(now)
						if err != nil {
							return err.Error()
						}
						cert, err := ca.Office.State().Issuer.Rehearse(checked)
						if err != nil {
							return err.Error()
						}
						return printed(cert)
					}
					if a, b := text(ran), text(known); a != b {
						t.Errorf("%s, request for %s, key %q, names %q:\nrun\n%s\nknown\n%s", name, what, kind, names, a, b)
					}
				}
			}
		}
	}
}

// The same for SSH.
func TestDefaultSSHTemplatesAreKnown(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	key := testca.SSHKey(t, testca.P256(t))
	for _, name := range []string{issue.TemplateSSH, issue.TemplateSSHAdmin, issue.TemplateSSHCloud, issue.TemplateSSHRequest} {
		ran, err := issue.TemplateOptions{Literal: true}.CompileSSH("ran", issue.DefaultSSHText(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"user", "host"} {
			for _, ask := range []issue.SSHAsk{{Key: key}, {Key: key, Type: "user"}, {Key: key, Type: "user", KeyID: `k"<`, Principals: []string{"ann"}},
				{Key: key, Type: "host", KeyID: "h", Principals: []string{"a.example", "b.example"}}, {Key: key, Type: "user", KeyID: "k"}} {
				text := func(tmpl *issue.SSHTemplate) string {
					g := grant(ca, func(g *issue.Grant) {
						g.SSH = &issue.SSHRight{Type: kind, KeyID: "id", Principals: []string{"ann", "bea", "a.example", "b.example"}}
						g.SSH.Free = ask.Type != "" && ask.Type != kind
						g.Profile.SSH.Template = func() *issue.SSHTemplate { return tmpl }
						g.Profile.UserSSH, g.Profile.HostSSH = g.Profile.TLS, g.Profile.TLS
					})
					draft, err := issue.NewSSH(g, &ask, time.Now())
					if err != nil {
						return string(fault.KindOf(err).String())
					}
					checked, err := draft.Check(time.Now())
					if err != nil {
						return err.Error()
					}
					return jsonText(t, checked.Outline())
				}
				if a, b := text(ran), text(issue.DefaultSSHTemplate(name)); a != b {
					t.Errorf("%s, %s, %+v:\nrun   %s\nknown %s", name, kind, ask, a, b)
				}
			}
		}
	}
}

// jsonText writes an outline without what is drawn at random or read from the clock.
func jsonText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"serial", "nonce", "validAfter", "validBefore"} {
		delete(m, name)
	}
	text, err = json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
