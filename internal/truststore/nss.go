package truststore

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// profiles are where Firefox, and others that use NSS, keep their databases below a home
// directory.
var profiles = [...]string{
	".mozilla/firefox/*",
	"snap/firefox/common/.mozilla/firefox/*",
	".var/app/org.mozilla.firefox/.mozilla/firefox/*",
	"Library/Application Support/Firefox/Profiles/*",
	".pki/nssdb",
	"snap/chromium/current/.pki/nssdb",
}

// InstallNSS adds a root certificate to the databases of Firefox and its kin and says
// which they are. Installing twice is as good as once.
func (s *Store) InstallNSS(ctx context.Context, cert *x509.Certificate, prefix string) (where []string, err error) {
	n, err := s.nss()
	if err != nil {
		return nil, err
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	err = s.withFile(data, func(path string) error {
		for _, db := range n.databases {
			// C: a CA for servers.
			if err := n.certutil(ctx, "-A", "-d", db, "-t", "C,,", "-n", nickname(cert, prefix), "-i", path); err != nil {
				return err
			}
			where = append(where, db)
		}
		return nil
	})
	return where, err
}

// UninstallNSS takes a root certificate out that was installed with the same prefix. It is
// an fs.ErrNotExist if it was nowhere.
func (s *Store) UninstallNSS(ctx context.Context, cert *x509.Certificate, prefix string) (where []string, err error) {
	n, err := s.nss()
	if err != nil {
		return nil, err
	}
	for _, db := range n.databases {
		if n.certutil(ctx, "-L", "-d", db, "-n", nickname(cert, prefix)) != nil {
			continue
		}
		if err := n.certutil(ctx, "-D", "-d", db, "-n", nickname(cert, prefix)); err != nil {
			return where, err
		}
		where = append(where, db)
	}
	if len(where) == 0 {
		return nil, fmt.Errorf("find certificate %s in the databases of firefox: %w", nickname(cert, prefix), fs.ErrNotExist)
	}
	return where, nil
}

// nss is the tool of NSS and the databases to use it on.
type nss struct {
	store     *Store
	tool      string
	databases []string // as certutil names them
}

func (s *Store) nss() (*nss, error) {
	if runtime.GOOS == "windows" {
		return nil, fmt.Errorf("firefox: %w: on Windows it can use the system's trust store (security.enterprise_roots.enabled)", ErrAbsent)
	}
	n := &nss{store: s, tool: "certutil"}
	for _, pattern := range profiles {
		for _, kind := range []struct{ file, scheme string }{{"cert9.db", "sql:"}, {"cert8.db", "dbm:"}} {
			found, err := filepath.Glob(filepath.Join(escapeGlob(filepath.Join(s.Root, s.UserHome)), filepath.FromSlash(pattern), kind.file))
			if err != nil {
				return nil, fmt.Errorf("find profiles of firefox: %w", err)
			}
			for _, file := range found {
				n.add(kind.scheme, filepath.Dir(file))
			}
		}
	}
	if len(n.databases) == 0 {
		return nil, fmt.Errorf("firefox: %w: there is no profile with a database in %s", ErrAbsent, s.UserHome)
	}
	if s.Run == nil {
		tool, err := exec.LookPath("certutil")
		if err != nil {
			return nil, fmt.Errorf("firefox: its tool certutil is missing; install libnss3-tools (Debian, Ubuntu), nss-tools (Fedora) or nss (Arch, Homebrew)")
		}
		n.tool = tool
	}
	return n, nil
}

// add notes a database; a profile that has both kinds uses the newer one.
func (n *nss) add(scheme, dir string) {
	for _, db := range n.databases {
		if strings.HasSuffix(db, ":"+dir) {
			return
		}
	}
	n.databases = append(n.databases, scheme+dir)
}

func (n *nss) certutil(ctx context.Context, args ...string) error {
	return n.store.runAs(ctx, false, nil, append([]string{n.tool}, args...))
}

func nickname(cert *x509.Certificate, prefix string) string { return fileName(cert, prefix, "") }

// escapeGlob makes a path match itself alone.
func escapeGlob(path string) string {
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(path)
}
