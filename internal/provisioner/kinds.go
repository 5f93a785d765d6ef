package provisioner

import (
	"slices"
	"strings"
)

// Act is something a proof may be good for. The zero value is permitted to nobody.
type Act uint8

const (
	SignX509 Act = iota + 1
	RenewX509
	RevokeX509
	SignSSH
	RenewSSH
	RekeySSH
	RevokeSSH
	SignIdentity // X.509 companion of an SSH certificate, on the same proof
)

var actNames = [...]string{"do nothing", "sign X.509 certificates", "renew X.509 certificates",
	"revoke X.509 certificates", "sign SSH certificates", "renew SSH certificates",
	"rekey SSH certificates", "revoke SSH certificates", "sign X.509 identity certificates"}

func (a Act) String() string {
	if int(a) < len(actNames) {
		return actNames[a]
	}
	return actNames[0]
}

// row is all there is to know of one type of provisioner.
type row struct {
	name      string
	number    int   // in the provisioner extension
	acts      []Act // what its proofs may be good for; everything else is refused
	protocol  bool  // has a protocol of its own (ACME, SCEP); a token for it is refused
	noExpiry  bool  // its legacy tokens never carry exp
	hostsOnly bool  // of SSH certificates it signs those of hosts alone
	noSerial  bool  // its tokens say who somebody is, never which certificate to revoke
	decode    func(data []byte) (Kind, error)
	open      func(p *Provisioner, env *Env) error
}

// kinds is the table of provisioner types. A row without decode is a type whose name and
// rights are known but which this version cannot serve: it is loaded disabled.
var kinds = []row{
	{name: "JWK", number: 1, acts: []Act{SignX509, RenewX509, RevokeX509, SignSSH, RevokeSSH}, decode: decodeJWK, open: openJWK},
	{name: "OIDC", number: 2, acts: []Act{SignX509, RenewX509, RevokeX509, SignSSH, RevokeSSH}, noSerial: true, decode: decodeOIDC, open: openOIDC},
	{name: "GCP", number: 3, acts: []Act{SignX509, RenewX509, SignSSH}, decode: decodeGCP, open: openGCP},
	{name: "AWS", number: 4, acts: []Act{SignX509, RenewX509, SignSSH}, hostsOnly: true, decode: decodeAWS, open: openAWS},
	{name: "Azure", number: 5, acts: []Act{SignX509, RenewX509, SignSSH}, hostsOnly: true, decode: decodeAzure, open: openAzure},
	{name: "ACME", number: 6, acts: []Act{RenewX509}, protocol: true, decode: decodeACME, open: openACME},
	{name: "X5C", number: 7, acts: []Act{SignX509, RenewX509, RevokeX509, SignSSH}, decode: decodeX5C, open: openX5C},
	{name: "K8sSA", number: 8, acts: []Act{SignX509, RenewX509, RevokeX509, SignSSH}, noExpiry: true, noSerial: true, decode: decodeK8sSA, open: openK8sSA},
	{name: "SSHPOP", number: 9, acts: []Act{RenewSSH, RekeySSH, RevokeSSH}, decode: decodeSSHPOP, open: openSSHPOP},
	{name: "SCEP", number: 10, acts: []Act{RenewX509}, protocol: true},
	{name: "Nebula", number: 11, acts: []Act{SignX509, RenewX509, RevokeX509, SignSSH, RevokeSSH}, hostsOnly: true, decode: decodeNebula, open: openNebula},
}

// permits: an identity certificate needs both rights that it stands between.
func (r *row) permits(a Act) bool {
	if a == SignIdentity {
		return r.permits(SignX509) && r.permits(SignSSH)
	}
	return slices.Contains(r.acts, a)
}

// rowOf finds the row of a type name, in any case.
func rowOf(name string) *row {
	for i := range kinds {
		if strings.EqualFold(kinds[i].name, name) {
			return &kinds[i]
		}
	}
	return nil
}

// Types lists the names of all known types.
func Types() []string {
	names := make([]string, len(kinds))
	for i := range kinds {
		names[i] = kinds[i].name
	}
	return names
}

// Unserved lists the types this version knows but cannot serve yet.
func Unserved() []string {
	var names []string
	for i := range kinds {
		if kinds[i].decode == nil {
			names = append(names, kinds[i].name)
		}
	}
	return names
}
