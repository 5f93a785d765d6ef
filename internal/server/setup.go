package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/acme"
	"github.com/signet-ca/signet/internal/api"
	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/webhook"
)

// requestTimeout ends a request before its connection's write timeout, so that the client
// still gets an answer.
const requestTimeout = connTimeout - 2*time.Second

// loaded is a configuration file and the keys and certificates it names.
type loaded struct {
	cfg   *config.Config
	pki   *config.PKI
	ssh   *config.SSHKeys // nil: no SSH certificate authority
	store store.Config
}

// setup is everything a configuration makes of the server.
type setup struct {
	*loaded
	state *ca.State
	own   *tls.Certificate
	roles map[string]role
}

// readConfig reads the file and what it names; all complaints come at once.
func (s *Server) readConfig() (*loaded, error) {
	l, err := s.readFile()
	if err != nil {
		return nil, err
	}
	return l, s.loadKeys(l)
}

// readFile reads the file alone.
func (s *Server) readFile() (*loaded, error) {
	cfg, report, err := config.Options{Home: s.o.Home, Strict: s.o.Strict}.Read(s.o.ConfigFile)
	if err != nil {
		return nil, err
	}
	for _, w := range report.Warnings {
		s.o.Log.Warn("configuration", "warning", w.Error())
	}
	db, err := cfg.Database()
	if err != nil {
		return nil, fmt.Errorf("db.dataSource: %w", err)
	}
	return &loaded{cfg: cfg, store: store.Config(db)}, nil
}

// loadKeys reads the keys and certificates that the file names. Deriving keys from a
// password is most of the time a start takes, so X.509 and SSH keys are decrypted at the
// same time, unless somebody has to be asked: one question at a time.
func (s *Server) loadKeys(l *loaded) error {
	var warnings []config.Complaint
	var pkiErr, sshErr error
	loadPKI := func() { l.pki, warnings, pkiErr = config.LoadPKI(l.cfg, s.keyPassword(l.cfg), time.Now()) }
	if s.o.Password == nil && l.cfg.Password == "" {
		loadPKI()
		l.ssh, sshErr = s.loadSSH(l.cfg)
	} else {
		var both sync.WaitGroup
		both.Go(loadPKI)
		both.Go(func() { l.ssh, sshErr = s.loadSSH(l.cfg) })
		both.Wait()
	}
	for _, w := range warnings {
		s.o.Log.Warn("configuration", "warning", w.Error())
	}
	return errors.Join(pkiErr, sshErr)
}

// keyPassword: the command line's password wins over the configuration's; without either
// somebody is asked.
func (s *Server) keyPassword(cfg *config.Config) keys.Password {
	if s.o.Password != nil {
		return keys.FixedPassword(s.o.Password)
	}
	return cfg.KeyPassword(s.asked.password(s.o.Prompt))
}

// asked remembers what was typed at the start: when a reload reads the keys again, nobody
// sits at the terminal, and the server must not wait for somebody.
type asked struct {
	started bool
	answers map[string][]byte
}

func (a *asked) password(prompt keys.Password) keys.Password {
	return func(what string) ([]byte, error) {
		if typed, ok := a.answers[what]; ok {
			return typed, nil
		}
		if a.started || prompt == nil {
			return nil, fault.New(fault.Invalid, "%s is encrypted; a reload cannot ask for its password, so restart the server or use --password-file", what)
		}
		typed, err := prompt(what)
		if err == nil {
			a.answers[what] = typed
		}
		return typed, err
	}
}

// prepare builds and checks a whole state. Nothing of it is in force yet.
func (s *Server) prepare(ctx context.Context, l *loaded) (*setup, error) {
	state, err := s.newState(l)
	if err != nil {
		return nil, err
	}
	own, err := ca.OwnCertificate(ctx, state)
	if err != nil {
		return nil, err
	}
	return &setup{loaded: l, state: state, own: own}, nil
}

func (s *Server) newState(l *loaded) (*ca.State, error) {
	cfg, pki := l.cfg, l.pki
	issuer, err := issue.NewLocal(pki.Chain, pki.Signer, s.metrics.signed)
	if err != nil {
		return nil, err
	}
	claims, err := cfg.Authority.Claims.Over(provisioner.BuiltinClaims())
	if err != nil {
		return nil, fmt.Errorf("authority.claims: %w", err)
	}
	claims.DisableIssuedAtCheck = cfg.IssuedAtUnchecked()
	authority, err := newAuthority(cfg, pki)
	if err != nil {
		return nil, err
	}
	audiences := provisioner.NewAudiences(cfg.DNSNames)
	env := &provisioner.Env{Templates: cfg.NamedTemplates(), Authority: authority, Claims: claims, Audiences: audiences,
		Home: s.o.Home, AllowGetHostByName: cfg.Signet != nil && cfg.Signet.AllowGetHostByName,
		Webhooks: webhook.NewEnv(slices.Concat(pki.Roots, pki.Federated), s.identity),
		Warn:     func(err error) { s.o.Log.Warn("provisioner", "err", err) },
		Roots:    pki.Roots,
		// Nobody is asked before there is a CA: proofs come with requests.
		Revoked: func(ctx context.Context, chain []*x509.Certificate) error { return s.ca.RefuseRevoked(ctx, chain) },
	}
	if l.ssh != nil {
		env.SSHUserKeys, env.SSHHostKeys = l.ssh.UserKeys, l.ssh.HostKeys
	}
	list, err := s.openProvisioners(cfg.Authority.Provisioners, env)
	if err != nil {
		return nil, err
	}
	sshState, err := s.newSSHState(l)
	if err != nil {
		return nil, err
	}
	vault, warning, err := cfg.Vault(pki.Signer)
	if err != nil {
		return nil, err
	}
	if warning != nil {
		s.o.Log.Warn("configuration", "warning", warning.Error())
	}
	return &ca.State{
		Vault: vault, Roots: pki.Roots, Federated: pki.Federated, Issuer: issuer, Previous: pki.Previous,
		Authority: authority, Provisioners: list, Audiences: audiences, Claims: claims,
		Unrecorded: map[string]ca.Unrecorded{"never": ca.UnrecordedNever, "always": ca.UnrecordedAlways}[cfg.Authority.RenewUnrecorded],
		SSH:        sshState, CRL: crlSettings(cfg), Retention: retention(cfg), Hidden: cfg.Signet != nil && cfg.Signet.HideProvisioners, DNSNames: cfg.DNSNames, CommonName: cfg.CommonName,
	}, nil
}

// identity is the CA's own certificate, for servers it calls; none before it serves itself.
func (s *Server) identity(ctx context.Context) (*tls.Certificate, error) {
	if s.own == nil {
		return new(tls.Certificate), nil
	}
	return s.own.fresh(ctx), nil
}

func newAuthority(cfg *config.Config, pki *config.PKI) (*issue.Authority, error) {
	a := &issue.Authority{Chain: pki.Chain, Root: pki.Anchor, Backdate: cfg.Backdate()}
	if t := cfg.Authority.Template; t != nil {
		a.Subject = pkix.Name{
			Country: list(t.Country), Organization: list(t.Organization), OrganizationalUnit: list(t.OrganizationalUnit),
			Locality: list(t.Locality), Province: list(t.Province), StreetAddress: list(t.StreetAddress),
			SerialNumber: t.SerialNumber, CommonName: t.CommonName,
		}
	}
	if p := cfg.Authority.Policy; p != nil {
		rules, err := policy.NewX509(p.X509)
		if err != nil {
			return nil, fmt.Errorf("authority.policy: %w", err)
		}
		a.Policy = rules
		if a.SSHPolicy, err = policy.NewSSH(p.SSH); err != nil {
			return nil, fmt.Errorf("authority.policy: %w", err)
		}
	}
	if crl := crlSettings(cfg); crl != nil {
		a.CRLURL = crl.URL
	}
	return a, nil
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// openProvisioners makes them ready. One that cannot be is disabled and named, and the
// others go on; strictness makes that an error.
func (s *Server) openProvisioners(all []*provisioner.Provisioner, env *provisioner.Env) (*provisioner.List, error) {
	var disabled []error
	for _, p := range all {
		if err := p.Open(env); err != nil {
			disabled = append(disabled, err)
			s.o.Log.Warn("provisioner disabled", "provisioner", p.Name, "type", p.Type, "err", err)
		}
		for _, w := range p.Warnings() {
			s.o.Log.Warn("configuration", "warning", w)
		}
	}
	if s.o.Strict && len(disabled) > 0 {
		return nil, errors.Join(disabled...)
	}
	return provisioner.NewList(all, env.Audiences)
}

func retention(cfg *config.Config) (r store.Retention) {
	if cfg.Signet == nil || cfg.Signet.Retention == nil {
		return r
	}
	if d := cfg.Signet.Retention.Audit; d != nil {
		r.Audit = time.Duration(*d)
	}
	if d := cfg.Signet.Retention.ExpiredCertificates; d != nil {
		r.Expired = time.Duration(*d)
	}
	return r
}

func crlSettings(cfg *config.Config) *ca.CRLSettings {
	if cfg.CRL == nil || !cfg.CRL.Enabled {
		return nil
	}
	return &ca.CRLSettings{
		OnRevoke: cfg.CRL.GenerateOnRevoke,
		Lifetime: time.Duration(*cfg.CRL.CacheDuration),
		Period:   time.Duration(*cfg.CRL.RenewPeriod),
		URL:      cfg.CRL.IDPURL,
	}
}

// mount puts the doors on the listeners that the configuration asks for.
func (s *Server) mount(next *setup) error {
	cfg := next.cfg
	door := &api.API{CA: s.ca, Log: s.o.Log, Version: s.o.Version, Ready: s.status, TLS: func() *api.TLSOptions { return tlsOptions(cfg) }}
	wrap := func(h http.Handler) http.Handler {
		return deadline(requestTimeout, measured(s.metrics, contained(s.o.Log, s.metrics, h)))
	}
	trace := ""
	if cfg.Logger != nil {
		trace = cfg.Logger.TraceHeader
		log, err := newRequestLog(cfg.Logger.Format, s.o.Stderr, s.o.Getenv)
		if err != nil {
			return err
		}
		inner := wrap
		wrap = func(h http.Handler) http.Handler { return log.wrap(inner(h)) }
	}
	outer := func(h http.Handler) http.Handler { return withRequestID(trace, wrap(h)) }
	all := http.NewServeMux()
	all.Handle("/", door.Handler())
	for _, prefix := range acme.Prefixes() {
		all.Handle(prefix, s.acme.Handler())
	}
	next.roles = map[string]role{"tls": {cfg.Address, outer(all), s.tlsConfig(next)}}
	if cfg.InsecureAddress != "" && next.state.CRL != nil {
		next.roles["insecure"] = role{address: cfg.InsecureAddress, handler: outer(door.PublicHandler())}
	}
	if cfg.MetricsAddress != "" {
		next.roles["metrics"] = role{address: cfg.MetricsAddress, handler: s.metrics.handler()}
	}
	return nil
}

// tlsConfig asks clients for a certificate and verifies one that comes, against the roots
// and the issuing chain, so that a client may send its leaf alone.
func (s *Server) tlsConfig(next *setup) *tls.Config {
	pool := x509.NewCertPool()
	for _, c := range slices.Concat(next.state.Roots, next.state.Issuer.Chain()) {
		pool.AddCert(c)
	}
	t := next.cfg.TLS
	config := &tls.Config{
		MinVersion: t.MinVersion.Number(), MaxVersion: t.MaxVersion.Number(), CipherSuites: t.Suites(),
		ClientAuth: tls.RequestClientCert, VerifyConnection: newClientVerifier(next.state.Issuer, pool).verify, ClientCAs: pool,
		NextProtos: []string{"h2", "http/1.1"}, GetCertificate: s.own.get,
	}
	// With ticket keys of its own, as nothing else gives it: who resumes a session from before a
	// reload shows a certificate anew, instead of failing with one that is not accepted any more.
	config.WrapSession, config.UnwrapSession = config.EncryptTicket, config.DecryptTicket
	return config
}

func tlsOptions(cfg *config.Config) *api.TLSOptions {
	t := cfg.TLS
	return &api.TLSOptions{CipherSuites: t.CipherSuites, MinVersion: json.Number(t.MinVersion.String()),
		MaxVersion: json.Number(t.MaxVersion.String()), Renegotiation: t.Renegotiation}
}

// warnVanished warns of settings of ours that a reload no longer finds: an older client that
// rewrites the file drops what it does not know.
func warnVanished(log *slog.Logger, before, after *loaded) {
	for _, path := range config.Vanished(before.cfg, after.cfg) {
		log.Warn("a setting is gone since the last load; did another program rewrite the file?", "setting", path)
	}
}

// banner says where the CA is and how to trust it. Scripts look for the fingerprint and the
// Serving lines.
func (s *Server) banner() {
	if s.o.Quiet {
		return
	}
	cfg := s.current.cfg
	say := func(format string, args ...any) {
		fmt.Fprintf(s.o.Stderr, "%s %s\n", time.Now().Format("2006/01/02 15:04:05"), fmt.Sprintf(format, args...))
	}
	say("Starting signet %s", s.o.Version)
	if s.o.Context != "" {
		say("Current context: %s", s.o.Context)
	}
	say("Config file: %s", s.o.ConfigFile)
	url := cfg.URL()
	say("The primary server URL is %s", url)
	say("Root certificates are available at %s/roots.pem", url)
	if len(cfg.DNSNames) > 1 {
		say("Additional configured hostnames: %s", strings.Join(cfg.DNSNames[1:], ", "))
	}
	for _, root := range s.current.state.Roots {
		say("X.509 Root Fingerprint: %s", keys.CertificateFingerprint(root))
	}
	if ssh := s.current.ssh; ssh != nil {
		for _, key := range ssh.HostKeys {
			say("SSH Host CA Key: %s", authorizedKey(key))
		}
		for _, key := range ssh.UserKeys {
			say("SSH User CA Key: %s", authorizedKey(key))
		}
	}
	for _, name := range []string{"tls", "insecure", "metrics"} {
		if l := s.listeners[name]; l != nil {
			say("Serving %s on %s ...", cmp.Or(map[string]string{"tls": "HTTPS", "metrics": "metrics over HTTP"}[name], "HTTP"), l.address)
		}
	}
}
