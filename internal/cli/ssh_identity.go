package cli

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"

	"golang.org/x/crypto/blake2b"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
)

// sshIdentity is an X.509 certificate got together with an SSH one, to be shown to a CA that
// talks to known clients only.
type sshIdentity struct {
	key     crypto.Signer
	request *x509.CertificateRequest
}

// newSSHIdentity makes the request of an identity, where the CA wants clients to have one;
// else it is nil.
func (e *Env) newSSHIdentity(ctx context.Context, source *authority, who sshSubject, hostID string) (*sshIdentity, error) {
	if source.client == nil {
		return nil, nil
	}
	version, err := source.client.Version(ctx)
	if err != nil || !version.RequireClientAuthentication {
		return nil, nil // what matters fails later, with a better reason
	}
	return e.makeSSHIdentity(who, hostID)
}

func (e *Env) makeSSHIdentity(who sshSubject, hostID string) (*sshIdentity, error) {
	key, err := keys.Alg{}.Generate()
	if err != nil {
		return nil, err
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: who.name}}
	if who.kind == "host" {
		id, err := e.hostID(hostID)
		if err != nil {
			return nil, err
		}
		template.URIs = []*url.URL{{Scheme: "urn", Opaque: "uuid:" + id}}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("make the request of the identity: %w", err)
	}
	request, err := x509.ParseCertificateRequest(der)
	return &sshIdentity{key, request}, err
}

// hostID is the ID given, this machine's, that of the identity here, or a new one.
func (e *Env) hostID(given string) (string, error) {
	switch {
	case given == "machine":
		return machineID()
	case given != "":
		if !isUUID(given) {
			return "", errValue("host-id", given, "machine", "a UUID")
		}
		return given, nil
	}
	if old, err := keys.ReadCertificates(e.Home.Path("identity", "identity.crt")); err == nil {
		for _, u := range old[0].URIs {
			if id := u.Opaque; u.Scheme == "urn" && len(id) > 5 && isUUID(id[5:]) {
				return id[5:], nil
			}
		}
	}
	var id [16]byte
	rand.Read(id[:])
	return uuidV4(id[:]), nil
}

// machineID is a UUID that this machine keeps and that does not tell its machine ID, which
// is not for others to know.
func machineID() (string, error) {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return "", fmt.Errorf("read the ID of this machine: %w", err)
	}
	hash, err := blake2b.New(16, []byte("man moon machine"))
	if err != nil {
		return "", fmt.Errorf("hash the ID of this machine: %w", err)
	}
	hash.Write(id)
	return uuidV4(hash.Sum(nil)), nil
}

// uuidV4 sets version and variant of RFC 9562, Section 5.4.
func uuidV4(b []byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// store puts the identity where all commands find it.
func (i *sshIdentity) store(env *Env, chain []signet.Certificate) error {
	if len(chain) == 0 || chain[0].Certificate == nil || !keys.SamePublicKey(chain[0].PublicKey, i.key.Public()) {
		return errors.New("the CA's answer holds no identity certificate for the key here")
	}
	var certs []*x509.Certificate
	for _, c := range chain {
		certs = append(certs, c.Certificate)
	}
	key, err := keys.EncodePrivate(i.key)
	if err != nil {
		return err
	}
	defer clear(key)
	id := identity{Type: "mTLS", Certificate: env.Home.Path("identity", "identity.crt"), Key: env.Home.Path("identity", "identity_key")}
	text, err := json.MarshalIndent(id, "", "   ")
	if err != nil {
		return err
	}
	file := env.Home.Path("config", "identity.json")
	if err := makeDirs(id.Certificate, file); err != nil {
		return err
	}
	for _, one := range []struct {
		name string
		data []byte
	}{{id.Key, key}, {id.Certificate, keys.EncodeCertificates(certs...)}, {file, append(text, '\n')}} {
		if err := durable.WriteFile(one.name, one.data, 0o600); err != nil {
			return err
		}
	}
	env.Done("Identity", "%s", id.Certificate)
	return nil
}
