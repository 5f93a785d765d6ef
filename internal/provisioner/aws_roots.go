package provisioner

import (
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

// amazonRoots are the certificates that Amazon publishes, each after a line with its regions.
//
//go:embed aws_regions.pem
var amazonRoots string

// builtinRoots are read once, when the first provisioner needs them.
var builtinRoots = sync.OnceValues(func() ([]iidRoot, error) { return parseRegions(amazonRoots) })

// iidRoot is a certificate whose key signs identity documents. Keys are all that counts:
// Amazon's certificates are self-signed, some are no CAs, some have ended and are in use.
type iidRoot struct {
	*x509.Certificate
	regions []string // whose documents it verifies; nil: all
}

func (r iidRoot) covers(region string) bool {
	return r.regions == nil || slices.Contains(r.regions, region)
}

// parseRegions reads certificates that are bound to regions: "Regions:" and their names, then
// one PEM block, over and over.
func parseRegions(list string) ([]iidRoot, error) {
	const mark = "Regions: "
	var all []iidRoot
	for i, entry := range strings.Split(list, mark)[1:] {
		line, text, _ := strings.Cut(entry, "\n")
		roots, err := ParseIIDRoots([]byte(text))
		regions := strings.Fields(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		case len(roots) != 1 || len(regions) == 0:
			return nil, fault.New(fault.Invalid, "entry %d has %d regions and %d certificates, one certificate is expected", i+1, len(regions), len(roots))
		}
		all = append(all, iidRoot{roots[0], regions})
	}
	return all, nil
}

// openRoots are the certificates of the file iidRoots, for all regions, or those built in.
func (a *AWS) openRoots(home string) ([]iidRoot, error) {
	if a.IIDRoots == "" {
		return builtinRoots()
	}
	file := a.IIDRoots
	if !filepath.IsAbs(file) {
		file = filepath.Join(home, file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots, err := ParseIIDRoots(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.IIDRoots, err)
	}
	var all []iidRoot
	for _, c := range roots {
		all = append(all, iidRoot{Certificate: c})
	}
	return all, nil
}

// ParseIIDRoots reads the certificates that verify identity documents, some of which have
// only 1024 bits.
func ParseIIDRoots(bundle []byte) ([]*x509.Certificate, error) {
	roots, err := readAnchors(bundle, func(n int, c *x509.Certificate) error {
		key, ok := c.PublicKey.(*rsa.PublicKey)
		if !ok {
			return fault.New(fault.Invalid, "certificate %d has no RSA key; of each region take the one for the base64-encoded signature, called RSA", n)
		}
		if bits := key.N.BitLen(); bits < 1024 {
			return fault.New(fault.Invalid, "certificate %d has an RSA key of %d bits, which proves nothing", n, bits)
		}
		if err := issue.CheckCost(key); err != nil {
			return fmt.Errorf("certificate %d: %w", n, err)
		}
		return nil
	})
	if err == nil && len(roots) == 0 {
		return nil, fault.New(fault.Invalid, "there is no certificate in it, PEM is expected")
	}
	return roots, err
}

// signed checks that Amazon signed the document, then what region it names, then that the
// key is one for that region: who gets hold of one region's key speaks for no other.
func (a *AWS) signed(said amazonClaim) (*InstanceDocument, error) {
	by := func(r iidRoot) bool {
		return r.CheckSignature(x509.SHA256WithRSA, said.Document, said.Signature) == nil
	}
	if !slices.ContainsFunc(a.anchors, by) {
		return nil, fault.New(fault.Unproven, "no certificate that this CA knows (those of Amazon that are built in, or those of iidRoots) has signed the identity document in the token")
	}
	d, err := ParseInstanceDocument(said.Document)
	if err != nil {
		return nil, err
	}
	known := false
	for _, r := range a.anchors {
		if r.covers(d.Region) {
			if by(r) {
				return d, nil
			}
			known = true
		}
	}
	if !known {
		return nil, fault.New(fault.Unproven, "this CA has no certificate for identity documents of the region %s; iidRoots can name a file with one", d.Region)
	}
	return nil, fault.New(fault.Unproven, "the identity document in the token is of the region %s, but signed with the key of another region", d.Region)
}

// rootsDue is how long before the end of a certificate its end is told of.
const rootsDue = 90 * 24 * time.Hour

// dueRoots tells of certificates that should be replaced. They verify all the same: their
// end is no end of their keys, which Amazon keeps in new certificates.
func (a *AWS) dueRoots(now time.Time) []string {
	var first time.Time
	var regions []string
	for _, r := range a.anchors {
		if r.NotAfter.Sub(now) < rootsDue {
			if first.IsZero() || r.NotAfter.Before(first) {
				first = r.NotAfter
			}
			regions = append(regions, r.regions...)
		}
	}
	switch {
	case first.IsZero():
		return nil
	case a.IIDRoots != "":
		return []string{fmt.Sprintf("certificates in iidRoots end soon or have ended, the first at %s; look for their successors in the EC2 user guide", stamp(first))}
	}
	return []string{fmt.Sprintf("Amazon's certificates for %s end soon or have ended, the first at %s; a newer release brings their successors, or iidRoots names them", strings.Join(regions, ", "), stamp(first))}
}
