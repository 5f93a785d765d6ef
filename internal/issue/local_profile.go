package issue

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"time"

	"github.com/signet-ca/signet/internal/fault"
)

// Profiles of certificates that are made by hand.
const (
	ProfileLeaf         = "leaf"            // TLS server and client
	ProfileSelfSigned   = "self-signed"     // as leaf, but without issuer
	ProfileIntermediate = "intermediate-ca" // a CA below which there are only leaves
	ProfileRoot         = "root-ca"         // a CA with one level of CAs below it
	ProfileRequest      = "csr"             // whatever a signing request asks for
)

// LeafLife is how long a leaf made by hand is good unless somebody wishes otherwise. CAs
// are good for AuthorityLifetime.
const LeafLife = 24 * time.Hour

// DraftLocal drafts a certificate by one of the profiles but ProfileRequest. CAs carry no
// names: they identify themselves by their subject.
func DraftLocal(profile string, subject pkix.Name, names Names, key crypto.PublicKey) (*LocalDraft, error) {
	cert := &x509.Certificate{Subject: subject, PublicKey: key}
	draft := &LocalDraft{Cert: cert, Life: LeafLife}
	switch profile {
	case ProfileLeaf, ProfileSelfSigned:
		cert.DNSNames, cert.IPAddresses, cert.EmailAddresses, cert.URIs = names.DNS, names.IPs, names.Emails, names.URIs
		cert.KeyUsage = leafUsage(key)
		cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	case ProfileIntermediate, ProfileRoot:
		draft.CA, draft.Life = true, AuthorityLifetime
		cert.IsCA, cert.BasicConstraintsValid = true, true
		cert.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		if profile == ProfileRoot {
			cert.MaxPathLen = 1
		} else {
			cert.MaxPathLenZero = true
		}
	default:
		return nil, fault.New(fault.Invalid, "there is no certificate profile %q", profile)
	}
	return draft, nil
}

// DraftRequested drafts what a signing request asks for, CA certificates included: whoever
// signs it by hand has read it. The request's signature was checked by CheckRequest. The
// identifier of the issuing key and the provisioner are not the asker's to choose.
func DraftRequested(r *x509.CertificateRequest) *LocalDraft {
	cert := &x509.Certificate{RawSubject: r.RawSubject, Subject: r.Subject, PublicKey: r.PublicKey}
	for _, ext := range r.Extensions {
		if !ext.Id.Equal(oidAuthorityKeyID) && !ext.Id.Equal(OIDProvisioner) {
			cert.ExtraExtensions = append(cert.ExtraExtensions, ext)
		}
	}
	return &LocalDraft{Cert: cert, CA: true, Life: LeafLife}
}

// DraftTemplate drafts what a template of whoever signs by hand makes of the data. A CA
// comes from it only if the template itself says so.
func DraftTemplate(t *X509Template, data *X509Data, key crypto.PublicKey) (*LocalDraft, error) {
	variables, err := data.Map()
	if err != nil {
		return nil, err
	}
	cert, err := t.Draft(variables)
	if err != nil {
		return nil, err
	}
	cert.PublicKey = key
	return &LocalDraft{Cert: cert, CA: t.AllowsCA(), Life: LeafLife}, nil
}

// DraftRequest drafts what a template makes of the data as a signing request: the content,
// and the challenge password, which no certificate has.
func DraftRequest(t *X509Template, data *X509Data) (cert *x509.Certificate, challenge string, err error) {
	variables, err := data.Map()
	if err != nil {
		return nil, "", err
	}
	out, err := t.Render(variables)
	if err != nil {
		return nil, "", err
	}
	written := struct {
		certificateJSON
		ChallengePassword string `json:"challengePassword"`
	}{}
	if err := decodeOutput(t.engine.name, out, t.opts.Strict, &written); err != nil {
		return nil, "", err
	}
	if err := refuseNoValue("challenge password", []string{written.ChallengePassword}); err != nil {
		return nil, "", err
	}
	cert, _, err = t.finish(&written.certificateJSON)
	return cert, written.ChallengePassword, err
}
