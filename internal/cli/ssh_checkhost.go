package cli

import (
	"context"
	"encoding/base64"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/keys"
)

// checkHostToken says who asks about a host, where the CA wants clients to be known: a token
// signed with the identity's key. Without an identity, or without need, it is empty.
func (e *Env) checkHostToken(ctx context.Context, client *signet.Client, host string) string {
	chain, err := keys.ReadCertificates(e.Home.Path("identity", "identity.crt"))
	if err != nil {
		return ""
	}
	version, err := client.Version(ctx)
	if err != nil || !version.RequireClientAuthentication {
		return ""
	}
	key, err := keys.ReadPrivate(e.Home.Path("identity", "identity_key"), keys.NoPassword)
	if err != nil {
		return ""
	}
	var x5c []string
	for _, c := range chain {
		x5c = append(x5c, base64.StdEncoding.EncodeToString(c.Raw))
	}
	now := e.Now().Unix()
	token, err := keys.SignJWT(key, map[string]any{"x5cInsecure": x5c}, map[string]any{"iss": "x5c-identity", "sub": host,
		"aud": client.URL() + "/ssh/check-host", "iat": now, "nbf": now, "exp": now + 300, "jti": keys.RandomHex(32)})
	if err != nil {
		return ""
	}
	return token
}
