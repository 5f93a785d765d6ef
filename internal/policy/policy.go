// Package policy answers one question: may this name be certified?
//
// A policy is a pair of lists, allow and deny, for each kind of name. It is compiled once
// and then only read, so any number of requests may ask it at the same time. What it judges
// are the names of the final certificate, as encoded, and never those of a request: a
// template, a webhook or a raw extension may have changed them since.
//
// The rules, in the order in which they bind:
//
//   - A deny rule that matches refuses.
//   - If the name's kind has allow rules, one must match.
//   - If any kind has allow rules, a kind without allow rules is refused, and so is a
//     certificate without names. Deny rules alone leave the rest allowed.
//   - A policy without any rule is no policy and allows everything.
//
// Forms of a rule:
//
//	dns, uri   host.example     that host
//	           *.example        exactly one label below example
//	           **.example       one label or more below example
//	ip         10.1.2.3, 10.0.0.0/8, 2001:db8::/32
//	email      ann@example      that mailbox
//	           @example, example            every mailbox of that domain, not of those below
//	           @**.example, **.example      every mailbox of the domains below example
//	cn         text, compared without regard to case
//	principal  text, compared without regard to case, or * for any
//
// A uri rule is compared with the host of the URI; its scheme and path do not count.
package policy

// Config is the policy of an authority or of a provisioner. A missing half sets no rules.
type Config struct {
	X509 *X509Config `json:"x509,omitempty"`
	SSH  *SSHConfig  `json:"ssh,omitempty"`
}

// X509Config holds the rules for the names of X.509 certificates.
type X509Config struct {
	Allow *X509Names `json:"allow,omitempty"`
	Deny  *X509Names `json:"deny,omitempty"`
	// AllowWildcardNames admits names such as *.example, which are then matched like any
	// other. Without it a policy refuses them all.
	AllowWildcardNames bool `json:"allowWildcardNames,omitempty"`
}

// X509Names is one list of rules, by kind of name.
type X509Names struct {
	CN    []string `json:"cn,omitempty"`
	DNS   []string `json:"dns,omitempty"`
	IP    []string `json:"ip,omitempty"`
	Email []string `json:"email,omitempty"`
	URI   []string `json:"uri,omitempty"`
}

// SSHConfig holds the rules for the principals of SSH certificates. If only one side has
// rules, certificates of the other side are refused altogether.
type SSHConfig struct {
	User *SSHSide `json:"user,omitempty"`
	Host *SSHSide `json:"host,omitempty"`
}

// SSHSide holds the two lists for user or for host certificates.
type SSHSide struct {
	Allow *SSHNames `json:"allow,omitempty"`
	Deny  *SSHNames `json:"deny,omitempty"`
}

// SSHNames is one list of rules. DNS and IP are for hosts alone.
type SSHNames struct {
	DNS       []string `json:"dns,omitempty"`
	IP        []string `json:"ip,omitempty"`
	Email     []string `json:"email,omitempty"`
	Principal []string `json:"principal,omitempty"`
}

// Kinds of names, as refusals and verdicts call them.
const (
	KindDNS       = "dns"
	KindIP        = "ip"
	KindEmail     = "email"
	KindURI       = "uri"
	KindPrincipal = "principal"
	KindCN        = "cn"
	KindOther     = "other" // kinds of names that no rule speaks of
)
