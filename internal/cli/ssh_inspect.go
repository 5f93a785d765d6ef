package cli

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/keys"
)

// sshTypeName is a kind of key as ssh-keygen writes it: ECDSA, ED25519-SK-CERT and so on.
func sshTypeName(key ssh.PublicKey) string {
	suffix := ""
	if cert, ok := key.(*ssh.Certificate); ok {
		key, suffix = cert.Key, "-CERT"
	}
	switch t := key.Type(); {
	case t == ssh.KeyAlgoSKED25519:
		return "ED25519-SK" + suffix
	case t == ssh.KeyAlgoSKECDSA256:
		return "ECDSA-SK" + suffix
	case strings.HasPrefix(t, "ecdsa-"):
		return "ECDSA" + suffix
	default:
		return strings.ToUpper(strings.TrimPrefix(t, "ssh-")) + suffix
	}
}

// sshBits is the size of a key.
func sshBits(key ssh.PublicKey) int {
	pub, err := keys.PublicFromSSH(key)
	if err != nil {
		return 256 // security keys
	}
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case *ecdsa.PublicKey:
		return k.Params().BitSize
	}
	return 256
}

func sshFingerprintOf(key ssh.PublicKey) string { return keys.SSHFingerprint(key) }

// sshInspected is a certificate for people and programs; the names are those of existing
// programs.
type sshInspected struct {
	Type                  string            `json:"Type" help:"form of the certificate and its kind, user or host"`
	KeyName               string            `json:"KeyName" help:"kind of the key, as ssh-keygen shows it"`
	KeyID                 string            `json:"KeyID" help:"key ID"`
	KeyAlgo               string            `json:"KeyAlgo" help:"form of the certificate"`
	KeyFingerprint        string            `json:"KeyFingerprint" help:"SHA-256 of the key"`
	SigningKeyAlgo        string            `json:"SigningKeyAlgo" help:"kind of the CA's key"`
	SigningKeyFingerprint string            `json:"SigningKeyFingerprint" help:"SHA-256 of the CA's key"`
	Signature             sshSignature      `json:"Signature" help:"signature of the CA"`
	Serial                uint64            `json:"Serial" help:"serial number"`
	ValidAfter            time.Time         `json:"ValidAfter" help:"begin of validity"`
	ValidBefore           time.Time         `json:"ValidBefore" help:"end of validity; the end of the calendar stands for none"`
	Principals            []string          `json:"Principals" help:"accounts or host names; none may mean any"`
	CriticalOptions       map[string]string `json:"CriticalOptions" help:"restrictions every server must understand"`
	Extensions            map[string]string `json:"Extensions" help:"what a session may do"`

	cert *ssh.Certificate
}

type sshSignature struct {
	Type  string `json:"Type" help:"algorithm of the signature"`
	Value string `json:"Value" help:"the signature in base64"`
}

func inspectSSH(cert *ssh.Certificate) *sshInspected {
	return &sshInspected{
		Type: cert.Type() + " " + certType(cert) + " certificate", KeyName: sshTypeName(cert), KeyID: cert.KeyId, KeyAlgo: cert.Type(),
		KeyFingerprint: sshFingerprintOf(cert), SigningKeyAlgo: cert.SignatureKey.Type(), SigningKeyFingerprint: sshFingerprintOf(cert.SignatureKey),
		Signature: sshSignature{cert.Signature.Format, base64.StdEncoding.EncodeToString(cert.Signature.Blob)},
		Serial:    cert.Serial, ValidAfter: sshTime(cert.ValidAfter), ValidBefore: sshTime(cert.ValidBefore),
		Principals: append([]string{}, cert.ValidPrincipals...), CriticalOptions: orEmpty(cert.CriticalOptions), Extensions: orEmpty(cert.Extensions),
		cert: cert,
	}
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// Text looks as what ssh-keygen -L prints, and adds the signature.
func (r *sshInspected) Text() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "        %s: %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("Type", "%s", r.Type)
	line("Public key", "%s %s", r.KeyName, r.KeyFingerprint)
	line("Signing CA", "%s %s (using %s)", sshTypeName(r.cert.SignatureKey), r.SigningKeyFingerprint, r.Signature.Type)
	line("Key ID", "%q", r.KeyID)
	line("Serial", "%d", r.Serial)
	b.WriteString("        Valid: " + r.validity() + "\n")
	block := func(name string, items []string) {
		if len(items) == 0 {
			fmt.Fprintf(&b, "        %s: (none)\n", name)
			return
		}
		fmt.Fprintf(&b, "        %s:\n", name)
		for _, item := range items {
			b.WriteString("                " + printable(item) + "\n")
		}
	}
	block("Principals", r.Principals)
	block("Critical Options", optionLines(r.CriticalOptions))
	block("Extensions", optionLines(r.Extensions))
	var lines []string
	for chunk := range slices.Chunk(r.cert.Signature.Blob, 16) {
		text := hex.EncodeToString(chunk)
		var pairs []string
		for i := 0; i < len(text); i += 2 {
			pairs = append(pairs, text[i:i+2])
		}
		lines = append(lines, strings.Join(pairs, ":"))
	}
	block("Signature", lines)
	return b.String()
}

func (r *sshInspected) validity() string {
	const layout = "2006-01-02T15:04:05"
	from, to := "always", "forever"
	if r.cert.ValidAfter != 0 {
		from = r.ValidAfter.Local().Format(layout)
	}
	if r.cert.ValidBefore != ssh.CertTimeInfinity {
		to = r.ValidBefore.Local().Format(layout)
	}
	switch {
	case from == "always" && to == "forever":
		return "forever"
	case from == "always":
		return "before " + to
	case to == "forever":
		return "after " + from
	}
	return "from " + from + " to " + to
}

func optionLines(options map[string]string) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if options[name] == "" {
			lines = append(lines, name)
		} else {
			lines = append(lines, name+" "+options[name])
		}
	}
	return lines
}

func sshInspect() *command {
	format := "text"
	return &command{
		short: "show what is in an SSH certificate",
		long:  "Shows the content of an SSH certificate as ssh-keygen does, or as JSON.",
		args:  []arg{may("file", "file of the certificate; standard input without it, or with -")},
		examples: []example{
			{"Show a certificate", "signet ssh inspect id_ecdsa-cert.pub"},
			{"The principals alone", "signet ssh inspect id_ecdsa-cert.pub --format json | jq .Principals"},
		},
		flags: func(fs *flags) {
			fs.Enum(&format, "format", []string{"text", "json"}, "form of the answer")
		},
		result: &sshInspected{},
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			cert, _, err := env.readSSHCertificate(fileOrStdin(args))
			if err != nil {
				return nil, err
			}
			if format == "json" {
				return nil, env.printJSON(inspectSSH(cert))
			}
			return inspectSSH(cert), nil
		},
	}
}

func fileOrStdin(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "-"
}

type sshFingerprintResult struct {
	Fingerprint string `json:"fingerprint" help:"the fingerprint, after SHA256:"`
	Bits        int    `json:"bits" help:"size of the key"`
	Type        string `json:"type" help:"kind of key or certificate"`
	Comment     string `json:"comment" help:"comment of the key"`
}

func (r *sshFingerprintResult) Text() string {
	return fmt.Sprintf("%d %s %s (%s)", r.Bits, r.Fingerprint, printable(r.Comment), r.Type)
}

func sshFingerprint() *command {
	f := struct {
		format      string
		certificate bool
	}{format: "base64-raw"}
	return &command{
		short: "print the fingerprint of an SSH key or certificate",
		long:  "Prints the SHA-256 of an SSH public key as ssh-keygen -l does; of a certificate, that of its key.",
		args:  []arg{may("file", "file of the key or certificate; standard input without it, or with -")},
		examples: []example{
			{"Of a key", "signet ssh fingerprint id_ecdsa.pub"},
			{"Of a whole certificate", "signet ssh fingerprint --certificate id_ecdsa-cert.pub"},
		},
		flags: func(fs *flags) {
			fs.Enum(&f.format, "format", keys.FingerprintFormats, "form of the fingerprint")
			fs.Bool(&f.certificate, "certificate", "of the whole certificate instead of its key")
		},
		result: &sshFingerprintResult{},
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			key, comment, err := env.readSSHKey(fileOrStdin(args))
			if err != nil {
				return nil, err
			}
			hashed := key
			if cert, ok := key.(*ssh.Certificate); ok && !f.certificate {
				hashed = cert.Key
			}
			sum := sha256.Sum256(hashed.Marshal())
			text, err := keys.FormatFingerprint(sum[:], f.format)
			if err != nil {
				return nil, err
			}
			if comment == "" {
				comment = "no comment"
			}
			return &sshFingerprintResult{"SHA256:" + text, sshBits(key), sshTypeName(key), comment}, nil
		},
	}
}

type sshNeedsRenewalResult struct {
	Due         bool      `json:"needsRenewal" help:"whether renewal is due"`
	DueAt       time.Time `json:"renewAt" help:"when it is due, RFC 3339"`
	ValidBefore time.Time `json:"validBefore" help:"when the certificate expires, RFC 3339"`
	verbose     bool
}

func (r *sshNeedsRenewalResult) Text() string {
	return (&needsRenewalResult{Due: r.Due, verbose: r.verbose}).Text()
}

func sshNeedsRenewal() *command {
	f := struct {
		expiresIn string
		verbose   bool
	}{}
	return &command{
		short: "tell whether an SSH certificate should be renewed",
		long: `Exits with 0 if an SSH certificate is due for renewal and with 1 if it is not. It is due when 66% of its
			lifetime have passed, or as --expires-in says.`,
		args: []arg{need("crt-file", "file of the certificate; - is standard input")},
		examples: []example{
			{"Renew a host certificate when two thirds of its life are over", "signet ssh needs-renewal ssh_host_key-cert.pub && signet ssh renew --force ssh_host_key-cert.pub ssh_host_key"},
		},
		flags: func(fs *flags) {
			fs.String(&f.expiresIn, "expires-in", "percent|duration", "due when so much of the lifetime has passed (such as 75%), or when no more than a duration is left").Preset("66%")
			fs.Bool(&f.verbose, "verbose", "print the answer as text too").Alias("v")
		},
		result: &sshNeedsRenewalResult{},
		exits: []exitNote{
			{0, "renewal is due"}, {1, "it is not due"}, {exitNoFile, "the file does not exist"}, {exitBroken, "it can't be told"},
		},
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			rule, err := parseRenewalRule(f.expiresIn)
			if err != nil {
				return nil, exitWith(exitBroken, err)
			}
			cert, _, err := env.readSSHCertificate(args[0])
			if errors.Is(err, fs.ErrNotExist) {
				return nil, exitWith(exitNoFile, err)
			}
			if err != nil {
				return nil, exitWith(exitBroken, err)
			}
			result := &sshNeedsRenewalResult{DueAt: rule.dueSSH(cert), ValidBefore: sshTime(cert.ValidBefore), verbose: f.verbose}
			if result.Due = !env.Now().Before(result.DueAt); result.Due {
				return result, nil
			}
			return result, exitWith(exitFailure, nil)
		},
	}
}

// dueSSH is when an SSH certificate becomes due. One without end is due at its end.
func (r renewalRule) dueSSH(c *ssh.Certificate) time.Time {
	from, to := sshTime(c.ValidAfter), sshTime(c.ValidBefore)
	if c.ValidBefore == ssh.CertTimeInfinity {
		return to
	}
	if r.abs {
		return to.Add(-r.left)
	}
	return time.Unix(from.Unix()+int64(float64(to.Unix()-from.Unix())*r.part), 0).UTC()
}
