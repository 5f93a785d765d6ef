package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
)

// pairMode: certificates are public, but existing scripts expect both files like this.
const pairMode fs.FileMode = 0o600

// pair is a certificate, leaf first, and its key, as files.
type pair struct {
	crtFile, keyFile string
	chain            []*x509.Certificate
	key              crypto.Signer
	password         []byte // that opened the key; nil: it was not encrypted
	kept             bool   // the key is at its keeper, under the name keyFile, and stays there
}

// readPair reads a certificate and its key. An interrupted write is finished first.
func readPair(crtFile, keyFile string, password keys.Password) (*pair, error) {
	p := &pair{crtFile: crtFile, keyFile: keyFile}
	remember := func(what string) (secret []byte, err error) {
		secret, err = password(what)
		p.password = secret
		return secret, err
	}
	var err error
	if p.chain, err = keys.ReadCertificates(crtFile); err != nil {
		return nil, err
	}
	if err := p.settle(remember); err != nil {
		return nil, err
	}
	if p.key, err = keys.ReadPrivate(keyFile, remember); err != nil {
		return nil, err
	}
	if !keys.SamePublicKey(p.chain[0].PublicKey, p.key.Public()) {
		return nil, fmt.Errorf("the key in %s does not belong to the certificate in %s", keyFile, crtFile)
	}
	return p, nil
}

// store writes the pair: the key unencrypted, or under the password it was encrypted with.
func (p *pair) store() (err error) {
	if p.kept {
		return durable.WriteFile(p.crtFile, keys.EncodeCertificates(p.chain...), pairMode)
	}
	var keyPEM []byte
	if len(p.password) == 0 {
		keyPEM, err = keys.EncodePrivate(p.key)
	} else {
		keyPEM, err = keys.EncodeEncrypted(p.key, p.password)
	}
	if err != nil {
		return err
	}
	defer clear(keyPEM)
	return p.write(keyPEM)
}

// write puts a new certificate and its new key, in PEM, in place of what was there.
//
// Two files can't be replaced in one step, so a crash in between must be healed. The new key
// is first stored beside its place; then the certificate is replaced; then the key. A crash
// before the certificate's turn leaves the old pair whole, and the stored key fits nothing. A
// crash after it leaves the new certificate beside the old key, and the stored key fits: the
// next renewal or rekey puts it in its place. Neither key is lost at any moment.
func (p *pair) write(keyPEM []byte) error {
	crtPEM := keys.EncodeCertificates(p.chain...)
	if !isFile(p.keyFile) {
		// There is no old key to lose: the new one first, so that no certificate is without.
		if err := durable.WriteFile(p.keyFile, keyPEM, pairMode); err != nil {
			return err
		}
		return durable.WriteFile(p.crtFile, crtPEM, pairMode)
	}
	if err := durable.WriteFile(p.storedKey(), keyPEM, pairMode); err != nil {
		return err
	}
	if err := durable.WriteFile(p.crtFile, crtPEM, pairMode); err != nil {
		return errors.Join(err, os.Remove(p.storedKey()))
	}
	return p.placeKey(keyPEM)
}

func (p *pair) placeKey(keyPEM []byte) error {
	if err := durable.WriteFile(p.keyFile, keyPEM, pairMode); err != nil {
		return err
	}
	return os.Remove(p.storedKey())
}

// storedKey is where a new key waits for its certificate.
func (p *pair) storedKey() string {
	return filepath.Join(filepath.Dir(p.keyFile), "."+filepath.Base(p.keyFile)+".next")
}

// settle finishes a write that was interrupted, or clears away what is left of it.
func (p *pair) settle(password keys.Password) error {
	data, err := os.ReadFile(p.storedKey())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the key of an interrupted write: %w", err)
	}
	defer clear(data)
	key, err := keys.ParsePrivate(data, p.storedKey(), password)
	if err != nil {
		return err
	}
	if keys.SamePublicKey(p.chain[0].PublicKey, key.Public()) {
		return p.placeKey(data)
	}
	return os.Remove(p.storedKey())
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// confirmPair asks before either file is overwritten.
func (e *Env) confirmPair(ctx context.Context, force bool, crtFile, keyFile string) error {
	if crtFile == keyFile {
		return usagef("certificate and key can't be the same file, %s", crtFile)
	}
	return e.confirmOverwrite(ctx, force, crtFile, keyFile)
}
