package issue

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// AdmitX509 holds a request against its grant, as NewX509 does: for those who must know before
// they ask others about it.
func AdmitX509(g *Grant, ask *X509Ask) error { return admitRequest(g, ask) }

// admitRequest holds a certificate request against its grant: the binding, the common name
// and the names of each kind. A request may leave names out, never add any.
func admitRequest(g *Grant, ask *X509Ask) error {
	r := ask.Request
	if r == nil {
		return fault.New(fault.Invalid, "the certificate request is missing")
	}
	if err := g.Bind.admit(ask); err != nil {
		return err
	}
	if cn := r.Subject.CommonName; cn != "" && (!g.FreeNames || g.FixedCN) && !g.Fixed && !slices.Contains(g.CommonNames, cn) {
		return fault.New(fault.Denied, "the certificate request has the common name %q, but the proof covers %s", cn, quoted(g.CommonNames))
	}
	custom := g.Profile.X509.Custom // whose template decides what of the rest it copies
	if !custom && asksForCA(r) {
		return fault.New(fault.Denied, "the certificate request asks for a CA certificate, which the proof does not cover")
	}
	if g.Fixed {
		return nil // nothing of it gets into the certificate but by the operator's template
	}
	if !custom {
		if err := refuseOtherNames(r); err != nil {
			return err
		}
	}
	if g.FreeNames {
		return nil
	}
	if g.Bounds != nil { // the names come from the proof; the request may ask for no others
		return g.Bounds.admitAll(nil, allNames{Names: RequestNames(r)})
	}
	return admitNames(g, r)
}

// refuseOtherNames: no proof covers names of kinds that we only know to exist.
func refuseOtherNames(r *x509.CertificateRequest) error {
	other, err := otherNames(r.Extensions)
	if err != nil {
		return err
	}
	if len(other) > 0 {
		return fault.New(fault.Denied, "the certificate request asks for names of kinds the proof does not cover: %s", quoted(other))
	}
	return nil
}

func admitNames(g *Grant, r *x509.CertificateRequest) error {
	asked, granted := RequestNames(r), g.Names
	kinds := []struct {
		name           string
		asked, granted []string
	}{
		{"DNS names", asked.DNS, granted.DNS},
		{"email addresses", asked.Emails, granted.Emails},
		{"IP addresses", asked.ipStrings(), granted.ipStrings()},
		{"URIs", asked.uriStrings(), granted.uriStrings()},
	}
	for _, k := range kinds {
		if len(k.asked) > 0 && !sameSet(k.asked, k.granted) && !(g.FewerDNS && k.name == "DNS names" && subset(k.asked, k.granted)) {
			return fault.New(fault.Denied, "the certificate request asks for the %s %s, but the proof covers %s", k.name, quoted(k.asked), quoted(k.granted))
		}
	}
	return nil
}

func (b *Binding) admit(ask *X509Ask) error {
	if len(b.RequestSHA256) > 0 {
		sum := sha256.Sum256(ask.Request.Raw)
		if subtle.ConstantTimeCompare(sum[:], b.RequestSHA256) != 1 {
			return fault.New(fault.Denied, "the proof is bound to another certificate request (its x5rt#S256 confirmation differs)")
		}
	}
	if b.Key != nil && !keys.SamePublicKey(b.Key, ask.Request.PublicKey) {
		return fault.New(fault.Denied, "the proof is bound to another key (its jwk confirmation differs)")
	}
	if b.KeyThumbprint != "" && !hasThumbprint(ask.Request.PublicKey, b.KeyThumbprint) {
		return fault.New(fault.Denied, "the proof is bound to another key (its jkt confirmation differs)")
	}
	if len(b.ClientSHA256) > 0 {
		if ask.Client == nil {
			return fault.New(fault.Denied, "the proof is bound to a TLS client certificate (x5t#S256), and the request came without one")
		}
		sum := sha256.Sum256(ask.Client.Raw)
		if subtle.ConstantTimeCompare(sum[:], b.ClientSHA256) != 1 {
			return fault.New(fault.Denied, "the proof is bound to another TLS client certificate (its x5t#S256 confirmation differs)")
		}
	}
	return nil
}

func hasThumbprint(pub any, want string) bool {
	jwk, err := keys.NewJWK(pub)
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(jwk.KeyID), []byte(want)) == 1
}

var (
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// asksForCA reports whether a request carries basicConstraints with CA:TRUE.
func asksForCA(r *x509.CertificateRequest) bool {
	for _, ext := range r.Extensions {
		if !ext.Id.Equal(oidBasicConstraints) {
			continue
		}
		var bc struct {
			IsCA    bool `asn1:"optional"`
			PathLen int  `asn1:"optional,default:-1"`
		}
		if _, err := asn1.Unmarshal(ext.Value, &bc); err != nil || bc.IsCA {
			return true // what cannot be read is held against it
		}
	}
	return false
}

// quoted lists names for a message, bounded so that a stranger's list does not flood it.
func quoted(list []string) string {
	const most = 10
	if len(list) == 0 {
		return "none"
	}
	var b strings.Builder
	for i, s := range list {
		if i == most {
			b.WriteString(", …")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		if len(s) > 128 {
			s = s[:128] + "…"
		}
		b.WriteString("'" + strings.ToValidUTF8(s, "?") + "'")
	}
	return b.String()
}
