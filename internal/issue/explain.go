package issue

import (
	"crypto/x509"
	"net/url"

	"github.com/signet-ca/signet/internal/policy"
)

// PolicyNames are the names of a draft as name rules judge them, one value for each common
// name.
func (d *X509Draft) PolicyNames() ([]policy.Names, error) {
	commonNames, err := d.settle(d.grant.Profile.Authority)
	if err != nil {
		return nil, err
	}
	return PolicyNames(d.cert, commonNames)
}

// Principals are the type and the principals of a draft.
func (d *SSHDraft) Principals() (kind string, principals []string) {
	return SSHType(d.cert), d.cert.ValidPrincipals
}

// RequestPolicyNames are the names a certificate request asks for, as name rules judge them.
func RequestPolicyNames(r *x509.CertificateRequest) ([]policy.Names, error) {
	other, err := otherNames(r.Extensions)
	if err != nil {
		return nil, err
	}
	n := PolicyNamesOf(r.Subject.CommonName, RequestNames(r))
	n.Other = other
	return []policy.Names{n}, nil
}

// PolicyNamesOf are names as name rules judge them.
func PolicyNamesOf(commonName string, n Names) policy.Names {
	return policy.Names{CommonName: commonName, DNS: n.DNS, IPs: n.IPs, Emails: n.Emails, URIs: n.uriStrings()}
}

// CheckConstraints holds names against the name constraints of our issuers.
func CheckConstraints(a *Authority, n policy.Names) error {
	names := Names{DNS: n.DNS, IPs: n.IPs, Emails: n.Emails}
	for _, s := range n.URIs {
		if u, err := url.Parse(s); err == nil {
			names.URIs = append(names.URIs, u)
		}
	}
	return checkConstraints(a, names)
}
