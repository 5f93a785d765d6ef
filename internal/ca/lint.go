package ca

import (
	"context"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/lint"
	"github.com/signet-ca/signet/internal/provisioner"
)

// lintX509 looks for broken standards in a certificate before it is signed, as far as its
// provisioner wants that.
func (c *CA) lintX509(ctx context.Context, a *admission, checked *issue.CheckedX509) error {
	severity, ignore := a.provisioner.Linting()
	if severity == provisioner.LintOff {
		return nil
	}
	rehearsed, err := a.state.Issuer.Rehearse(checked)
	if err != nil {
		return err
	}
	found, err := lint.Certificate(rehearsed.Raw, ignore)
	if err != nil {
		return fault.Wrap(err, fault.Denied, "the certificate cannot be linted, so it is not issued")
	}
	var bad []string
	for i := range found {
		f := &found[i]
		c.log.WarnContext(ctx, "lint", "rule", f.Rule, "level", f.Level, "provisioner", a.provisioner.Name, "subject", a.grant.Subject)
		if f.Bad() {
			bad = append(bad, f.String())
		}
	}
	if severity == provisioner.LintRefuse && len(bad) > 0 {
		return fault.New(fault.Denied, "the certificate would break standards: %s", strings.Join(bad[:min(len(bad), 5)], "; "))
	}
	return nil
}
