package truststore

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrAbsent says that a program with a trust store of its own is not on this machine.
var ErrAbsent = errors.New("not found on this machine")

// javaPassword guards Java's store only against accidents: every installation has it.
const javaPassword = "changeit"

// InstallJava adds a root certificate to the trust store of Java and says where it is
// kept. Installing twice is as good as once.
func (s *Store) InstallJava(ctx context.Context, cert *x509.Certificate, prefix string) (where string, err error) {
	j, err := s.java()
	if err != nil {
		return "", err
	}
	alias := javaAlias(cert, prefix)
	if j.has(ctx, alias) {
		return j.cacerts, nil
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	return j.cacerts, s.withFile(data, func(path string) error {
		return j.keytool(ctx, !writable(j.cacerts), "-importcert", "-noprompt", "-alias", alias, "-file", path)
	})
}

// UninstallJava takes a root certificate out that was installed with the same prefix. It
// is an fs.ErrNotExist if it was not there.
func (s *Store) UninstallJava(ctx context.Context, cert *x509.Certificate, prefix string) (where string, err error) {
	j, err := s.java()
	if err != nil {
		return "", err
	}
	alias := javaAlias(cert, prefix)
	if !j.has(ctx, alias) {
		return "", fmt.Errorf("find certificate %s in %s: %w", alias, j.cacerts, fs.ErrNotExist)
	}
	return j.cacerts, j.keytool(ctx, !writable(j.cacerts), "-delete", "-alias", alias)
}

// java is an installation of Java.
type java struct {
	store         *Store
	tool, cacerts string
}

// java finds the installation: JavaHome, or the one that the first keytool belongs to.
func (s *Store) java() (*java, error) {
	home := s.JavaHome
	if home == "" {
		tool, err := exec.LookPath("keytool")
		if err != nil {
			return nil, fmt.Errorf("java: %w: there is no JAVA_HOME, and no keytool in PATH", ErrAbsent)
		}
		if tool, err = filepath.EvalSymlinks(tool); err != nil {
			return nil, fmt.Errorf("find java: %w", err)
		}
		home = filepath.Dir(filepath.Dir(tool))
	} else {
		home = filepath.Join(s.Root, home)
	}
	for _, dir := range []string{filepath.Join("lib", "security"), filepath.Join("jre", "lib", "security")} {
		cacerts := filepath.Join(home, dir, "cacerts")
		if _, err := os.Stat(cacerts); err == nil {
			return &java{s, filepath.Join(home, "bin", "keytool"), cacerts}, nil
		}
	}
	return nil, fmt.Errorf("java: %w: there is no lib/security/cacerts in %s", ErrAbsent, home)
}

func (j *java) has(ctx context.Context, alias string) bool {
	return j.keytool(ctx, false, "-list", "-alias", alias) == nil
}

func (j *java) keytool(ctx context.Context, sudo bool, args ...string) error {
	command := append([]string{j.tool}, args...)
	return j.store.runAs(ctx, sudo, nil, append(command, "-keystore", j.cacerts, "-storepass", javaPassword))
}

// javaAlias is in lower case, since Java folds it.
func javaAlias(cert *x509.Certificate, prefix string) string {
	return strings.ToLower(fileName(cert, prefix, ""))
}

// writable reports whether a file can be changed without the rights of root.
func writable(name string) bool {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
