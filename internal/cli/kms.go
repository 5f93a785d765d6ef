package cli

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-ca/signet/internal/keys"
)

// pluginKey is a private key that never leaves its keeper: the plugin for key management
// systems signs with it.
type pluginKey struct {
	ctx       context.Context // of the command: crypto.Signer has no place for one
	path      string          // of the plugin
	kms, name string          // URIs of the keeper and of the key
	public    crypto.PublicKey
}

// keeperKey opens a key of a key management system by its plugin.
func (e *Env) keeperKey(ctx context.Context, kms, name string) (*pluginKey, error) {
	path := findPlugin(e, "kms")
	if path == "" {
		return nil, errors.New("keys of a key management system need the plugin step-kms-plugin, which is not installed: put it into $PATH or the plugins directory of 'path --base'")
	}
	k := &pluginKey{ctx: ctx, path: path, kms: kms, name: name}
	text, err := k.run(nil, "key")
	if err != nil {
		return nil, err
	}
	if k.public, err = keys.ParsePublic(text); err != nil {
		return nil, fmt.Errorf("read the public key of %s: %w", k.label(), err)
	}
	return k, nil
}

// Public is the public half of the key.
func (k *pluginKey) Public() crypto.PublicKey { return k.public }

// Sign has the plugin sign a digest, or a whole message where the algorithm wants one.
func (k *pluginKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	args := []string{"--format", "base64"}
	if hash := opts.HashFunc(); hash != 0 {
		args = append(args, "--alg", strings.ReplaceAll(hash.String(), "-", ""))
	}
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		length := pss.SaltLength
		if length == rsa.PSSSaltLengthEqualsHash || length == rsa.PSSSaltLengthAuto {
			length = opts.HashFunc().Size()
		}
		args = append(args, "--pss", "--salt-length", strconv.Itoa(length))
	}
	text, err := k.run(digest, "sign", args...)
	if err != nil {
		return nil, err
	}
	signature, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, fmt.Errorf("read the signature of %s: it is no base64", k.label())
	}
	return signature, nil
}

// run runs a verb of the plugin on the key.
func (k *pluginKey) run(stdin []byte, verb string, flags ...string) ([]byte, error) {
	args := append([]string{verb}, flags...)
	if k.kms != "" {
		args = append(args, "--kms", k.kms)
	}
	cmd := exec.CommandContext(k.ctx, k.path, append(args, k.name)...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &complaint
	if err := cmd.Run(); err != nil {
		why := strings.TrimSpace(complaint.String())
		return nil, fmt.Errorf("%s %s %s: %w: %s", k.path, verb, k.label(), err, printable(why[:min(len(why), 500)]))
	}
	return out.Bytes(), nil
}

// label names the key in messages: its URI without attributes that may be secret (RFC 7512,
// Section 2.4).
func (k *pluginKey) label() string {
	name, _, _ := strings.Cut(k.name, "?")
	if before, _, found := strings.Cut(name, "pin-"); found {
		return before + "..."
	}
	return name
}

// keyURIs are the schemes of keys in a key management system.
var keyURIs = []string{"pkcs11", "yubikey", "awskms", "azurekms", "cloudkms", "tpmkms", "sshagentkms", "capi", "mackms", "kms"}

// kept reports whether a key is at a keeper: it has the URI of one, and --kms says which.
func (s *siteFlags) kept(name string) bool {
	scheme, _, found := strings.Cut(name, ":")
	return s.kms != "" && found && slices.Contains(keyURIs, strings.ToLower(scheme))
}

// openKey reads a private key from a file, or opens it at its keeper.
func (s *siteFlags) openKey(ctx context.Context, env *Env, name string, password keys.Password) (crypto.Signer, error) {
	if s.kept(name) {
		return env.keeperKey(ctx, s.kms, name)
	}
	return keys.ReadPrivate(name, password)
}

// readPair reads a certificate and its key, which may be at a keeper.
func (s *siteFlags) readPair(ctx context.Context, env *Env, crtFile, keyFile string) (*pair, error) {
	if !s.kept(keyFile) {
		return readPair(crtFile, keyFile, env.password(ctx, s.passwordFile, "password-file"))
	}
	chain, err := keys.ReadCertificates(crtFile)
	if err != nil {
		return nil, err
	}
	key, err := env.keeperKey(ctx, s.kms, keyFile)
	if err != nil {
		return nil, err
	}
	if !keys.SamePublicKey(chain[0].PublicKey, key.Public()) {
		return nil, fmt.Errorf("the key %s does not belong to the certificate in %s", key.label(), crtFile)
	}
	return &pair{crtFile: crtFile, keyFile: keyFile, chain: chain, key: key, kept: true}, nil
}

// signingKey reads a private key from a file, or opens it at its keeper if kms says which.
func (e *Env) signingKey(ctx context.Context, kms, name string, password keys.Password) (crypto.Signer, error) {
	if kms != "" {
		return e.keeperKey(ctx, kms, name)
	}
	return keys.ReadPrivate(name, password)
}
