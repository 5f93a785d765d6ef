package issue

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/policy"
)

var oidKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 15}

// power is what a to-be-signed certificate may do to other certificates, read from the
// extensions as they will be signed.
type power struct {
	ca       bool // basicConstraints say CA
	pathLen  int  // -1: no limit; only where ca
	certSign bool
	crlSign  bool
}

// powerOf reads basicConstraints and keyUsage, raw extensions before members, since the
// raw ones are what is signed.
func powerOf(cert *x509.Certificate) (power, error) {
	p := power{ca: cert.IsCA && cert.BasicConstraintsValid, pathLen: cert.MaxPathLen}
	if p.pathLen == 0 && !cert.MaxPathLenZero {
		p.pathLen = -1
	}
	usage := cert.KeyUsage
	for _, ext := range cert.ExtraExtensions {
		switch {
		case ext.Id.Equal(oidBasicConstraints):
			var err error
			if p.ca, p.pathLen, err = readBasicConstraints(ext.Value); err != nil {
				return p, fault.Wrap(err, fault.Denied, "the basicConstraints extension cannot be read")
			}
		case ext.Id.Equal(oidKeyUsage):
			var err error
			if usage, err = keyUsageBits(ext.Value); err != nil {
				return p, fault.Wrap(err, fault.Denied, "the keyUsage extension cannot be read")
			}
		}
	}
	p.certSign, p.crlSign = usage&x509.KeyUsageCertSign != 0, usage&x509.KeyUsageCRLSign != 0
	return p, nil
}

// leaf reports whether there is no power at all.
func (p power) leaf() bool { return !p.ca && !p.certSign && !p.crlSign }

// checkPower refuses a certificate that would be a CA, or sign like one, unless it may, and
// holds one that may within the path length of its issuer.
func checkPower(cert, issuer *x509.Certificate, allowed bool) error {
	p, err := powerOf(cert)
	if err != nil {
		return err
	}
	switch {
	case p.leaf():
		return nil
	case !allowed:
		return fault.New(fault.Denied, "this would be a CA certificate; only a template whose own text contains isCA makes one")
	case p.certSign && !p.ca:
		// RFC 5280, Section 4.2.1.9: keyCertSign without cA must not be.
		return fault.New(fault.Denied, "the certificate template asks for certSign without basicConstraints that say isCA")
	case !p.ca || issuer == nil || issuer.MaxPathLen < 0 || issuer.MaxPathLen == 0 && !issuer.MaxPathLenZero:
		return nil
	case issuer.MaxPathLen == 0:
		return fault.New(fault.Denied, "the issuing certificate %q may not issue CA certificates: its path length is 0", issuer.Subject)
	case p.pathLen < 0 || p.pathLen >= issuer.MaxPathLen:
		return fault.New(fault.Denied, "the path length of the CA certificate must be below that of its issuer, which is %d", issuer.MaxPathLen)
	}
	return nil
}

// checkExtensions refuses raw extensions that stand twice, that are not one DER element, or
// that name another issuer than the one that signs. A nil issuer is not compared.
func checkExtensions(cert, issuer *x509.Certificate) error {
	seen := map[string]bool{}
	for _, ext := range cert.ExtraExtensions {
		id := ext.Id.String()
		if seen[id] {
			return fault.New(fault.Denied, "the extension %s would stand in the certificate twice", id)
		}
		seen[id] = true
		if err := oneElement(ext.Value); err != nil {
			return fault.Wrap(err, fault.Denied, "the extension %s cannot be read", id)
		}
		if ext.Id.Equal(oidAuthorityKeyID) && issuer != nil {
			if err := checkAuthorityKeyID(ext, issuer); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkAuthorityKeyID(ext pkix.Extension, issuer *x509.Certificate) error {
	var id struct {
		KeyID []byte `asn1:"optional,tag:0"`
	}
	if _, err := asn1.Unmarshal(ext.Value, &id); err != nil {
		return fault.Wrap(err, fault.Denied, "the authority key identifier cannot be read")
	}
	if !bytes.Equal(id.KeyID, issuer.SubjectKeyId) {
		return fault.New(fault.Denied, "the authority key identifier names another issuer than %q", issuer.Subject)
	}
	return nil
}

// Settle brings a drafted certificate into the form in which it will be signed and checks
// what only the whole shows: the subject is encoded once and for all, a CA certificate is
// one only where that is allowed and within the issuer's path length, no raw extension
// contradicts another. It returns every common name of the subject. Whoever drafts calls
// it last, after defaults and forced common names.
func Settle(cert, issuer *x509.Certificate, allowCA bool) ([]string, error) {
	names, err := settleSubject(cert)
	if err != nil {
		return nil, err
	}
	if err := checkPower(cert, issuer, allowCA); err != nil {
		return nil, err
	}
	return names, checkExtensions(cert, issuer)
}

// PolicyNames are the names of a settled certificate as name rules judge them, one value
// for each common name: rules must see what relying parties will.
func PolicyNames(cert *x509.Certificate, commonNames []string) ([]policy.Names, error) {
	all, err := finalNames(cert)
	if err != nil {
		return nil, err
	}
	names := policy.Names{DNS: all.DNS, IPs: all.IPs, Emails: all.Emails, URIs: all.uriStrings(), Other: all.Other}
	if len(commonNames) == 0 {
		return []policy.Names{names}, nil
	}
	list := make([]policy.Names, len(commonNames))
	for i, cn := range commonNames {
		list[i] = names
		list[i].CommonName = cn
	}
	return list, nil
}
