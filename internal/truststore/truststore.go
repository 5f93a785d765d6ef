// Package truststore puts root certificates into the trust stores of a machine and takes
// them out again: the system's own, that of Java, and those of Firefox and its kin.
package truststore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrUnknown says that this system has no trust store we know.
var ErrUnknown = errors.New("this system's trust store is not known")

// Store is the machine's trust store.
type Store struct {
	// Root stands in for the root of the file system, for images that are being built and
	// for tests; then nothing but files below it is touched, and Run alone runs programs.
	Root string

	// JavaHome is the installation of Java; "" is the one whose keytool is found first.
	JavaHome string

	// UserHome is the home directory whose Firefox is meant.
	UserHome string

	// Run runs a program with standard input; nil: run it, by sudo where rights are missing.
	Run func(ctx context.Context, stdin []byte, program string, args ...string) error
}

// layout is how a family of Linux distributions keeps additional roots.
type layout struct {
	dir     string // for files of administrators
	ending  string
	refresh []string // makes the bundles of all roots anew
}

// layouts are told apart by their directory; the first that exists counts.
func layouts() []layout {
	return []layout{
		{"/etc/pki/ca-trust/source/anchors", ".pem", []string{"update-ca-trust", "extract"}},             // Fedora, RHEL
		{"/usr/local/share/ca-certificates", ".crt", []string{"update-ca-certificates"}},                 // Debian, Ubuntu, Alpine
		{"/etc/ca-certificates/trust-source/anchors", ".crt", []string{"trust", "extract-compat"}},       // Arch
		{"/usr/share/pki/trust/anchors", ".pem", []string{"update-ca-certificates"}},                     // openSUSE
		{"/var/lib/ca-certificates/pki/trust/anchors", ".pem", []string{"update-ca-certificates", "-f"}}, // SUSE, read-only /usr
	}
}

// Install adds a root certificate and says where it is kept. prefix starts the name of its
// file. Installing twice is as good as once.
func (s *Store) Install(ctx context.Context, cert *x509.Certificate, prefix string) (where string, err error) {
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	switch {
	case s.Root == "" && runtime.GOOS == "darwin":
		return keychain, s.withFile(data, func(path string) error {
			return s.run(ctx, nil, "security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", keychain, path)
		})
	case s.Root == "" && runtime.GOOS == "windows":
		return "ROOT", s.withFile(data, func(path string) error {
			return s.run(ctx, nil, "certutil", "-addstore", "-f", "ROOT", path)
		})
	}
	l, err := s.layout()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(s.Root, l.dir)
	// A second file with the same certificate would outlive the removal of the first.
	if held, err := find(dir, cert); err == nil {
		return held[0], s.run(ctx, nil, l.refresh[0], l.refresh[1:]...)
	}
	path := filepath.Join(dir, fileName(cert, prefix, l.ending))
	if err := s.write(ctx, path, data); err != nil {
		return "", err
	}
	return path, s.run(ctx, nil, l.refresh[0], l.refresh[1:]...)
}

// Uninstall takes a root certificate out, whatever its file is called, and says where it
// was. It is an fs.ErrNotExist if it was not there.
func (s *Store) Uninstall(ctx context.Context, cert *x509.Certificate) (where string, err error) {
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	switch {
	case s.Root == "" && runtime.GOOS == "darwin":
		return keychain, s.withFile(data, func(path string) error {
			return s.run(ctx, nil, "security", "remove-trusted-cert", "-d", path)
		})
	case s.Root == "" && runtime.GOOS == "windows":
		return "ROOT", s.run(ctx, nil, "certutil", "-delstore", "ROOT", hex.EncodeToString(cert.SerialNumber.Bytes()))
	}
	l, err := s.layout()
	if err != nil {
		return "", err
	}
	held, err := find(filepath.Join(s.Root, l.dir), cert)
	if err != nil {
		return "", err
	}
	for _, path := range held {
		if err := s.remove(ctx, path); err != nil {
			return "", err
		}
	}
	return strings.Join(held, ", "), s.run(ctx, nil, l.refresh[0], l.refresh[1:]...)
}

const keychain = "/Library/Keychains/System.keychain"

func (s *Store) layout() (layout, error) {
	for _, l := range layouts() {
		if info, err := os.Stat(filepath.Join(s.Root, l.dir)); err == nil && info.IsDir() {
			return l, nil
		}
	}
	return layout{}, ErrUnknown
}

// fileName is unique for a certificate and tells people whose it is.
func fileName(cert *x509.Certificate, prefix, ending string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '_'
	}, prefix+cert.Subject.CommonName)
	const longest = 100
	sum := sha256.Sum256(cert.Raw)
	return strings.TrimLeft(plain[:min(len(plain), longest)], ".") + "_" + hex.EncodeToString(sum[:8]) + ending
}

// find looks for the files that hold a certificate and nothing else.
func find(dir string, cert *x509.Certificate) ([]string, error) {
	var held []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read trust store: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		block, rest := pem.Decode(data)
		if block != nil && bytes.Equal(block.Bytes, cert.Raw) && len(bytes.TrimSpace(rest)) == 0 {
			held = append(held, path)
		}
	}
	if len(held) == 0 {
		return nil, fmt.Errorf("find certificate in %s: %w", dir, fs.ErrNotExist)
	}
	return held, nil
}

// write makes a file that everybody may read.
func (s *Store) write(ctx context.Context, path string, data []byte) error {
	err := os.WriteFile(path, data, 0o644)
	if errors.Is(err, fs.ErrPermission) && s.Root == "" {
		// tee writes under sudo what we cannot.
		err = s.run(ctx, data, "tee", path)
	}
	if err != nil {
		return fmt.Errorf("write into trust store: %w", err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrPermission) && s.Root == "" {
		err = s.run(ctx, nil, "rm", "-f", "--", path)
	}
	if err != nil {
		return fmt.Errorf("delete from trust store: %w", err)
	}
	return nil
}

// withFile lends use a file with the certificate.
func (s *Store) withFile(data []byte, use func(path string) error) error {
	f, err := os.CreateTemp("", "root-*.crt")
	if err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return use(f.Name())
}

func (s *Store) run(ctx context.Context, stdin []byte, program string, args ...string) error {
	if s.Run == nil && s.Root != "" {
		return nil // the image's own programs are not ours to run
	}
	return s.runAs(ctx, os.Geteuid() > 0, stdin, append([]string{program}, args...))
}

// runAs runs a program of this machine, by sudo if it needs the rights of root.
func (s *Store) runAs(ctx context.Context, sudo bool, stdin []byte, command []string) error {
	if s.Run != nil {
		return s.Run(ctx, stdin, command[0], command[1:]...)
	}
	if sudo {
		if _, err := exec.LookPath("sudo"); err != nil {
			return fmt.Errorf("run %s: this needs the rights of root, and sudo is not installed", command[0])
		}
		command = append([]string{"sudo", "--"}, command...)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(output[:min(len(output), 1000)])))
	}
	return nil
}
