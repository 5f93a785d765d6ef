package issue

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// OIDProvisioner marks the extension in which a certificate carries its provisioner.
var OIDProvisioner = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 37476, 9000, 64, 1}

// Extension names the provisioner inside the certificate:
//
//	SEQUENCE { type INTEGER, name OCTET STRING, credentialID OCTET STRING,
//	           keyValuePairs SEQUENCE OF string OPTIONAL }
type Extension struct {
	Type         int
	Name         string
	CredentialID string
	Pairs        []string // flat key, value, key, value
}

type extensionASN1 struct {
	Type         int
	Name         []byte
	CredentialID []byte
	Pairs        []string `asn1:"optional,omitempty"`
}

// Marshal gives the extension, never critical.
func (e *Extension) Marshal() (pkix.Extension, error) {
	der, err := asn1.Marshal(extensionASN1{e.Type, []byte(e.Name), []byte(e.CredentialID), e.Pairs})
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encode the provisioner extension of %q: %w", e.Name, err)
	}
	return pkix.Extension{Id: OIDProvisioner, Value: der}, nil
}

// ProvisionerOf reads the provisioner extension of a certificate; nil if it has none or
// one that cannot be read.
func ProvisionerOf(c *x509.Certificate) *Extension {
	for _, ext := range c.Extensions {
		if !ext.Id.Equal(OIDProvisioner) {
			continue
		}
		var raw extensionASN1
		if rest, err := asn1.Unmarshal(ext.Value, &raw); err != nil || len(rest) > 0 {
			return nil
		}
		return &Extension{raw.Type, string(raw.Name), string(raw.CredentialID), raw.Pairs}
	}
	return nil
}
