package main

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"math/big"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/keys"
)

// What the floor does for operations other than a signature: nothing but what each needs.

// renew trusts TLS for the certificate, looks whether it was revoked, signs its successor.
func (f *floor) renew(w http.ResponseWriter, r *http.Request) {
	if len(r.TLS.VerifiedChains) == 0 {
		http.Error(w, "no client certificate", http.StatusUnauthorized)
		return
	}
	old := r.TLS.PeerCertificates[0]
	der, serial, err := f.certify(old.PublicKey, old.Subject.CommonName, old.DNSNames)
	if err == nil {
		err = f.commit(write{serial: serial, raw: der, current: old.SerialNumber.Text(16)})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	f.answer(w, der)
}

func (f *floor) readSSH(dir string, password []byte) error {
	key, err := keys.ReadPrivate(filepath.Join(dir, "secrets", "ssh_user_ca_key"), keys.FixedPassword(password))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f.userCA, err = ssh.NewSignerFromKey(key)
	return err
}

func (f *floor) sshSign(w http.ResponseWriter, r *http.Request) {
	var body struct{ PublicKey, OTT string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var claims struct {
		Jti  string
		Step struct {
			SSH struct {
				KeyID      string
				Principals []string
			}
		}
	}
	if err := f.claims(body.OTT, &claims); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	cert, err := f.certifySSH(body.PublicKey, claims.Step.SSH.KeyID, claims.Step.SSH.Principals)
	if err == nil {
		err = f.commit(write{proof: claims.Jti, serial: strconv.FormatUint(cert.Serial, 16), raw: cert.Marshal()})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]string{"crt": base64.StdEncoding.EncodeToString(cert.Marshal())})
}

func (f *floor) certifySSH(key, id string, principals []string) (*ssh.Certificate, error) {
	wire, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return nil, err
	}
	public, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, err
	}
	var serial [8]byte
	_, _ = rand.Read(serial[:]) // crypto/rand never fails
	now := time.Now()
	cert := &ssh.Certificate{Key: public, Serial: binary.BigEndian.Uint64(serial[:]), CertType: ssh.UserCert, KeyId: id, ValidPrincipals: principals,
		ValidAfter: uint64(now.Unix()), ValidBefore: uint64(now.Add(16 * time.Hour).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": "", "permit-user-rc": "", "permit-agent-forwarding": "",
			"permit-port-forwarding": "", "permit-X11-forwarding": ""}}}
	return cert, cert.SignCert(rand.Reader, f.userCA)
}

func (f *floor) revoke(w http.ResponseWriter, r *http.Request) {
	var body struct{ Serial, OTT string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sub, _, jti, err := f.verify(body.OTT)
	n, ok := new(big.Int).SetString(body.Serial, 10)
	if err != nil || !ok || sub != body.Serial {
		http.Error(w, "not proven", http.StatusUnauthorized)
		return
	}
	if err := f.commit(write{proof: jti, serial: n.Text(16), revoke: true}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "ok"})
}

func (f *floor) crl(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/pkix-crl")
	_, _ = w.Write(f.list)
}

func (f *floor) emptyList() ([]byte, error) {
	signer, ok := f.key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the issuing key cannot sign")
	}
	now := time.Now()
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now, NextUpdate: now.Add(24 * time.Hour)}, f.issuer, signer)
}
