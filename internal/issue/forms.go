package issue

import (
	"net/url"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// Bounds on one name, in bytes: RFC 5280, Appendix A for common names, doubled twice since
// old CAs and clients exceed it; RFC 1035 for DNS.
const (
	maxCommonName = 4 * 64
	maxName       = 2048
	maxDNSName    = 253
)

// checkForms refuses names that relying parties could read differently from us.
func checkForms(commonName string, n Names) error {
	if err := checkText("common name", commonName, maxCommonName); err != nil {
		return err
	}
	for _, s := range n.DNS {
		if err := checkDNS(s); err != nil {
			return err
		}
	}
	for _, s := range n.Emails {
		if err := checkEmail(s); err != nil {
			return err
		}
	}
	for _, u := range n.URIs {
		if err := checkURI(u); err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses what is too long or would not look like what it is.
func checkText(kind, s string, limit int) error {
	if len(s) > limit {
		return fault.New(fault.Denied, "a %s of %d bytes is too long; %d is the most", kind, len(s), limit)
	}
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == 0xfffd {
			return fault.New(fault.Denied, "the %s %q contains a control character", kind, s)
		}
	}
	return nil
}

// checkASCII is checkText for the kinds that RFC 5280 writes as IA5String.
func checkASCII(kind, s string, limit int) error {
	if err := checkText(kind, s, limit); err != nil {
		return err
	}
	if s == "" {
		return fault.New(fault.Denied, "an empty %s cannot be certified", kind)
	}
	for _, r := range s {
		if r > 0x7e {
			return fault.New(fault.Denied, "the %s %q is not ASCII; write international names in their ASCII form (xn--…)", kind, s)
		}
	}
	return nil
}

// checkDNS keeps to the preferred name syntax of RFC 1034, Section 3.5 where another reading
// would be a risk. Other characters pass, since tokens name services and people, too.
func checkDNS(s string) error {
	if err := checkASCII("DNS name", s, maxDNSName); err != nil {
		return err
	}
	rest := strings.TrimPrefix(s, "*.")
	switch {
	case strings.Contains(s, ","):
		return fault.New(fault.Denied, "the DNS name %q contains a comma; ask for each name on its own", s)
	case strings.Contains(rest, "*"):
		return fault.New(fault.Denied, "the DNS name %q has a star elsewhere than alone in its first label", s)
	case !wholeLabels(rest):
		return fault.New(fault.Denied, "the DNS name %q begins or ends with a dot, or has an empty label", s)
	}
	return nil
}

// checkEmail: one @ with something on both sides (RFC 5280, Section 4.2.1.6). A local part
// with other characters than an atom's stands in quotes.
func checkEmail(s string) error {
	if err := checkASCII("email address", s, maxName); err != nil {
		return err
	}
	local, host, _ := cutLast(s, "@")
	quoted := len(local) > 2 && local[0] == '"' && local[len(local)-1] == '"'
	if local == "" || !wholeLabels(host) || (!quoted && strings.ContainsAny(local, "\"\\ ,;:<>()[]@")) || strings.ContainsAny(host, " ,*") {
		return fault.New(fault.Denied, "%q is no email address", s)
	}
	return nil
}

func checkURI(u *url.URL) error {
	s := u.String()
	if err := checkASCII("URI", s, maxName); err != nil {
		return err
	}
	// A host beyond ASCII stands escaped in the text, and bare in what readers make of it.
	if u.Host != "" && (!wholeLabels(u.Host) || strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' })) {
		return fault.New(fault.Denied, "the host of the URI %q is no host name", s)
	}
	return nil
}

// wholeLabels reports whether a name is made of labels none of which is empty.
func wholeLabels(name string) bool {
	return name != "" && name[0] != '.' && name[len(name)-1] != '.' && !strings.Contains(name, "..")
}
