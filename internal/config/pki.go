package config

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// PKI is what the files of a configuration hold, checked against each other.
type PKI struct {
	Roots     []*x509.Certificate // all certificates of root
	Federated []*x509.Certificate // all certificates of federatedRoots
	Chain     []*x509.Certificate // crt: issuing certificate first, then what leads to the root; no root
	Anchor    *x509.Certificate   // the root that Chain leads to
	Signer    crypto.Signer       // private key of Chain[0]
	Previous  []*x509.Certificate // earlier issuing certificates
}

// soon is when the end of an issuing certificate is worth a warning at each start.
const soon = 30 * 24 * time.Hour

// LoadPKI reads the certificates and the key of a configuration and checks that they are one
// working CA. A nil pw means the configured password. The error joins all complaints.
func LoadPKI(c *Config, pw keys.Password, now time.Time) (*PKI, []Complaint, error) {
	if pw == nil {
		pw = c.KeyPassword(nil)
	}
	l := &loader{c: c, now: now, src: &source{name: "configuration", at: map[string]int{}, broken: map[string]bool{}}}
	if c.source != nil {
		l.src = &source{name: c.source.name, data: c.source.data, at: c.source.at, broken: map[string]bool{}}
	}
	p := &PKI{
		Roots:     l.certificates("root", c.Root, true),
		Federated: l.certificates("federatedRoots", c.FederatedRoots, false),
		Chain:     l.certificates("crt", []string{c.Certificate}, false),
		Previous:  l.certificates("authority.previousIssuers", c.Authority.PreviousIssuers, false),
	}
	l.checkRoots(p)
	if len(p.Chain) > 0 {
		l.checkIssuer(p.Chain[0])
		l.checkChain(p)
	}
	l.checkPrevious(p)
	l.readKey(p, pw)
	report, err := l.src.report(false)
	if err != nil {
		return nil, report.Warnings, err
	}
	return p, report.Warnings, nil
}

// loader collects complaints while it reads.
type loader struct {
	c   *Config
	now time.Time
	src *source
}

func (l *loader) certificates(path string, files []string, list bool) []*x509.Certificate {
	var all []*x509.Certificate
	for i, file := range files {
		certs, err := keys.ReadCertificates(file)
		if err != nil {
			at := path
			if list || len(files) > 1 {
				at = element(path, i)
			}
			l.src.complain(at, "%s: %v", path, err)
		}
		all = append(all, certs...)
	}
	return all
}

func (l *loader) checkRoots(p *PKI) {
	for _, root := range p.Roots {
		name := nameOf(root)
		switch {
		case !root.IsCA:
			l.src.complain("root", "root: %s is not the certificate of a CA", name)
			continue
		case l.now.After(root.NotAfter):
			l.src.warn("root", "root: %s expired at %s", name, stamp(root.NotAfter))
		}
		selfSigned := bytes.Equal(root.RawSubject, root.RawIssuer) && root.CheckSignature(root.SignatureAlgorithm, root.RawTBSCertificate, root.Signature) == nil
		if !selfSigned && (l.c.Signet == nil || !l.c.Signet.TrustAnchors) {
			l.src.warn("root", `root: %s is not self-signed, so it is no root by itself; if it is meant to be trusted all the same, say "signet": {"trustAnchors": true}`, name)
		}
	}
}

// checkIssuer: crt must be a certificate that may sign others, today.
func (l *loader) checkIssuer(issuer *x509.Certificate) {
	s, name := l.src, nameOf(issuer)
	if !issuer.BasicConstraintsValid || !issuer.IsCA {
		s.complain("crt", "crt: %s is not the certificate of a CA, so nobody would accept what it signs", name)
		return
	}
	if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCertSign == 0 {
		s.complain("crt", "crt: the key usage of %s does not permit signing certificates (keyCertSign)", name)
	}
	if weakSignature(issuer) && !bytes.Equal(issuer.RawSubject, issuer.RawIssuer) {
		s.complain("crt", "crt: %s is signed with %s, which clients no longer accept", name, issuer.SignatureAlgorithm)
	}
	if err := keys.CheckStrength(issuer.PublicKey); err != nil {
		s.complain("crt", "crt: the key of %s is too weak: %v", name, err)
	}
	switch {
	case l.now.Before(issuer.NotBefore):
		s.complain("crt", "crt: %s is valid only from %s on; it is now %s", name, stamp(issuer.NotBefore), stamp(l.now))
	case l.now.After(issuer.NotAfter):
		s.complain("crt", "crt: %s expired at %s; make a new issuing certificate", name, stamp(issuer.NotAfter))
	case issuer.NotAfter.Sub(l.now) < soon:
		s.warn("crt", "crt: %s expires at %s, in %d days", name, stamp(issuer.NotAfter), int(issuer.NotAfter.Sub(l.now)/(24*time.Hour)))
	}
}

// checkChain: the issuing certificate must lead to one of the roots, by signatures worth
// the name, over certificates whose path length leaves room for a leaf.
func (l *loader) checkChain(p *PKI) {
	if len(p.Roots) == 0 {
		return
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range p.Roots {
		roots.AddCert(c)
	}
	for _, c := range p.Chain[1:] {
		between.AddCert(c)
	}
	issuer := p.Chain[0]
	// The validity of the issuing certificate itself has been judged; of the rest it is here.
	at := l.now
	if at.Before(issuer.NotBefore) || at.After(issuer.NotAfter) {
		at = issuer.NotAfter
	}
	chains, err := issuer.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		l.src.complain("crt", "crt: %s does not lead to a certificate in root: %v", nameOf(issuer), plainVerify(err))
		return
	}
	for _, chain := range chains {
		if err = usable(chain); err == nil {
			p.Anchor = chain[len(chain)-1]
			p.Chain = withoutRoot(p.Chain, p.Anchor)
			return
		}
	}
	l.src.complain("crt", "crt: %v", err)
}

// withoutRoot drops a root that stands at the end of a bundle, unless it issues itself:
// clients have it, or they would not trust it.
func withoutRoot(chain []*x509.Certificate, root *x509.Certificate) []*x509.Certificate {
	if last := len(chain) - 1; last > 0 && chain[last].Equal(root) {
		return chain[:last]
	}
	return chain
}

// plainVerify says in other words what needs more than the standard library's.
func plainVerify(err error) error {
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return errors.New("none of the roots signed it, nor a certificate that follows in crt")
	}
	return err
}

// usable looks at a verified chain with the eyes of a client that verifies a leaf below it.
func usable(chain []*x509.Certificate) error {
	depth := 0 // CA certificates between this one and the leaf (RFC 5280, Section 4.2.1.9)
	for i, c := range chain {
		if c.MaxPathLen >= 0 && (c.MaxPathLen > 0 || c.MaxPathLenZero) && depth > c.MaxPathLen {
			return errors.New("the path length " + strconv.Itoa(c.MaxPathLen) + " of " + nameOf(c) + " leaves no room for leaves of " + nameOf(chain[0]))
		}
		if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			depth++
		}
		if i < len(chain)-1 && weakSignature(c) {
			return errors.New(nameOf(c) + " is signed with " + c.SignatureAlgorithm.String() + ", which clients no longer accept")
		}
	}
	return nil
}

func weakSignature(c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

func (l *loader) checkPrevious(p *PKI) {
	for _, c := range p.Previous {
		if !c.IsCA {
			l.src.complain("authority.previousIssuers", "authority.previousIssuers: %s is not the certificate of a CA", nameOf(c))
		}
	}
}

// readKey opens the private key and holds it against the issuing certificate.
func (l *loader) readKey(p *PKI, pw keys.Password) {
	if l.c.Key == "" {
		return
	}
	file := KeyFile(l.c.Key)
	l.checkKeyMode(file)
	signer, err := keys.ReadPrivate(file, pw)
	if err != nil {
		l.src.complain("key", "key: %v", shortened(err))
		return
	}
	if len(p.Chain) > 0 && !keys.SamePublicKey(p.Chain[0].PublicKey, signer.Public()) {
		l.src.complain("key", "key: %s does not belong to the issuing certificate %s; crt and key must be one pair", file, nameOf(p.Chain[0]))
		return
	}
	p.Signer = signer
}

// shortened says of a wrong password only that, and not once for each layer.
func shortened(err error) error {
	if f := fault.Of(err); f != nil && errors.Is(err, keys.ErrPassword) {
		return errors.New(f.Message)
	}
	return err
}

func (l *loader) checkKeyMode(file string) {
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS == "windows" || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
		return
	}
	format := "key: others than its owner have access to %s (mode %s); run chmod 600 on it"
	if l.c.Signet != nil && l.c.Signet.StrictPermissions {
		l.src.complain("key", format, file, modeText(info.Mode()))
		return
	}
	l.src.warn("key", format, file, modeText(info.Mode()))
}

// KeyFile is the file a key name of the configuration means: softkms:PATH and
// softkms:path=PATH name it as well as the bare path.
func KeyFile(name string) string {
	if keyScheme(name) != "softkms" {
		return name
	}
	path := name[len("softkms:"):]
	if bare, ok := strings.CutPrefix(path, "path="); ok {
		return bare
	}
	return path
}

func nameOf(c *x509.Certificate) string { return `"` + printable(c.Subject.String()) + `"` }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
