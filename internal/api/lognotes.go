package api

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/issue"
)

// noteCertificate puts what was issued into the request log, under the names that existing
// log readers know.
func noteCertificate(r *http.Request, issued *ca.Issued) {
	leaf := issued.Chain[0]
	names := issue.CertificateNames(leaf)
	sans := map[string][]string{}
	if len(names.DNS) > 0 {
		sans["dns"] = names.DNS
	}
	if len(names.Emails) > 0 {
		sans["email"] = names.Emails
	}
	if len(names.IPs) > 0 {
		sans["ip"] = issue.Names{IPs: names.IPs}.Strings()
	}
	if len(names.URIs) > 0 {
		sans["uri"] = issue.Names{URIs: names.URIs}.Strings()
	}
	Note(r.Context(),
		"serial", leaf.SerialNumber.String(),
		"subject", leaf.Subject.CommonName,
		"issuer", leaf.Issuer.CommonName,
		"sans", sans,
		"valid-from", leaf.NotBefore.UTC().Format(time.RFC3339),
		"valid-to", leaf.NotAfter.UTC().Format(time.RFC3339),
		"public-key", keyName(leaf.PublicKey),
		"certificate", base64.StdEncoding.EncodeToString(leaf.Raw),
	)
	if p := issued.Provisioner; p != nil && p.Name != "" {
		credential := ""
		if ext := issue.ProvisionerOf(leaf); ext != nil {
			credential = ext.CredentialID
		}
		Note(r.Context(), "provisioner", p.Name+" ("+credential+")")
	}
}

func keyName(pub any) string {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}
