package testca

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
)

// PKI is somebody else's root, intermediate and their keys.
type PKI struct {
	Root, Intermediate       *x509.Certificate
	RootKey, IntermediateKey crypto.Signer
	ca                       *CA
}

// PKI makes certificates that have nothing to do with the CA.
func (c *CA) PKI() *PKI {
	c.t.Helper()
	p := &PKI{RootKey: P256(c.t), IntermediateKey: P256(c.t), ca: c}
	p.Root = c.Certify(Template("Other Root CA", 2, nil), nil, p.RootKey.Public(), p.RootKey)
	p.Intermediate = c.Certify(Template("Other Intermediate CA", 1, nil), p.Root, p.IntermediateKey.Public(), p.RootKey)
	return p
}

// Issue makes a leaf below the intermediate.
func (p *PKI) Issue(cn string, bend func(*x509.Certificate)) *Holder {
	p.ca.t.Helper()
	return p.ca.Foreign(cn, p.Intermediate, p.IntermediateKey, bend)
}

// X5C is the JSON object of an X5C provisioner with these roots. Further members go over the
// usual ones.
func X5C(name string, more map[string]any, roots ...*x509.Certificate) string {
	var bundle []byte
	for _, root := range roots {
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
	}
	object := map[string]any{"type": "X5C", "name": name, "roots": base64.StdEncoding.EncodeToString(bundle)}
	for k, v := range more {
		object[k] = v
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// X5CToken makes a token of an X5C provisioner, signed by the holder's key, its chain in the
// header. at is what it is made out to, such as /1.0/sign#x5c/name.
func (c *CA) X5CToken(h *Holder, at, subject string, bend ...Bend) string {
	c.t.Helper()
	_, name, _ := strings.Cut(at, "#x5c/")
	t := c.bare(subject, at)
	t.Header = map[string]any{"typ": "JWT", "alg": algorithmOf(h.Key), "x5c": Encode(h.Chain...)}
	t.Claims["iss"] = name
	t.Key = h.Key
	return t.With(bend...).Compact(c.t)
}
