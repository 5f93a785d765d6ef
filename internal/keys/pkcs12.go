package keys

import (
	"crypto"
	"crypto/x509"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-ca/signet/internal/fault"
)

// EncodePKCS12 packs a key with its certificate and the chain above it. legacy chooses
// SHA-1 and RC2 for programs from before 2019; otherwise it is PBES2 and AES-256.
func EncodePKCS12(key crypto.PrivateKey, chain []*x509.Certificate, password string, legacy bool) ([]byte, error) {
	if len(chain) == 0 {
		return nil, fault.New(fault.Invalid, "a PKCS#12 file with a key needs the key's certificate")
	}
	out, err := pkcs12Encoder(legacy).Encode(key, chain[0], chain[1:], password)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the key and its chain can't be packed as PKCS#12")
	}
	return out, nil
}

// EncodePKCS12TrustStore packs certificates alone, as trusted ones in Java's manner.
func EncodePKCS12TrustStore(certs []*x509.Certificate, password string, legacy bool) ([]byte, error) {
	out, err := pkcs12Encoder(legacy).EncodeTrustStore(certs, password)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the certificates can't be packed as PKCS#12")
	}
	return out, nil
}

func pkcs12Encoder(legacy bool) *pkcs12.Encoder {
	if legacy {
		return pkcs12.LegacyRC2
	}
	return pkcs12.Modern
}
