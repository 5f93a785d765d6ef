package keys_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/keys"
)

// run calls an outside judge and returns what it printed.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenSSLReadsOurs(t *testing.T) {
	t.Parallel()
	for kind, key := range made() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			want, err := keys.EncodePublic(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			plain, err := keys.EncodePrivate(key)
			if err != nil {
				t.Fatal(err)
			}
			var locked []byte
			if kind != "EC P-384" && kind != "EC P-521" {
				if locked, err = keys.EncodeEncrypted(key, []byte("pässword")); err != nil {
					t.Fatal(err)
				}
			}
			for form, data := range map[string][]byte{"plain": plain, "encrypted": locked} {
				if data == nil {
					continue
				}
				got := run(t, "openssl", "pkey", "-in", write(t, "key", data), "-passin", "pass:pässword", "-pubout")
				if !bytes.Equal(got, want) {
					t.Errorf("%s: openssl sees\n%s\nwant\n%s", form, got, want)
				}
			}
			p12, err := keys.EncodePKCS12(key, []*x509.Certificate{selfSigned(t, key, "c")}, "pw", false)
			if err != nil {
				t.Fatal(err)
			}
			got := run(t, "openssl", "pkcs12", "-in", write(t, "p12", p12), "-passin", "pass:pw", "-nocerts", "-nodes")
			if back, err := keys.ParsePrivate(got, "p12", nil); err != nil || !keys.SamePublicKey(back.Public(), key.Public()) {
				t.Errorf("p12: %v", err)
			}
		})
	}
}

func TestWeReadOpenSSL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	base := map[string]string{}
	for name, args := range map[string][]string{
		"ec":      {"openssl", "ecparam", "-genkey", "-name", "prime256v1"},
		"rsa":     {"openssl", "genrsa", "2048"},
		"ed25519": {"openssl", "genpkey", "-algorithm", "ed25519"},
	} {
		base[name] = filepath.Join(dir, name)
		if err := os.WriteFile(base[name], run(t, args...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pkcs8 := func(from string, args ...string) []string {
		return append([]string{"openssl", "pkcs8", "-topk8", "-in", base[from], "-passout", "pass:pw"}, args...)
	}
	traditional := func(from, cipher string) []string {
		return []string{"openssl", "pkey", "-provider", "legacy", "-provider", "default", "-traditional", cipher, "-in", base[from], "-passout", "pass:pw"}
	}
	cases := map[string]struct {
		from string
		args []string
	}{
		"curve parameters first": {"ec", []string{"cat", base["ec"]}},
		"PKCS#8":                 {"rsa", []string{"cat", base["rsa"]}},
		"Ed25519":                {"ed25519", []string{"cat", base["ed25519"]}},
		"PKCS#8 DER":             {"rsa", []string{"openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", base["rsa"]}},
		"SEC 1 DER":              {"ec", []string{"openssl", "ec", "-outform", "DER", "-in", base["ec"]}},
		"PBES2 default":          {"ec", pkcs8("ec")},
		"PBES2 DER":              {"ec", pkcs8("ec", "-outform", "DER")},
		"PBES2 SHA-1":            {"ec", pkcs8("ec", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1")},
		"PBES2 SHA-224":          {"ec", pkcs8("ec", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA224")},
		"PBES2 SHA-256":          {"rsa", pkcs8("rsa", "-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA256", "-iter", "100000")},
		"PBES2 SHA-384":          {"ed25519", pkcs8("ed25519", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA384")},
		"PBES2 SHA-512":          {"ed25519", pkcs8("ed25519", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512")},
		"PBES2 triple DES":       {"ec", pkcs8("ec", "-v2", "des3")},
		"PBES2 DES":              {"ec", pkcs8("ec", "-provider", "legacy", "-provider", "default", "-v2", "des")},
		"scrypt":                 {"ec", pkcs8("ec", "-scrypt")},
		"scrypt of other shape":  {"ec", pkcs8("ec", "-scrypt", "-scrypt_N", "4096", "-scrypt_p", "4")},
		"RFC 1423 AES-128":       {"ec", traditional("ec", "-aes128")},
		"RFC 1423 AES-192":       {"rsa", traditional("rsa", "-aes192")},
		"RFC 1423 AES-256":       {"rsa", traditional("rsa", "-aes256")},
		"RFC 1423 triple DES":    {"ec", traditional("ec", "-des3")},
		"RFC 1423 DES":           {"ec", traditional("ec", "-des")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := keys.ParsePublic(run(t, "openssl", "pkey", "-in", base[c.from], "-pubout"))
			if err != nil {
				t.Fatal(err)
			}
			data := run(t, c.args...)
			key, err := keys.ParsePrivate(data, name, keys.FixedPassword([]byte("pw")))
			if err != nil {
				t.Fatalf("%v\n%s", err, data)
			}
			if !keys.SamePublicKey(key.Public(), want) {
				t.Error("another key")
			}
		})
	}
}

func TestWeReadOpenSSH(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, kind := range [][]string{{"-t", "ed25519"}, {"-t", "ecdsa", "-b", "384"}, {"-t", "rsa", "-b", "2048"}} {
		for _, cipher := range []string{"", "aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-cbc", "aes256-cbc", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"} {
			if kind[1] != "ed25519" && cipher != "" && cipher != "aes256-ctr" {
				continue // the container doesn't depend on the kind of key
			}
			t.Run(kind[1]+" "+cipher, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(dir, kind[1]+cipher)
				args := append([]string{"ssh-keygen", "-q", "-f", path, "-C", "me"}, kind...)
				if cipher == "" {
					args = append(args, "-N", "")
				} else {
					args = append(args, "-N", "pw", "-Z", cipher, "-a", "2") // few rounds: each takes its time
				}
				run(t, args...)
				key, err := keys.ReadPrivate(path, keys.FixedPassword([]byte("pw")))
				if err != nil {
					t.Fatal(err)
				}
				line, err := os.ReadFile(path + ".pub")
				if err != nil {
					t.Fatal(err)
				}
				want, err := keys.ParsePublic(line)
				if err != nil || !keys.SamePublicKey(key.Public(), want) {
					t.Errorf("another key: %v", err)
				}
				_, err = keys.ReadPrivate(path, keys.FixedPassword([]byte("wrong")))
				if (err != nil) != (cipher != "") {
					t.Errorf("with a wrong password: %v", err)
				}
			})
		}
	}
}

func TestOpenSSHReadsOurs(t *testing.T) {
	t.Parallel()
	for kind, key := range made() {
		for _, pw := range []string{"", "pw"} {
			if pw != "" && kind != "RSA" {
				continue
			}
			data, err := keys.EncodeOpenSSH(key, "me", []byte(pw))
			if err != nil {
				t.Fatal(err)
			}
			want, err := keys.SSHPublicKey(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			path := write(t, "key", data)
			got := run(t, "ssh-keygen", "-y", "-P", pw, "-f", path)
			if line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(want))); !strings.HasPrefix(string(got), line) {
				t.Errorf("%s: ssh-keygen sees %s; want %s", kind, got, line)
			}
			if got := run(t, "ssh-keygen", "-l", "-f", path); !bytes.Contains(got, []byte(keys.SSHFingerprint(want))) {
				t.Errorf("%s: fingerprint %s is not in %s", kind, keys.SSHFingerprint(want), got)
			}
		}
	}
}
