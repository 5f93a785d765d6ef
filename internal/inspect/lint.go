package inspect

import (
	"crypto/x509"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"

	"github.com/signet-ca/signet/internal/fault"
)

// Lints is what the rules of zlint say about a certificate.
type Lints struct {
	Version   int64           `json:"version" help:"version of this layout"`
	Timestamp int64           `json:"timestamp" help:"when the rules were applied, in seconds since 1970"`
	Lints     map[string]Lint `json:"lints" help:"results by name of the rule"`
	Notices   bool            `json:"notices_present" help:"whether a rule gave info"`
	Warnings  bool            `json:"warnings_present" help:"whether a rule gave warn"`
	Errors    bool            `json:"errors_present" help:"whether a rule gave error"`
	Fatals    bool            `json:"fatals_present" help:"whether a rule gave fatal"`
}

// Lint is what one rule says.
type Lint struct {
	Result  string `json:"result" help:"NA, NE (not in force then), pass, info, warn, error or fatal"`
	Details string `json:"details,omitempty" help:"what is wrong"`
}

// LintCertificate holds a certificate against the rules of RFC 5280, of the CA/Browser
// forum and of others. A rule that a certificate makes panic must not end the program.
func LintCertificate(c *x509.Certificate) (lints *Lints, err error) {
	defer func() {
		if r := recover(); r != nil {
			lints, err = nil, fault.New(fault.Invalid, "the structure of the certificate is too odd for the rules (%v)", r)
		}
	}()
	parsed, err := zx509.ParseCertificate(c.Raw)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the structure of the certificate is too odd for the rules (%v)", err)
	}
	set := zlint.LintCertificate(parsed)
	lints = &Lints{
		Version: set.Version, Timestamp: set.Timestamp, Lints: make(map[string]Lint, len(set.Results)),
		Notices: set.NoticesPresent, Warnings: set.WarningsPresent, Errors: set.ErrorsPresent, Fatals: set.FatalsPresent,
	}
	for name, r := range set.Results {
		lints.Lints[name] = Lint{r.Status.String(), r.Details}
	}
	return lints, nil
}
