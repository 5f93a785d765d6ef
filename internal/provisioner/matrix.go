package provisioner

import (
	"cmp"
	"slices"
	"strings"
)

// Operation is one column of the authorization matrix: an act, split where user and host
// certificates differ.
type Operation struct {
	Name string
	Act  Act
	SSH  string // "user", "host", or "" where it makes no difference
}

// Operations are the columns of the matrix.
var Operations = []Operation{
	{"x509 sign", SignX509, ""}, {"x509 renew", RenewX509, ""}, {"x509 revoke", RevokeX509, ""},
	{"ssh user sign", SignSSH, "user"}, {"ssh host sign", SignSSH, "host"},
	{"ssh renew", RenewSSH, ""}, {"ssh revoke", RevokeSSH, ""}, {"ssh rekey", RekeySSH, ""},
}

// limits say of what a type may do only in part; what stands there is checked by the kind or
// by the act itself. ByProtocol is for types whose clients prove themselves without tokens.
var limits = map[string]map[string]string{
	"JWK":    {"x509 revoke": issuedByIt, "ssh revoke": issuedByIt},
	"OIDC":   {"x509 revoke": "its admins, " + issuedByIt, "ssh host sign": "its admins", "ssh revoke": "its admins, " + issuedByIt},
	"X5C":    {"x509 revoke": issuedByIt},
	"K8sSA":  {"x509 revoke": issuedByIt},
	"Nebula": {"x509 revoke": "issued to the same name", "ssh revoke": "issued to the same name"},
	"GCP":    {"ssh user sign": "where disableSSHCAUser is false"},
	"ACME":   {"x509 sign": byProtocol, "x509 revoke": byProtocol},
	"SCEP":   {"x509 sign": byProtocol},
	"SSHPOP": {"ssh renew": "hosts, their own", "ssh revoke": "users and hosts, their own", "ssh rekey": "hosts, their own"},
}

const (
	issuedByIt = "certificates it issued"
	byProtocol = "by its protocol"
)

// May says whether a type of provisioner may do something by a token, and what limits it: ""
// nothing. Whatever no row of the table of kinds permits is refused.
func May(kind string, op Operation) (allowed bool, limit string) {
	r := rowOf(kind)
	if r == nil {
		return false, ""
	}
	limit = limits[r.name][op.Name]
	if r.protocol && op.Act != RenewX509 || !r.permits(op.Act) || op.SSH == "user" && r.hostsOnly {
		if limit != byProtocol {
			limit = ""
		}
		return false, limit
	}
	return true, limit
}

// Authorization is the matrix as a page of the documentation.
func Authorization() string {
	var b strings.Builder
	b.WriteString("# What each type of provisioner may do\n\n" +
		"Written by the program from the table by which it decides (`make generate`). A cell that says no is refused, whatever the\n" +
		"token says; so is every type that is not listed.\n\n| |")
	for _, op := range Operations {
		b.WriteString(" " + op.Name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(Operations)) + "\n")
	names := Types()
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) })
	for _, kind := range names {
		b.WriteString("| " + kind + " |")
		for _, op := range Operations {
			allowed, limit := May(kind, op)
			word := "no"
			switch {
			case allowed:
				word = cmp.Or(limit, "yes")
			case limit != "":
				word = limit
			}
			b.WriteString(" " + word + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n- *x509 renew* needs no token: the certificate itself, shown in TLS, is the proof, and the provisioner that issued it\n" +
		"  must be alive and allow it (claims `disableRenewal`, `allowRenewalAfterExpiry`).\n" +
		"- Every holder of a certificate may revoke it by its own key, whatever its provisioner.\n" +
		"- SSH certificates need the claim `enableSSHCA`. User certificates are never renewed.\n" +
		"- A provisioner with `allowRevokeAny` revokes what others issued, too, where its row lets it revoke at all.\n" +
		"- A type whose cell says *" + byProtocol + "* takes no tokens: its clients prove themselves as the protocol says.\n")
	return b.String()
}
