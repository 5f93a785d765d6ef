package ca

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/webhook"
)

// enrichX509 asks the enriching webhooks in their order and gives the ask with what they
// said. One that does not allow ends the request. A request that its grant does not cover
// never gets so far.
func (c *CA) enrichX509(ctx context.Context, a *admission, g *issue.Grant, ask *issue.X509Ask, now time.Time) (*issue.X509Ask, error) {
	hooks := a.provisioner.Webhooks(webhook.Enriching, webhook.X509)
	if len(hooks) == 0 {
		return ask, nil
	}
	if err := issue.AdmitX509(g, ask); err != nil {
		return nil, err
	}
	outline, err := issue.RequestOutline(ask.Request)
	if err != nil {
		return nil, fmt.Errorf("tell webhooks of the certificate request: %w", err)
	}
	more := *ask
	r := about(ctx, a, g, now)
	r.X509CertificateRequest = outline
	answers := map[string]any{}
	more.Data.Webhooks = answers
	for _, h := range hooks {
		answer, err := c.call(ctx, h, r, func() (map[string]any, error) { return blind(issue.X509Variables(g, &more, now)) })
		if err != nil {
			return nil, err
		}
		answers[h.Name()] = answer
	}
	return &more, nil
}

// enrichSSH is enrichX509 for SSH.
func (c *CA) enrichSSH(ctx context.Context, a *admission, ask *SSHAsk, now time.Time) (*SSHAsk, error) {
	hooks := a.provisioner.Webhooks(webhook.Enriching, webhook.SSH)
	if len(hooks) == 0 {
		return ask, nil
	}
	if err := issue.AdmitSSH(a.grant, &ask.SSHAsk, now); err != nil {
		return nil, err
	}
	more := *ask
	r := about(ctx, a, a.grant, now)
	r.SSHCertificateRequest = issue.SSHRequestOutline(&ask.SSHAsk)
	answers := map[string]any{}
	more.Data.Webhooks = answers
	for _, h := range hooks {
		answer, err := c.call(ctx, h, r, func() (map[string]any, error) { return blind(issue.SSHVariables(a.grant, &more.SSHAsk, now)) })
		if err != nil {
			return nil, err
		}
		answers[h.Name()] = answer
	}
	return &more, nil
}

// approveX509 asks the authorizing webhooks about a certificate that passed all checks.
func (c *CA) approveX509(ctx context.Context, a *admission, g *issue.Grant, ask *issue.X509Ask, checked *issue.CheckedX509) error {
	hooks := a.provisioner.Webhooks(webhook.Authorizing, webhook.X509)
	if len(hooks) == 0 {
		return nil
	}
	now := time.Now()
	outline, err := checked.Outline()
	if err != nil {
		return fmt.Errorf("tell webhooks of the certificate: %w", err)
	}
	rehearsed, err := a.state.Issuer.Rehearse(checked)
	if err != nil {
		return err
	}
	r := about(ctx, a, g, now)
	r.X509Certificate, r.TBS = outline, rehearsed.RawTBSCertificate
	for _, h := range hooks {
		if _, err := c.call(ctx, h, r, func() (map[string]any, error) { return blind(issue.X509Variables(g, ask, now)) }); err != nil {
			return err
		}
	}
	return nil
}

// approve asks the authorizing webhooks about an SSH certificate that passed all checks.
func (w *sshWork) approve(ctx context.Context, checked *issue.CheckedSSH, ask *SSHAsk) error {
	hooks := w.a.provisioner.Webhooks(webhook.Authorizing, webhook.SSH)
	if len(hooks) == 0 {
		return nil
	}
	r := about(ctx, w.a, w.a.grant, w.now)
	r.SSHCertificate = checked.Outline()
	for _, h := range hooks {
		if _, err := w.call(ctx, h, r, func() (map[string]any, error) { return blind(issue.SSHVariables(w.a.grant, &ask.SSHAsk, w.now)) }); err != nil {
			return err
		}
	}
	return nil
}

// call asks one webhook and notes for the operator what went wrong.
func (c *CA) call(ctx context.Context, h *webhook.Hook, r *webhook.Request, vars func() (map[string]any, error)) (any, error) {
	answer, err := h.Call(ctx, r, vars)
	c.observe(Event{Act: webhookAct(r), Provisioner: r.ProvisionerName, Success: err == nil})
	if err != nil {
		c.log.WarnContext(ctx, "webhook", "webhook", h.Name(), "provisioner", r.ProvisionerName, "err", err)
	}
	return answer, err
}

// webhookAct tells by what a webhook is shown what it is asked.
func webhookAct(r *webhook.Request) string {
	switch {
	case r.X509CertificateRequest != nil:
		return "x509_webhook_enriched"
	case r.X509Certificate != nil:
		return "x509_webhook_authorized"
	case r.ACME != nil:
		return "acme_webhook"
	case r.SSHCertificateRequest != nil:
		return "ssh_webhook_enriched"
	}
	return "ssh_webhook_authorized"
}

// about is what every webhook is told, whatever it is asked.
func about(ctx context.Context, a *admission, g *issue.Grant, now time.Time) *webhook.Request {
	r := &webhook.Request{Timestamp: now.UTC(), ProvisionerName: a.provisioner.Name, RequestID: RequestID(ctx), AuthorizationPrincipal: g.Principal}
	if proof := g.Proof.X509; proof != nil {
		r.X5CCertificate, r.AuthorizationPrincipal = proofOutline(proof), proof.Subject.CommonName
	}
	return r
}

// proofOutline is the certificate behind a proof as webhooks are told of it.
func proofOutline(c *x509.Certificate) any {
	return struct {
		Raw                []byte    `json:"raw"`
		PublicKey          []byte    `json:"publicKey"`
		PublicKeyAlgorithm string    `json:"publicKeyAlgorithm"`
		NotBefore          time.Time `json:"notBefore"`
		NotAfter           time.Time `json:"notAfter"`
	}{c.Raw, c.RawSubjectPublicKeyInfo, c.PublicKeyAlgorithm.String(), c.NotBefore, c.NotAfter}
}

// blind takes the certificate request out of the variables: an address is no place for what
// only its sender vouches for.
func blind(vars map[string]any, err error) (map[string]any, error) {
	if insecure, ok := vars["Insecure"].(map[string]any); ok {
		delete(insecure, "CR")
	}
	return vars, err
}
