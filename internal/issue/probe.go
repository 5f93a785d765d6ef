package issue

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Probe tells what a template makes of a caller's own words: it was run with words that
// nothing else contains, and they were looked for in what came out.
type Probe struct {
	RequestNames bool // names of the request become names of the certificate, common name included
	DataNames    bool // so does the requester's templateData
	Subject      bool // something of either stands elsewhere in the subject, or in the key ID
	Extensions   bool // something of either stands in an extension or an option; the request's own extensions are copied, say
	Purposes     bool // the requester chooses purposes, usages or certificate policies
	AnyPurpose   bool // the certificate is good for anything: no purposes, or any
	Agent        bool // it may ask for others (certificate request agent)
	WeakMapping  bool // it has a user principal name and no security identifier, which binds the name to one account
}

// Names reports whether callers choose names.
func (p *Probe) Names() bool { return p.RequestNames || p.DataNames }

// Words that nothing else contains.
const (
	probeAsked = "asked.signet-probe.invalid"
	probeData  = "data.signet-probe.invalid"
	probeOID   = "1.3.6.1.4.1.99999.7.29"
)

var (
	oidProbe       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 7, 29}
	oidAgent       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 1}
	oidSecurityID  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}
	oidAppPolicies = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 10}
	userPrincipal  = []byte{0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x14, 2, 3} // 1.3.6.1.4.1.311.20.2.3
)

// probeShapes are the shapes in which data is tried, for nobody knows which one a template
// expects.
var probeShapes = []any{probeData, []string{probeData}, probeOID, []string{probeOID}}

// Probe runs the template with a caller's words in all places that it reads. An error says
// that no run came to an end, so nothing is known.
func (t *X509Template) Probe(constants json.RawMessage) (*Probe, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	var first error
	var found *Probe
	for _, shape := range probeShapes {
		data := X509Data{
			Subject: pkix.Name{CommonName: "subject.example"}, Names: NamesOf([]string{"subject.example"}),
			Token: map[string]any{"sub": "subject.example", "email": "subject@example.com", "exp": 2e9}, Constants: constants,
			User: probeUser(t.Untrusted(), shape), Custom: true, Request: probeRequest(key.Public()), Now: time.Now(),
			Variables: map[string]any{"Provisioner": map[string]any{"Name": "probe"}, "Client": map[string]any{"IP": "127.0.0.1"}},
		}
		vars, err := data.Map()
		if err != nil {
			return nil, err
		}
		cert, _, err := t.draft(vars)
		if err == nil {
			_, err = settleSubject(cert)
		}
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		if found == nil {
			found = new(Probe)
		}
		found.look(cert)
	}
	if found == nil {
		return nil, first
	}
	return found, nil
}

// probeRequest is a request that nobody signed, full of the caller's words.
func probeRequest(pub any) *x509.CertificateRequest {
	ext := func(id asn1.ObjectIdentifier, v any) pkix.Extension {
		der, _ := asn1.Marshal(v) // constants
		return pkix.Extension{Id: id, Value: der}
	}
	name := pkix.Name{CommonName: probeAsked, OrganizationalUnit: []string{probeAsked}}
	name.Names = []pkix.AttributeTypeAndValue{{Type: oidCommonName, Value: probeAsked}, {Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: probeAsked}}
	san, _ := (&sanNames{all: []generalName{{tagDNS, append([]byte{0x82, byte(len(probeAsked))}, probeAsked...)}}, extended: true}).extension()
	r := &x509.CertificateRequest{
		Subject: name, PublicKey: pub, PublicKeyAlgorithm: algorithmOf(pub),
		DNSNames: []string{probeAsked}, EmailAddresses: []string{"x@" + probeAsked}, URIs: []*url.URL{{Scheme: "https", Host: probeAsked}}, IPAddresses: []net.IP{{192, 0, 2, 29}},
		Extensions: []pkix.Extension{san, ext(oidExtKeyUsage, []asn1.ObjectIdentifier{oidProbe}), ext(oidAppPolicies, []asn1.ObjectIdentifier{oidProbe})},
	}
	r.RawSubject, _ = EncodeSubject(name)
	return r
}

// probeUser is templateData that has what the template reads of it.
func probeUser(paths []string, shape any) json.RawMessage {
	user := map[string]any{}
	for _, path := range paths {
		if parts := strings.Split(path, "."); len(parts) > 3 && parts[2] == "User" {
			user[parts[3]] = shape
		}
	}
	text, _ := json.Marshal(user) // texts
	return text
}

func isProbe(der []byte) bool {
	oid, _ := asn1.Marshal(oidProbe)
	return bytes.Contains(der, []byte(probeAsked)) || bytes.Contains(der, []byte(probeData)) || bytes.Contains(der, oid[2:])
}

// look adds what one run shows.
func (p *Probe) look(cert *x509.Certificate) {
	var names bytes.Buffer
	identifier, upn := false, false
	for _, ext := range cert.ExtraExtensions {
		switch {
		case ext.Id.Equal(oidSubjectAltName):
			names.Write(ext.Value)
			upn = bytes.Contains(ext.Value, userPrincipal)
		case ext.Id.Equal(oidExtKeyUsage), ext.Id.Equal(oidKeyUsage):
			p.Purposes = p.Purposes || isProbe(ext.Value)
		default:
			identifier = identifier || ext.Id.Equal(oidSecurityID)
			p.Extensions = p.Extensions || ext.Id.Equal(oidProbe) || isProbe(ext.Value)
		}
	}
	for _, s := range CertificateNames(cert).Strings() {
		names.WriteString(s + "\n")
	}
	names.WriteString(cert.Subject.CommonName)
	text := names.Bytes()
	p.RequestNames = p.RequestNames || bytes.Contains(text, []byte(probeAsked)) || bytes.Contains(text, []byte("192.0.2.29"))
	p.DataNames = p.DataNames || bytes.Contains(text, []byte(probeData)) || bytes.Contains(text, []byte(probeOID))
	rest := cert.Subject
	rest.CommonName = ""
	p.Subject = p.Subject || strings.Contains(rest.String(), "signet-probe") || strings.Contains(rest.String(), probeOID)
	for _, oid := range cert.UnknownExtKeyUsage {
		p.Purposes = p.Purposes || oid.Equal(oidProbe)
		p.Agent = p.Agent || oid.Equal(oidAgent)
	}
	for _, oid := range cert.Policies {
		p.Purposes = p.Purposes || oid.String() == probeOID
	}
	none := len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) == 0 && !hasExtension(cert.ExtraExtensions, oidExtKeyUsage)
	p.AnyPurpose = p.AnyPurpose || none || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
	p.WeakMapping = p.WeakMapping || upn && !identifier
}

// Probe is what X509Template.Probe is, for a certificate of a type, user or host.
func (t *SSHTemplate) Probe(kind string, constants json.RawMessage) (*Probe, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	var first error
	var found *Probe
	for _, shape := range probeShapes[:2] {
		data := SSHData{
			Right: &SSHRight{Type: kind, KeyID: "subject", Principals: []string{"subject"}}, Token: map[string]any{"sub": "subject", "email": "subject@example.com"},
			Ask:       &SSHAsk{Key: pub, Type: kind, KeyID: probeAsked, Principals: []string{probeAsked}},
			Constants: constants, User: probeUser(t.Untrusted(), shape), Custom: true, Now: time.Now(),
		}
		vars, err := data.Map()
		if err != nil {
			return nil, err
		}
		cert, err := t.Draft(vars)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		if found == nil {
			found = new(Probe)
		}
		for _, principal := range cert.ValidPrincipals {
			found.RequestNames = found.RequestNames || strings.Contains(principal, probeAsked)
			found.DataNames = found.DataNames || strings.Contains(principal, probeData)
		}
		found.Subject = found.Subject || isProbe([]byte(cert.KeyId))
		for _, m := range []map[string]string{cert.CriticalOptions, cert.Extensions} {
			for name, value := range m {
				found.Extensions = found.Extensions || isProbe([]byte(name+"\n"+value))
			}
		}
	}
	if found == nil {
		return nil, first
	}
	return found, nil
}
