package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/signet-ca/signet/internal/issue"
)

// Bounds on what a server may say about when it wants to be asked again (RFC 9773, Section
// 4.3.2).
const (
	leastAdvice = time.Minute
	mostAdvice  = 24 * time.Hour
	adviceTime  = 30 * time.Second
)

// adviser asks an ACME server when a certificate should be renewed (RFC 9773). A server may
// want that earlier than any schedule says, as when it has revoked the certificate.
type adviser struct {
	server *acmeServer
	leaf   *x509.Certificate // the one that point is for
	point  float64           // where in the suggested window, the same at every answer
	told   string            // the explanation that was shown
}

// advice is when to renew, and when to ask again.
type advice struct{ due, again time.Time }

// adviserFor is the adviser of a certificate; nil: nobody advises about it. With --acme it is
// that server, else our own CA, where an ACME provisioner gave the certificate.
func (f *renewFlags) adviserFor(env *Env, source *authority, leaf *x509.Certificate) (*adviser, error) {
	if f.acme.directory != "" {
		server, err := f.acme.acmeByURL(env, &f.ca)
		return &adviser{server: server}, err
	}
	name := acmeProvisioner(leaf)
	if name == "" || source.client == nil {
		return nil, nil
	}
	server, err := f.acme.acmeOfCA(env, &f.ca, source.client.URL(), name)
	return &adviser{server: server}, err
}

// acmeType stands for ACME in the provisioner extension.
const acmeType = 6

// acmeProvisioner is the name of the ACME provisioner that gave a certificate; "" for others.
func acmeProvisioner(leaf *x509.Certificate) string {
	ext := issue.ProvisionerOf(leaf)
	if ext == nil || ext.Type != acmeType {
		return ""
	}
	return ext.Name
}

// ask asks the server about a certificate.
func (a *adviser) ask(ctx context.Context, leaf *x509.Certificate, now time.Time) (*advice, error) {
	ctx, cancel := context.WithTimeout(ctx, adviceTime)
	defer cancel()
	info, err := a.server.client.GetRenewalInfo(ctx, leaf)
	if errors.Is(err, acme.ErrUnsupported) {
		return &advice{again: now.Add(mostAdvice)}, nil
	}
	if err != nil {
		return nil, a.server.refusal(err)
	}
	if a.leaf != leaf {
		a.leaf, a.point = leaf, rand.Float64()
	}
	if why := cut(info.ExplanationURL); why != "" && why != a.told {
		a.told = why
		a.server.env.Note("The CA explains when it wants this certificate renewed at %s.", why)
	}
	return readAdvice(&info, leaf, a.point, now), nil
}

// readAdvice picks a moment of the suggested window, but never one so late that the
// certificate might end before a failed renewal can be repeated.
func readAdvice(info *acme.RenewalInfo, leaf *x509.Certificate, point float64, now time.Time) *advice {
	start, end := info.SuggestedWindow.Start, info.SuggestedWindow.End
	a := &advice{due: start.Add(time.Duration(point * float64(end.Sub(start))))}
	if last := leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 20); a.due.After(last) {
		a.due = last
	}
	wait := 6 * time.Hour
	if info.RetryAfter != nil {
		wait = info.RetryAfter.Sub(now)
	}
	a.again = now.Add(min(max(wait, leastAdvice), mostAdvice))
	return a
}
