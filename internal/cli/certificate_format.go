package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/signet-ca/signet/internal/keys"
)

type formatResult struct {
	Format string `json:"format" help:"what it is now: pem or der"`
	Data   []byte `json:"data" help:"the bytes, base64"`
}

func (r *formatResult) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(r.Data)
	return int64(n), err
}

func certificateFormat() *command {
	f := struct {
		out   string
		force bool
	}{}
	return &command{
		short: "convert a certificate between PEM and DER",
		long: `Turns PEM into DER and DER into PEM: of certificates, of a signing request or of a
			revocation list. Several certificates stay in their order.`,
		args: []arg{may("file", "what to convert; standard input without it, or with -")},
		examples: []example{
			{"To DER", "signet certificate format site.crt --out site.der"},
			{"And back", "signet certificate format site.der"},
		},
		flags: func(fs *flags) {
			fs.String(&f.out, "out", "file", "write to `file` instead of standard output").Alias("output-file")
			fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
		},
		result: &formatResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			data, err := env.readArg(args, 0)
			if err != nil {
				return nil, err
			}
			result, err := flipFormat(data)
			if err != nil {
				return nil, err
			}
			if f.out == "" {
				return result, nil
			}
			if err := env.writeFile(ctx, f.out, result.Data, 0o600, f.force); err != nil {
				return nil, err
			}
			env.Done("Certificate", "%s", f.out)
			return nil, nil
		},
	}
}

// flipFormat turns PEM into DER and DER into PEM.
func flipFormat(data []byte) (*formatResult, error) {
	if block, _ := pem.Decode(data); block != nil {
		der, err := fromPEM(data)
		return &formatResult{"der", der}, err
	}
	if certs, err := keys.ParseCertificates(data); err == nil {
		return &formatResult{"pem", keys.EncodeCertificates(certs...)}, nil
	}
	if request, err := x509.ParseCertificateRequest(data); err == nil {
		return &formatResult{"pem", keys.EncodeCSR(request.Raw)}, nil
	}
	if list, err := x509.ParseRevocationList(data); err == nil {
		return &formatResult{"pem", encodeCRL(list.Raw)}, nil
	}
	return nil, fmt.Errorf("the input is neither PEM nor the DER of a certificate, signing request or revocation list")
}

// fromPEM is the DER of what a PEM file is about: its certificates, else its first block
// with a request or a revocation list. Each is checked: a label proves nothing.
func fromPEM(data []byte) ([]byte, error) {
	if certs, err := keys.ParseCertificates(data); err == nil {
		var der bytes.Buffer
		for _, c := range certs {
			der.Write(c.Raw)
		}
		return der.Bytes(), nil
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var err error
		switch block.Type {
		case "CERTIFICATE":
			_, err = x509.ParseCertificate(block.Bytes)
		case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
			_, err = x509.ParseCertificateRequest(block.Bytes)
		case "X509 CRL":
			_, err = x509.ParseRevocationList(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the %s is malformed: %w", block.Type, err)
		}
		return block.Bytes, nil
	}
	return nil, fmt.Errorf("there is no certificate, signing request or revocation list among the PEM blocks")
}

func encodeCRL(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}
