package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"strings"

	"github.com/signet-ca/signet/internal/truststore"
)

type installFlags struct {
	prefix                       string
	java, firefox, noSystem, all bool
}

func (f *installFlags) register(fs *flags) {
	fs.String(&f.prefix, "prefix", "text", "beginning of the name under which the certificate is kept")
	fs.Bool(&f.java, "java", "use the trust store of Java as well")
	fs.Bool(&f.firefox, "firefox", "use those of Firefox and its kin as well")
	fs.Bool(&f.noSystem, "no-system", "leave the system's trust store alone")
	fs.Bool(&f.all, "all", "use every trust store that is there")
	fs.Check(func(func(string) bool) error {
		if f.noSystem && !f.java && !f.firefox && !f.all {
			return usagef("with --no-system there is nothing to do; add --java, --firefox or --all")
		}
		return nil
	})
}

type trustResult struct {
	Stores []string `json:"stores" help:"trust stores that were changed: system, java, firefox"`
	Where  []string `json:"where" help:"files and databases that were changed"`
}

func (r *trustResult) Text() string { return "" }

// trustStore is one that a certificate can be put into or taken out of.
type trustStore struct {
	name, label string
	chosen      bool
	change      func(ctx context.Context, cert *x509.Certificate) (where []string, err error)
}

func certificateInstall() *command {
	f := installFlags{}
	return &command{
		short: "put a root certificate into the machine's trust stores",
		long: `Makes the programs of this machine trust a root certificate: it is put into the system's
			trust store, and into those of Java and Firefox if wanted. That takes the rights of root,
			which are asked for by sudo.

			The system's trust store is known for the families of Debian, Fedora, Arch and SUSE, for
			macOS and for Windows. Firefox needs certutil of NSS.`,
		args: []arg{need("crt-file", "root certificate")},
		examples: []example{
			{"Trust the root of a CA", "signet certificate install root_ca.crt"},
			{"Trust it everywhere", "signet certificate install root_ca.crt --all"},
			{"Trust it in Java alone", "signet certificate install root_ca.crt --java --no-system"},
		},
		flags:  f.register,
		result: &trustResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			cert, err := env.readAnchor(ctx, args[0])
			if err != nil {
				return nil, err
			}
			if !cert.IsCA {
				env.Warn("%s is not a CA: nothing but this certificate itself will be trusted, if at all", cert.Subject)
			}
			s := env.trust()
			return f.each(ctx, env, cert, []trustStore{
				{"system", "Installed in the system", !f.noSystem, func(ctx context.Context, c *x509.Certificate) ([]string, error) {
					where, err := s.Install(ctx, c, f.prefix)
					return []string{where}, err
				}},
				{"java", "Installed in Java", f.java || f.all, func(ctx context.Context, c *x509.Certificate) ([]string, error) {
					where, err := s.InstallJava(ctx, c, f.prefix)
					return []string{where}, err
				}},
				{"firefox", "Installed in Firefox", f.firefox || f.all, func(ctx context.Context, c *x509.Certificate) ([]string, error) {
					return s.InstallNSS(ctx, c, f.prefix)
				}},
			})
		},
	}
}

func certificateUninstall() *command {
	f := installFlags{}
	return &command{
		short: "take a root certificate out of the machine's trust stores",
		long: `Takes a root certificate out of the system's trust store, and out of those of Java and
			Firefox if wanted; there the prefix must be that of the installation.`,
		args: []arg{need("crt-file", "root certificate")},
		examples: []example{
			{"Trust a CA no longer", "signet certificate uninstall root_ca.crt"},
			{"Anywhere", "signet certificate uninstall root_ca.crt --all"},
		},
		flags:  f.register,
		result: &trustResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			cert, err := env.readAnchor(ctx, args[0])
			if err != nil {
				return nil, err
			}
			s := env.trust()
			return f.each(ctx, env, cert, []trustStore{
				{"system", "Removed from the system", !f.noSystem, func(ctx context.Context, c *x509.Certificate) ([]string, error) {
					where, err := s.Uninstall(ctx, c)
					return []string{where}, err
				}},
				{"java", "Removed from Java", f.java || f.all, func(ctx context.Context, c *x509.Certificate) ([]string, error) {
					where, err := s.UninstallJava(ctx, c, f.prefix)
					return []string{where}, err
				}},
				{"firefox", "Removed from Firefox", f.firefox || f.all, func(ctx context.Context, c *x509.Certificate) ([]string, error) {
					return s.UninstallNSS(ctx, c, f.prefix)
				}},
			})
		},
	}
}

// readAnchor reads the one certificate that is to be trusted.
func (e *Env) readAnchor(ctx context.Context, name string) (*x509.Certificate, error) {
	certs, err := e.certificates(ctx, name, serverFlags{})
	if err != nil {
		return nil, err
	}
	if len(certs) > 1 {
		e.Warn("%s holds %d certificates; the first one is taken, %s", name, len(certs), certs[0].Subject)
	}
	return certs[0], nil
}

// trust is the machine's trust stores, as this user sees them.
func (e *Env) trust() *truststore.Store {
	s := e.Trust
	s.JavaHome = e.Getenv("JAVA_HOME")
	if s.UserHome = e.Getenv("HOME"); s.UserHome == "" {
		s.UserHome = e.Getenv("USERPROFILE")
	}
	return &s
}

// each changes the chosen stores. With --all, one that is not on this machine, or does not
// hold the certificate, is passed over, as long as another one is changed.
func (f *installFlags) each(ctx context.Context, env *Env, cert *x509.Certificate, stores []trustStore) (any, error) {
	result := &trustResult{}
	var failures []error
	for _, store := range stores {
		if !store.chosen {
			continue
		}
		where, err := store.change(ctx, cert)
		if err != nil {
			passable := errors.Is(err, truststore.ErrAbsent) || errors.Is(err, truststore.ErrUnknown) || errors.Is(err, fs.ErrNotExist)
			if f.all && passable {
				env.Note("%s: passed over: %v", store.name, err)
				continue
			}
			failures = append(failures, err)
			continue
		}
		env.Done(store.label, "%s", strings.Join(where, ", "))
		result.Stores = append(result.Stores, store.name)
		result.Where = append(result.Where, where...)
	}
	if len(failures) == 0 && len(result.Stores) == 0 {
		failures = append(failures, errors.New("no trust store was changed"))
	}
	return result, errors.Join(failures...)
}
