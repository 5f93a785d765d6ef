package testca

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slackhq/nebula/cert"
)

// Nebula is the CA of an overlay network.
type Nebula struct {
	Cert  cert.Certificate
	key   []byte // as the library signs with it
	curve cert.Curve
	t     testing.TB
}

// NebulaHost is a host in it: its certificate, and its key as tokens are signed by hand.
type NebulaHost struct {
	Cert cert.Certificate
	Key  crypto.Signer // *ecdsa.PrivateKey, or an ed25519.PrivateKey that signs as its X25519 key does by XEdDSA
	Raw  []byte        // private key as nebula-cert writes it
}

// Alg is the algorithm of its tokens.
func (h *NebulaHost) Alg() string {
	if h.Cert.Curve() == cert.Curve_P256 {
		return "ES256"
	}
	return "XEdDSA"
}

// NewNebula makes the CA of a network.
func NewNebula(t testing.TB, version cert.Version, curve cert.Curve, bend ...func(*cert.TBSCertificate)) *Nebula {
	t.Helper()
	n := &Nebula{curve: curve, t: t}
	now := time.Now()
	tbs := &cert.TBSCertificate{Version: version, Name: "Mesh CA", IsCA: true, Curve: curve, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(48 * time.Hour)}
	if curve == cert.Curve_P256 {
		key := P256(t)
		n.key, tbs.PublicKey = p256Octets(t, key)
	} else {
		key := Ed25519(t)
		n.key, tbs.PublicKey = key, key.Public().(ed25519.PublicKey)
	}
	for _, b := range bend {
		b(tbs)
	}
	var err error
	if n.Cert, err = tbs.Sign(nil, curve, n.key); err != nil {
		t.Fatal(err)
	}
	return n
}

// Issue makes the certificate of a host.
func (n *Nebula) Issue(name string, network string, bend ...func(*cert.TBSCertificate)) *NebulaHost {
	n.t.Helper()
	now := time.Now()
	h := new(NebulaHost)
	tbs := &cert.TBSCertificate{Version: n.Cert.Version(), Name: name, Networks: []netip.Prefix{netip.MustParsePrefix(network)}, Groups: []string{"web"},
		Curve: n.curve, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	if n.curve == cert.Curve_P256 {
		key := P256(n.t)
		h.Key = key
		h.Raw, tbs.PublicKey = p256Octets(n.t, key)
	} else {
		h.Key, h.Raw, tbs.PublicKey = x25519(n.t)
	}
	for _, b := range bend {
		b(tbs)
	}
	var err error
	if h.Cert, err = tbs.Sign(n.Cert, n.curve, n.key); err != nil {
		n.t.Fatal(err)
	}
	return h
}

// x25519 makes an Ed25519 key whose point has the sign bit 0, and the X25519 key with the
// same scalar. What the first signs is what the second signs by XEdDSA: its signatures are
// Ed25519's, by the point of sign 0.
func x25519(t testing.TB) (key ed25519.PrivateKey, private, public []byte) {
	t.Helper()
	for {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if k[63]&0x80 != 0 {
			continue
		}
		h := sha512.Sum512(k.Seed())
		x, err := ecdh.X25519().NewPrivateKey(h[:32])
		if err != nil {
			t.Fatal(err)
		}
		return k, h[:32], x.PublicKey().Bytes()
	}
}

func p256Octets(t testing.TB, key *ecdsa.PrivateKey) (private, public []byte) {
	t.Helper()
	private, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = key.PublicKey.Bytes(); err != nil {
		t.Fatal(err)
	}
	return private, public
}

// PEM is the CA's certificate as nebula-cert writes it.
func (n *Nebula) PEM() []byte { return nebulaPEM(n.t, n.Cert) }

func nebulaPEM(t testing.TB, c cert.Certificate) []byte {
	t.Helper()
	text, err := c.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Header is the certificate as tokens carry it.
func (h *NebulaHost) Header(t testing.TB) string {
	t.Helper()
	raw, err := h.Cert.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// NebulaProvisioner is the JSON object of a Nebula provisioner.
func NebulaProvisioner(name string, more map[string]any, networks ...*Nebula) string {
	var roots bytes.Buffer
	for _, n := range networks {
		roots.Write(n.PEM())
	}
	object := map[string]any{"type": "Nebula", "name": name, "roots": roots.Bytes()}
	for k, v := range more {
		object[k] = v
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// NebulaToken makes a token of a Nebula provisioner by hand. at is what it is made out to,
// such as /1.0/sign#nebula/name.
func (c *CA) NebulaToken(h *NebulaHost, at, subject string, bend ...Bend) string {
	c.t.Helper()
	_, name, _ := strings.Cut(at, "#nebula/")
	t := c.bare(subject, at)
	t.Header = map[string]any{"typ": "JWT", "alg": h.Alg(), "nebula": h.Header(c.t)}
	t.Claims["iss"] = name
	t.Key = h.Key
	return t.With(bend...).Compact(c.t)
}
