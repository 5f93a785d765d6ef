package cli

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/server"
)

// localCA is a CA on this machine without its server.
type localCA struct {
	options server.Options
	url     string
}

// openLocal reads the CA's configuration. Its keys and database stay closed until they are
// needed.
func (s *siteFlags) openLocal(ctx context.Context, env *Env) (*authority, error) {
	file := cmp.Or(s.caConfig, env.Home.CAConfig())
	cfg, _, err := config.Options{Home: env.Home.Path()}.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no configuration of a CA at %s for --offline; give --ca-config", file)
	}
	if err != nil {
		return nil, err
	}
	if len(cfg.Root) == 0 || len(cfg.DNSNames) == 0 {
		return nil, fmt.Errorf("%s names no root or no host name, so nothing can be done with --offline", file)
	}
	root, err := rootFingerprint(cmp.Or(s.ca.root, cfg.Root[0]))
	if err != nil {
		return nil, err
	}
	host := cfg.DNSNames[0]
	l := &localCA{url: cfg.URL(), options: server.Options{
		ConfigFile: file, Home: env.Home.Path(), Version: Version(), Log: quietLog(env), Getenv: env.Getenv,
		Stderr: env.Stderr, Prompt: env.password(ctx, "", "password-file")}}
	if s.passwordFile != "" {
		if l.options.Password, err = env.readPassword(ctx, s.passwordFile, question{}); err != nil {
			return nil, err
		}
	}
	return &authority{local: l, provisioners: cfg.Authority.Provisioners, root: root,
		address: func(act provisioner.Act) string { return provisioner.LocalAddress(host, act) }}, nil
}

// openBare is what is known of a CA whose configuration is out of reach: what the flags say.
func (p *proofFlags) openBare(env *Env) (*authority, error) {
	for _, needed := range []struct{ flag, value string }{{"provisioner", p.provisioner}, {"key", p.key}, {"ca-url", p.ca.url}} {
		if needed.value == "" && !(needed.flag == "key" && (p.x5cFlags.wanted() || p.nebulaFlags.wanted())) {
			return nil, fmt.Errorf("%w: there is no configuration of a CA at %s", errRequired(needed.flag), cmp.Or(p.caConfig, env.Home.CAConfig()))
		}
	}
	if p.ca.root != "" {
		if _, err := os.Stat(p.ca.root); err != nil {
			return nil, fmt.Errorf("look at the root: %w", err)
		}
	}
	root, err := rootFingerprint(p.ca.rootFile(env))
	if err != nil {
		return nil, err
	}
	return &authority{root: root, bare: true,
		address: func(act provisioner.Act) string { return provisioner.Address(p.ca.url, act) }}, nil
}

// hasLocal reports whether there is a configuration of a CA on this machine.
func (s *siteFlags) hasLocal(env *Env) bool {
	_, err := os.Stat(cmp.Or(s.caConfig, env.Home.CAConfig()))
	return err == nil
}

// quietLog keeps the server's remarks on its configuration out of the commands, which can
// do nothing about them, unless somebody wants to see everything.
func quietLog(env *Env) *slog.Logger {
	if env.Log.Enabled(context.Background(), slog.LevelInfo) {
		return env.Log
	}
	return slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// with opens keys and database for one act.
func (l *localCA) with(ctx context.Context, act func(*ca.CA) error) error {
	local, closeStore, err := server.OpenLocal(ctx, l.options)
	if err != nil {
		return err
	}
	return errors.Join(act(local), closeStore())
}

func (l *localCA) issued(ctx context.Context, act func(*ca.CA) (*ca.Issued, error)) (chain []*x509.Certificate, err error) {
	err = l.with(ctx, func(local *ca.CA) error {
		issued, err := act(local)
		if err == nil {
			chain = issued.Chain
		}
		return err
	})
	return chain, err
}

func (l *localCA) sign(ctx context.Context, ask *signet.SignRequest) ([]*x509.Certificate, error) {
	notBefore, err := issue.ParseMoment(ask.NotBefore.String())
	if err != nil {
		return nil, err
	}
	notAfter, err := issue.ParseMoment(ask.NotAfter.String())
	if err != nil {
		return nil, err
	}
	if err := issue.CheckRequest(ask.CSR.CertificateRequest); err != nil {
		return nil, err
	}
	return l.issued(ctx, func(local *ca.CA) (*ca.Issued, error) {
		return local.SignX509(ctx, ask.OTT, &issue.X509Ask{Request: ask.CSR.CertificateRequest, NotBefore: notBefore, NotAfter: notAfter})
	})
}

func (l *localCA) renew(ctx context.Context, held *x509.Certificate) ([]*x509.Certificate, error) {
	return l.issued(ctx, func(local *ca.CA) (*ca.Issued, error) { return local.RenewX509(ctx, held) })
}

func (l *localCA) rekey(ctx context.Context, held *x509.Certificate, csr *x509.CertificateRequest) ([]*x509.Certificate, error) {
	if err := issue.CheckRequest(csr); err != nil {
		return nil, err
	}
	return l.issued(ctx, func(local *ca.CA) (*ca.Issued, error) { return local.RekeyX509(ctx, held, csr) })
}

// revoke revokes by the token in ask, or as the holder of a certificate whose key is here.
func (l *localCA) revoke(ctx context.Context, held *x509.Certificate, ask *signet.RevokeRequest) error {
	serial, err := parseSerial(ask.Serial)
	if err != nil {
		return err
	}
	if err := ca.CheckReason(ask.ReasonCode); err != nil {
		return err
	}
	what := ca.RevokeAsk{Serial: serial, ReasonCode: ask.ReasonCode, Reason: ask.Reason}
	return l.with(ctx, func(local *ca.CA) error {
		if held != nil {
			return local.RevokeByHolder(ctx, held, what)
		}
		return local.RevokeByToken(ctx, ask.OTT, what)
	})
}
