package cli

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// jwkID is the key ID of a JWK provisioner.
func jwkID(p *provisioner.Provisioner) string {
	if j, ok := p.Kind().(*provisioner.JWK); ok && j.Key.JSONWebKey != nil {
		return j.Key.KeyID
	}
	return ""
}

// proveJWK signs a token with the key of a JWK provisioner: the one given, else the one that
// the CA keeps for everybody who knows its password.
func proveJWK(ctx context.Context, p *proof) (token string, err error) {
	if err := p.askSubject(ctx); err != nil {
		return "", err
	}
	prover, ok := p.provisioner.Kind().(*provisioner.JWK)
	if !ok {
		return "", fmt.Errorf("provisioner %q has no usable key", p.provisioner.Name)
	}
	p.want.Key, err = p.jwkKey(ctx, prover)
	if err != nil {
		return "", err
	}
	return prover.Prove(ctx, p.act, p.stamp())
}

// proveBare signs a token of a provisioner of which only the name and the key are known.
func (p *proof) proveBare(ctx context.Context) (token string, err error) {
	if p.flags.x5cFlags.wanted() {
		return proveX5C(ctx, p)
	}
	if p.flags.nebulaFlags.wanted() {
		return proveNebula(ctx, p)
	}
	if err := p.askSubject(ctx); err != nil {
		return "", err
	}
	if p.want.Key, err = p.jwkFile(ctx); err != nil {
		return "", err
	}
	prover, err := provisioner.NewJWK(p.flags.provisioner, p.flags.kid, p.want.Key.Public())
	if err != nil {
		return "", err
	}
	p.env.Done("Provisioner", "%s (JWK) [kid: %s]", printable(p.flags.provisioner), printable(prover.Key.KeyID))
	return prover.Prove(ctx, p.act, p.stamp())
}

func (p *proof) jwkKey(ctx context.Context, j *provisioner.JWK) (crypto.Signer, error) {
	if p.flags.key != "" {
		return p.jwkFile(ctx)
	}
	sealed, err := p.source.encryptedKey(ctx, j)
	if err != nil {
		return nil, err
	}
	if sealed == "" {
		return nil, fmt.Errorf("the CA does not keep the private key of provisioner %q: give --key", p.provisioner.Name)
	}
	var key crypto.Signer
	err = p.tryPassword(ctx, func(password []byte) error {
		jwk, err := keys.DecryptJWK([]byte(sealed), password)
		if err != nil {
			return err
		}
		signer, ok := jwk.Key.(crypto.Signer)
		if !ok {
			return fmt.Errorf("the key of provisioner %q can't sign", p.provisioner.Name)
		}
		key = signer
		return nil
	})
	return key, err
}

func (p *proof) jwkFile(ctx context.Context) (key crypto.Signer, err error) {
	if p.flags.kept(p.flags.key) {
		return p.env.keeperKey(ctx, p.flags.kms, p.flags.key)
	}
	data, err := p.env.readFile(p.flags.key)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	encrypted := false
	key, err = keys.ParsePrivate(data, p.flags.key, func(what string) ([]byte, error) {
		encrypted = true
		return keys.NoPassword(what)
	})
	if !encrypted {
		return key, err
	}
	err = p.tryPassword(ctx, func(password []byte) error {
		key, err = keys.ParsePrivate(data, p.flags.key, keys.FixedPassword(password))
		return err
	})
	return key, err
}

func (p *proof) name() string {
	if p.provisioner == nil {
		return p.flags.provisioner
	}
	return p.provisioner.Name
}

// passwordTries is how often a password is asked for. From a file it is tried once.
const passwordTries = 3

// tryPassword opens something with the password of the provisioner's key.
func (p *proof) tryPassword(ctx context.Context, open func(password []byte) error) error {
	file, flag := p.flags.proofPassword()
	q := question{label: "Password of the key of provisioner " + printable(p.name()), flag: flag, empty: true}
	for try := 1; ; try++ {
		password, err := p.env.readPassword(ctx, file, q)
		if err != nil {
			return err
		}
		err = open(password)
		clear(password)
		if err == nil || !errors.Is(err, keys.ErrPassword) {
			return err
		}
		if file != "" || try == passwordTries {
			return fmt.Errorf("the password of the key of provisioner %q is wrong, or the key is damaged", p.name())
		}
		p.env.Note("The password is wrong, try again.")
	}
}
