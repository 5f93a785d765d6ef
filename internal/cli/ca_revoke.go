package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// reasons are the revocation reasons of RFC 5280, Section 5.3.1, by code; 7 is not used.
var reasons = [...]string{"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded",
	"cessationOfOperation", "certificateHold", "", "removeFromCRL", "privilegeWithdrawn", "aACompromise"}

// parseReason reads a reason: its code, or its name without regard to case, blanks and the like.
func parseReason(s string) (int, error) {
	fold := func(s string) string {
		return strings.Map(func(r rune) rune {
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				return -1
			}
			return unicode.ToLower(r)
		}, s)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil {
		if n >= 0 && n < len(reasons) && reasons[n] != "" {
			return n, nil
		}
		return 0, errReason(s)
	}
	for code, name := range reasons {
		if name != "" && fold(s) == fold(name) {
			return code, nil
		}
	}
	return 0, errReason(s)
}

func errReason(s string) error {
	var options []string
	for code, name := range reasons {
		if name != "" {
			options = append(options, fmt.Sprintf("%d (%s)", code, name))
		}
	}
	return errValue("reasonCode", s, options...)
}

// revokeFlags are the flags of ca revoke.
type revokeFlags struct {
	proofFlags
	crtFile, keyFile   string
	token              string
	reason, reasonCode string
	acme               string
}

func caRevoke() *command {
	f := new(revokeFlags)
	return &command{
		short: "revoke a certificate",
		long: `Revokes a certificate: it can't be renewed any more, and the CA's revocation list names it. Clients that do not
			look at the list go on accepting it until it expires.

			Who may revoke: the holder of the certificate and its key (--cert and --key), and whoever has a token of the provisioner
			that issued it. Without --cert, --key and --token such a token is made here.

			With --acme the certificate is revoked at that ACME server: by its key (--cert and --key), or with --cert alone by
			the account in this home that got it.`,
		args: []arg{may("serial-number", "serial number of the certificate, decimal or hexadecimal after 0x; not with --cert")},
		examples: []example{
			{"Revoke by serial number", "signet ca revoke 308893286343609293989051180431574390766"},
			{"Revoke with the certificate's own key", "signet ca revoke --cert internal.crt --key internal.key"},
			{"At an ACME server, with the certificate's own key", "signet ca revoke --acme https://acme.example.net/directory --cert web.crt --key web.key"},
			{"Say why", "signet ca revoke 0x7b1f6a3c --reasonCode keyCompromise --reason \"laptop stolen\""},
			{"With a token made elsewhere", "signet ca revoke 308893286343609293989051180431574390766 --token $TOKEN"},
		},
		flags:   f.register,
		context: contextMust,
		result:  &revokeResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return f.run(ctx, env, args)
		},
	}
}

func (f *revokeFlags) register(fs *flags) {
	fs.String(&f.crtFile, "cert", "file", "certificate to revoke, by the right of its holder")
	fs.String(&f.keyFile, "key", "file", "private key of --cert")
	fs.String(&f.token, "token", "token", "token that proves the right; without it one is made")
	fs.String(&f.reason, "reason", "text", "why, in your own words; the CA keeps it")
	fs.String(&f.reasonCode, "reasonCode", "code", "why, as a code of RFC 5280 or its name, such as keyCompromise").Alias("reason-code")
	f.proofFlags.register(fs)
	fs.String(&f.acme, "acme", "url", "directory of the ACME server to revoke it at")
	fs.Requires("key", "cert")
	fs.Requires("acme", "cert")
	fs.Incompatible("acme", "token", "offline", "reason")
	fs.Check(func(given func(string) bool) error {
		if given("cert") && !given("key") && !given("acme") {
			return errRequires("cert", "key")
		}
		return nil
	})
	fs.Incompatible("cert", "token", "provisioner", "provisioner-password-file")
	fs.Incompatible("token", "provisioner", "provisioner-password-file", "offline")
}

// revokeResult is a revoked certificate.
type revokeResult struct {
	Serial     string `json:"serial" help:"serial number, decimal"`
	CA         string `json:"ca" help:"address of the CA"`
	ReasonCode int    `json:"reasonCode" help:"reason of the revocation, a code of RFC 5280"`
	Reason     string `json:"reason,omitempty" help:"reason of the revocation, in words"`
}

func (*revokeResult) Text() string { return "" } // the notes say it all

func (f *revokeFlags) run(ctx context.Context, env *Env, args []string) (any, error) {
	ask := &signet.RevokeRequest{Reason: f.reason, Passive: true}
	var err error
	if f.reasonCode != "" {
		if ask.ReasonCode, err = parseReason(f.reasonCode); err != nil {
			return nil, err
		}
	}
	var source *authority
	switch {
	case f.crtFile != "" && len(args) > 0:
		return nil, usagef("a serial number can't be combined with --cert, which has one")
	case f.acme != "":
		source, err = f.atACME(ctx, env, ask)
	case f.crtFile != "":
		source, err = f.asHolder(ctx, env, ask)
	case len(args) == 0:
		return nil, usagef("too few arguments: <serial-number> is missing, and so is --cert")
	default:
		source, err = f.byToken(ctx, env, ask, args[0])
	}
	if err != nil {
		return nil, err
	}
	env.Done("CA", "%s", source.name())
	env.Note("The certificate with the serial number %s has been revoked.", ask.Serial)
	return &revokeResult{Serial: ask.Serial, CA: source.name(), ReasonCode: ask.ReasonCode, Reason: ask.Reason}, nil
}

// atACME revokes a certificate at an ACME server.
func (f *revokeFlags) atACME(ctx context.Context, env *Env, ask *signet.RevokeRequest) (*authority, error) {
	p := &pair{}
	var err error
	if f.keyFile != "" {
		p, err = f.readPair(ctx, env, f.crtFile, f.keyFile)
	} else {
		p.chain, err = keys.ReadCertificates(f.crtFile)
	}
	if err != nil {
		return nil, err
	}
	ask.Serial = p.chain[0].SerialNumber.String()
	server, err := (&acmeWays{directory: f.acme}).acmeByURL(env, &f.ca)
	if err != nil {
		return nil, err
	}
	return &authority{site: f.acme}, server.revoke(ctx, p.chain[0], p.key, ask.ReasonCode)
}

// asHolder revokes a certificate by showing that its key is here.
func (f *revokeFlags) asHolder(ctx context.Context, env *Env, ask *signet.RevokeRequest) (*authority, error) {
	p, err := f.readPair(ctx, env, f.crtFile, f.keyFile)
	if err != nil {
		return nil, err
	}
	ask.Serial = p.chain[0].SerialNumber.String()
	source, err := f.reach(ctx, env)
	if err != nil {
		return nil, err
	}
	return source, source.revokeAsHolder(ctx, p, ask)
}

// byToken revokes the certificate with this serial number for whoever has a token for it.
func (f *revokeFlags) byToken(ctx context.Context, env *Env, ask *signet.RevokeRequest, serial string) (source *authority, err error) {
	if ask.Serial, err = decimalSerial(serial); err != nil {
		return nil, err
	}
	if f.token != "" {
		token, err := provisioner.ParseToken(f.token, env.Now())
		if err != nil {
			return nil, err
		}
		if token.Subject != ask.Serial && !slices.Contains([]string{"OIDC", "K8sSA"}, tokenKind(token)) {
			return nil, fmt.Errorf("the token is for the serial number %q, not for %s", token.Subject, ask.Serial)
		}
		ask.OTT = f.token
		client, err := f.ca.clientByToken(ctx, env, f.token)
		if err != nil {
			return nil, err
		}
		source = &authority{client: client}
		return source, source.revoke(ctx, ask)
	}
	if source, err = f.open(ctx, env); err != nil {
		return nil, err
	}
	p := &proof{flags: &f.proofFlags, env: env, source: source, act: provisioner.RevokeX509, want: provisioner.Want{Subject: ask.Serial}}
	if ask.OTT, err = p.make(ctx); err != nil {
		return nil, err
	}
	return source, source.revoke(ctx, ask)
}
