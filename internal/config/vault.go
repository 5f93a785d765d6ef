package config

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/signet-ca/signet/internal/keys"
)

// errNoVault is a CA that has nothing to seal with.
var errNoVault = errors.New("secrets stand in the database as they are: the key of the issuing certificate is not in this process; set signet.databaseSecret")

// Vault is what seals secrets in the database: by signet.databaseSecret or, without it, by
// the key of the issuing certificate, which every server of the CA has. That key goes on to
// open what it sealed before there was a databaseSecret. A nil key is one that is not at
// hand. Without anything to seal with the vault is nil, and the warning says so.
func (c *Config) Vault(key crypto.Signer) (v *keys.Vault, warning, err error) {
	var secrets [][]byte
	if c.Signet != nil {
		for i, s := range append([]Secret{c.Signet.DatabaseSecret}, c.Signet.PreviousDatabaseSecrets...) {
			name := "signet.databaseSecret"
			if i > 0 {
				name = element("signet.previousDatabaseSecrets", i-1)
			} else if s == "" {
				continue
			}
			secret, err := s.Reveal()
			if err == nil && len(secret) < minDatabaseSecret {
				err = fmt.Errorf("%d characters are too few, %d are the least; `signet crypto rand` makes good ones", len(secret), minDatabaseSecret)
			}
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			secrets = append(secrets, secret)
		}
	}
	switch der := material(key); {
	case der != nil && c.sealsByKey():
		secrets = append([][]byte{der}, secrets...)
	case der != nil:
		secrets = append(secrets, der)
	case len(secrets) == 0:
		return nil, errNoVault, nil
	case c.sealsByKey():
		return nil, nil, errors.New("signet.previousDatabaseSecrets: they only open what they sealed, and nothing is there to seal with: the key of the issuing certificate is not in this process; set signet.databaseSecret")
	}
	v, err = keys.NewVault(secrets...)
	return v, nil, err
}

const minDatabaseSecret = 16

// sealsByKey reports whether the key of the issuing certificate seals.
func (c *Config) sealsByKey() bool { return c.Signet == nil || c.Signet.DatabaseSecret == "" }

func material(key crypto.Signer) []byte {
	if key == nil {
		return nil
	}
	return keys.Material(key)
}

// OpenVault is Vault for a command that has not read the key. It reads it only if it has to.
func (c *Config) OpenVault(pw keys.Password) (v *keys.Vault, warning, err error) {
	if !c.sealsByKey() {
		return c.Vault(nil)
	}
	key, err := keys.ReadPrivate(KeyFile(c.Key), pw)
	if err != nil {
		return nil, nil, fmt.Errorf("key: %w", shortened(err))
	}
	return c.Vault(key)
}
