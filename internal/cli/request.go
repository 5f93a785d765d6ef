package cli

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
)

// newRequest is a certificate request for a key. The kinds of the names are found by their
// looks.
func newRequest(key crypto.Signer, commonName string, names []string) (*x509.CertificateRequest, error) {
	n := issue.NamesOf(names)
	template := &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: commonName},
		DNSNames: n.DNS, IPAddresses: n.IPs, EmailAddresses: n.Emails, URIs: n.URIs,
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate request for %q: %w", commonName, err)
	}
	return x509.ParseCertificateRequest(der)
}

// tokenKind guesses from a token which type of provisioner it is of; "" if nothing fits. Only
// the CA knows for sure.
func tokenKind(t *provisioner.Token) string {
	claims := t.Claims()
	for _, mark := range []struct{ claim, kind string }{
		{"kubernetes.io", "K8sSA"}, {"google", "GCP"}, {"amazon", "AWS"}, {"xms_mirid", "Azure"},
	} {
		if _, ok := claims[mark.claim]; ok {
			return mark.kind
		}
	}
	ours := slices.ContainsFunc(t.Audience, func(aud string) bool { return strings.Contains(aud, "/sign") })
	switch {
	case t.Issuer == "kubernetes/serviceaccount":
		return "K8sSA"
	case len(t.X5C)+len(t.X5CInsecure) > 0:
		return "X5C"
	case t.Nebula != "":
		return "Nebula"
	case ours || t.Issuer != "" && slices.Contains(t.Audience, "step-certificate-authority"):
		return "JWK"
	case t.AuthorizedParty != "" || t.Email != "" || t.Nonce != "" || strings.HasPrefix(t.Issuer, "https://"):
		return "OIDC"
	}
	return ""
}

// namesOfToken is what a request with this token must ask for: JWK, X5C and Nebula tokens carry
// the names themselves, and the subject on the command line must be theirs. K8sSA tokens carry
// none, and any may be asked for.
func namesOfToken(t *provisioner.Token, subject string) (commonName string, names []string, err error) {
	switch kind := tokenKind(t); kind {
	case "JWK", "X5C", "Nebula":
	case "AWS":
		if t.Subject != "" && t.Subject != subject {
			return "", nil, fmt.Errorf("the token is for the subject %q, not for %q", t.Subject, subject)
		}
		return subject, nil, nil
	case "K8sSA", "GCP", "Azure":
		return subject, nil, nil
	case "":
		return "", nil, fmt.Errorf("the token is of no kind that is known here")
	default:
		return "", nil, fmt.Errorf("the token is of a provisioner of type %s; this version can't make requests for those: make one yourself and use `ca sign`", kind)
	}
	if !strings.EqualFold(t.Subject, subject) {
		return "", nil, fmt.Errorf("the token is for the subject %q, not for %q", t.Subject, subject)
	}
	names = t.SANs
	if len(names) == 0 {
		names = []string{t.Subject}
	}
	return t.Subject, names, nil
}
