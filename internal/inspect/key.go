package inspect

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// publicKey shows a key: coordinates or modulus where we know the kind, else the bits.
func (s *sheet) publicKey(key crypto.PublicKey, spki []byte) {
	s.line(2, "Subject Public Key Info:")
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		s.line(3, "Public Key Algorithm: ECDSA")
		s.line(4, "Public-Key: (%d bit)", k.Params().BitSize)
		x, y := coordinates(k)
		s.line(4, "X:")
		s.hex("                    ", x, 15)
		s.line(4, "Y:")
		s.hex("                    ", y, 15)
		s.line(4, "Curve: %s", k.Params().Name)
	case *rsa.PublicKey:
		s.line(3, "Public Key Algorithm: RSA")
		s.line(4, "Public-Key: (%d bit)", k.N.BitLen())
		s.line(4, "Modulus:")
		modulus := k.N.Bytes()
		if len(modulus) > 0 && modulus[0]&0x80 != 0 {
			modulus = append([]byte{0}, modulus...) // as its INTEGER is encoded
		}
		s.hex("                    ", modulus, 15)
		s.line(4, "Exponent: %d (%#x)", k.E, k.E)
	case ed25519.PublicKey:
		s.line(3, "Public Key Algorithm: Ed25519")
		s.line(4, "Public-Key: (%d bit)", 8*len(k))
		s.hex("                    ", k, 15)
	default:
		id, bits := rawKey(spki)
		s.line(3, "Public Key Algorithm: %s", id)
		s.line(4, "Public-Key: (%d bytes)", len(bits))
		s.hex("                    ", bits, 15)
	}
}

// coordinates are the affine coordinates, of full length.
func coordinates(k *ecdsa.PublicKey) (x, y []byte) {
	point, err := k.Bytes()
	if err != nil || len(point) < 3 {
		return nil, nil
	}
	half := (len(point) - 1) / 2
	return point[1 : 1+half], point[1+half:] // behind the 0x04 of an uncompressed point
}

// rawKey takes a SubjectPublicKeyInfo apart without understanding the key.
func rawKey(spki []byte) (algorithm string, bits []byte) {
	in := cryptobyte.String(spki)
	var info, alg cryptobyte.String
	if !in.ReadASN1(&info, asn1.SEQUENCE) || !info.ReadASN1(&alg, asn1.SEQUENCE) {
		return "unknown", spki
	}
	id, ok := readOID(&alg)
	if !ok || !info.ReadASN1BitStringAsBytes(&bits) {
		return "unknown", spki
	}
	return id, bits
}

// keyName names a key in a few letters: its kind and its size or curve.
func keyName(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown key"
}
