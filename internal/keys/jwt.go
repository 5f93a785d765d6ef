package keys

import (
	"crypto"
	"encoding/json"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/signet-ca/signet/internal/fault"
)

// SignJWT signs claims with key. The algorithm is the default of the key's type, or the one
// that header names as "alg", if it fits. header adds members and replaces typ, "JWT". key
// may live in a keeper.
func SignJWT(key crypto.Signer, header map[string]any, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "the claims can't be written as JSON")
	}
	fitting := SignatureAlgorithms(key.Public())
	if _, ok := key.(*X25519Signer); ok {
		fitting = []jose.SignatureAlgorithm{XEdDSA}
	}
	if len(fitting) == 0 {
		return "", fault.New(fault.Invalid, "a key of type %T can't sign tokens", key.Public())
	}
	alg := fitting[0]
	opts := new(jose.SignerOptions).WithType("JWT")
	for name, value := range header {
		if name != "alg" {
			opts = opts.WithHeader(jose.HeaderKey(name), value)
			continue
		}
		wish, _ := value.(string)
		alg = jose.SignatureAlgorithm(wish)
		if !slices.Contains(fitting, alg) {
			return "", fault.New(fault.Invalid, "algorithm %q doesn't fit the key: %v do", wish, fitting)
		}
	}
	var with any
	if x, ok := key.(*X25519Signer); ok {
		with = opaqueX25519{x}
	} else if local, err := signer(key); err == nil {
		with = local
	} else {
		with = cryptosigner.Opaque(key)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: with}, opts)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "the key can't sign tokens")
	}
	obj, err := s.Sign(payload)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the token can't be signed")
	}
	return obj.CompactSerialize()
}
