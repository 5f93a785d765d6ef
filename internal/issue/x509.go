package issue

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// X509Ask is what somebody asks for: parsed once, at the door.
type X509Ask struct {
	Request   *x509.CertificateRequest // its signature was checked by CheckRequest
	NotBefore Moment                   // relative to now
	NotAfter  Moment                   // relative to the resolved begin
	Client    *x509.Certificate        // TLS client certificate of the request; may be nil
	Data      Data                     // for templates
}

// X509Draft is a certificate nobody has checked yet.
type X509Draft struct {
	grant    *Grant
	cert     *x509.Certificate        // to be signed; PublicKey set
	template *X509Template            // it came from; nil: none
	request  *x509.CertificateRequest // nothing of it may be left out; nil: no such rule
	renewal  bool                     // its contents are those of an old certificate
	bounded  bool                     // its length was decided elsewhere
	written  *certificateJSON         // what the template wrote, or would have written; nil for a renewal
}

// CheckedX509 is a draft that passed Check. Only an issuer can do something with it.
type CheckedX509 struct {
	cert     *x509.Certificate
	names    Names
	template string // hash of the template's text; "": none
	written  *certificateJSON
}

// CheckRequest verifies a request's own signature (RFC 2986), so that nobody gets a
// certificate for a key they do not hold. SHA-1 and older hashes do not count.
func CheckRequest(r *x509.CertificateRequest) error {
	switch r.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		return fault.New(fault.Invalid, "the certificate request is signed with %s, which is too weak; sign it with SHA-256 or better", r.SignatureAlgorithm)
	}
	if err := CheckCost(r.PublicKey); err != nil {
		return err
	}
	if err := r.CheckSignature(); err != nil {
		return fault.Wrap(err, fault.Invalid, "the signature of the certificate request does not fit its public key")
	}
	return nil
}

// NewX509 drafts a leaf from a grant: the default one, whose subject and names come from the
// grant, or what the profile's template makes of it. The key is that of the request, which
// may name no more than the grant covers.
func NewX509(g *Grant, ask *X509Ask, now time.Time) (*X509Draft, error) {
	if g == nil || g.Profile == nil || g.Profile.Authority == nil {
		return nil, fault.New(fault.Denied, "nothing was granted")
	}
	if err := admitRequest(g, ask); err != nil {
		return nil, err
	}
	if g.Profile.X509.Template != nil {
		return newTemplated(g, ask, now)
	}
	cert := &x509.Certificate{
		Subject:        g.subjectName(),
		DNSNames:       g.Names.DNS,
		IPAddresses:    g.Names.IPs,
		EmailAddresses: g.Names.Emails,
		URIs:           g.Names.URIs,
		KeyUsage:       leafUsage(ask.Request.PublicKey),
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		PublicKey:      ask.Request.PublicKey,
	}
	fillSubject(&cert.Subject, &g.Profile.Authority.Subject)
	if url := g.Profile.Authority.CRLURL; url != "" {
		cert.CRLDistributionPoints = []string{url}
	}
	if err := addExtension(cert, g.extension()); err != nil {
		return nil, err
	}
	cert.NotBefore, cert.NotAfter = validity(g, ask, span{}, now)
	return &X509Draft{grant: g, cert: cert, request: g.strictly(ask), written: writtenLeaf(cert)}, nil
}

// strictly is the request that the certificate must do justice to.
func (g *Grant) strictly(ask *X509Ask) *x509.CertificateRequest {
	if !g.Profile.X509.StrictRequest {
		return nil
	}
	return ask.Request
}

// newTemplated drafts what the template says. Key, provisioner extension and defaults of the
// authority come after it, so that nothing in it can change them.
func newTemplated(g *Grant, ask *X509Ask, now time.Time) (*X509Draft, error) {
	t := g.Profile.X509.Template()
	cert, written, err := draftX509(t, g, ask, now)
	if err != nil {
		return nil, err
	}
	cert.PublicKey = ask.Request.PublicKey
	if len(cert.RawSubject) == 0 {
		fillSubject(&cert.Subject, &g.Profile.Authority.Subject)
	}
	if url := g.Profile.Authority.CRLURL; url != "" && !g.Profile.X509.Custom {
		cert.CRLDistributionPoints = []string{url} // no default template names any
	}
	if err := addExtension(cert, g.extension()); err != nil {
		return nil, err
	}
	cert.NotBefore, cert.NotAfter = validity(g, ask, span{cert.NotBefore, cert.NotAfter}, now)
	return &X509Draft{grant: g, cert: cert, template: t, request: g.strictly(ask), written: written}, nil
}

// leafUsage is the key usage of a leaf: RSA keys may also transport keys.
func leafUsage(pub crypto.PublicKey) x509.KeyUsage {
	if _, ok := pub.(*rsa.PublicKey); ok {
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	}
	return x509.KeyUsageDigitalSignature
}

// addExtension puts the provisioner extension in, in place of any other with its OID: a
// stranger must not choose which provisioner a certificate claims.
func addExtension(cert *x509.Certificate, e *Extension) error {
	kept := cert.ExtraExtensions[:0:0]
	for _, ext := range cert.ExtraExtensions {
		if !ext.Id.Equal(OIDProvisioner) {
			kept = append(kept, ext)
		}
	}
	cert.ExtraExtensions = kept
	if e == nil {
		return nil
	}
	ext, err := e.Marshal()
	if err != nil {
		return err
	}
	cert.ExtraExtensions = append(cert.ExtraExtensions, ext)
	return nil
}

// fillSubject gives a subject the defaults of the authority where it says nothing itself.
func fillSubject(s, defaults *pkix.Name) {
	fill := func(to *[]string, from []string) {
		if len(*to) == 0 {
			*to = from
		}
	}
	fill(&s.Country, defaults.Country)
	fill(&s.Organization, defaults.Organization)
	fill(&s.OrganizationalUnit, defaults.OrganizationalUnit)
	fill(&s.Locality, defaults.Locality)
	fill(&s.Province, defaults.Province)
	fill(&s.StreetAddress, defaults.StreetAddress)
	if s.SerialNumber == "" {
		s.SerialNumber = defaults.SerialNumber
	}
	if s.CommonName == "" {
		s.CommonName = defaults.CommonName
	}
}

// Check looks at the certificate as it would be signed: key, validity, names, constraints.
// What passes can be sealed.
func (d *X509Draft) Check(now time.Time) (*CheckedX509, error) {
	a := d.grant.Profile.Authority
	if err := CheckKey(d.cert.PublicKey); err != nil {
		return nil, &Refusal{OfKey, err}
	}
	commonNames, err := d.settle(a)
	if err != nil {
		return nil, err
	}
	if d.request != nil {
		if err := checkStrict(d.request, d.cert); err != nil {
			return nil, err
		}
	}
	if d.bounded {
		if err := checkIssuerBounds(a, d.cert.NotBefore, d.cert.NotAfter); err != nil {
			return nil, &Refusal{OfValidity, err}
		}
	} else if err := checkValidity(d.grant, d.cert.NotBefore, d.cert.NotAfter, now); err != nil {
		return nil, &Refusal{OfValidity, err}
	}
	names, err := finalNames(d.cert)
	if err != nil {
		return nil, err
	}
	if err := d.grant.Bounds.admitAll(commonNames, names); err != nil {
		return nil, err
	}
	if err := checkNames(d.grant.Profile, commonNames, names); err != nil {
		return nil, err
	}
	if err := checkDirectory(a, d.cert); err != nil {
		return nil, err
	}
	if err := d.grant.Profile.Limits.check(d.cert, names); err != nil {
		return nil, err
	}
	return d.complete(names.Names)
}

// settle gives the certificate the form in which it is signed and lists its common names.
func (d *X509Draft) settle(a *Authority) ([]string, error) {
	if d.renewal { // what an older version put into its certificates may be renewed
		if d.cert.IsCA {
			return nil, fault.New(fault.Denied, "this would be a CA certificate, which is never renewed")
		}
		return settleSubject(d.cert)
	}
	var issuer *x509.Certificate
	if len(a.Chain) > 0 {
		issuer = a.Chain[0]
	}
	if len(d.cert.RawSubject) == 0 && d.grant.Profile.X509.SeparateSubject {
		der, err := encodeSubject(d.cert.Subject, true)
		if err != nil {
			return nil, fault.New(fault.Denied, "this subject cannot be certified: %v", err)
		}
		d.cert.RawSubject = der
	}
	names, err := Settle(d.cert, issuer, d.template != nil && d.template.AllowsCA())
	if err != nil && fault.Of(err) == nil {
		return nil, fault.New(fault.Denied, "this subject cannot be certified: %v", err)
	}
	return names, err
}

// complete adds what only a checked certificate gets: a serial number and the identifiers
// of both keys.
func (d *X509Draft) complete(names Names) (*CheckedX509, error) {
	cert := d.cert
	if cert.SerialNumber == nil {
		serial, err := NewSerial()
		if err != nil {
			return nil, err
		}
		cert.SerialNumber = serial
	}
	if !hasExtension(cert.ExtraExtensions, oidSubjectKeyID) && len(cert.SubjectKeyId) == 0 {
		skid, err := keys.SubjectKeyID(cert.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("identify the subject key: %w", err)
		}
		cert.SubjectKeyId = skid
	}
	checked := &CheckedX509{cert: cert, names: names, written: d.written}
	if d.template != nil {
		checked.template = d.template.Hash()
	}
	return checked, nil
}

// NewSerial draws a serial number: 112 random bits behind the milliseconds of now, in the 20
// octets that RFC 5280, Section 4.1.2.2 allows; the sign bit stays free for 4,000 years. The
// time, which is in the certificate anyway, keeps new serials side by side in the index of a
// million others: random ones would each touch a page of their own.
func NewSerial() (*big.Int, error) {
	var b [20]byte
	binary.BigEndian.PutUint64(b[:8], uint64(time.Now().UnixMilli())<<16)
	if _, err := rand.Read(b[6:]); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return new(big.Int).SetBytes(b[:]), nil
}

// Subject is the common name the certificate would carry.
func (c *CheckedX509) Subject() string { return c.cert.Subject.CommonName }

// Template is the SHA-256 of the text of the template the certificate came from, in hex; ""
// if it came from none.
func (c *CheckedX509) Template() string { return c.template }

// Names are those of the certificate as it would be signed.
func (c *CheckedX509) Names() Names { return c.names }
