package policy

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// lookup maps a domain name to the form in which it is looked up: lower case and A-labels
// (UTS 46, non-transitional). It admits more ASCII than a host name may have; plainDomain
// narrows that down, underscore included.
var lookup = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(false),
	idna.CheckHyphens(false), // plainDomain looks at those that matter
	idna.BidiRule(),
)

var (
	errEmpty       = errors.New("it is empty")
	errTrailingDot = errors.New("it ends with a dot")
	errIPasDomain  = errors.New("it is an IP address and no domain name")
)

// domain brings a domain name without wildcard into the form in which names are compared.
func domain(s string) (string, error) {
	if s == "" {
		return "", errEmpty
	}
	// Before the mapping, which costs more than linear time in a label's length. 1024 leaves
	// room for the UTF-8 of 253 octets of A-labels.
	if len(s) > 1024 {
		return "", errors.New("it is longer than 253 octets")
	}
	if s[len(s)-1] == '.' {
		return "", errTrailingDot
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return "", errIPasDomain
	}
	low := strings.ToLower(s)
	if !isASCII(s) || strings.HasPrefix(low, "xn--") || strings.Contains(low, ".xn--") {
		// An A-label must be one: "xn--evil-" is another spelling of "evil".
		mapped, err := lookup.ToASCII(s)
		if err != nil {
			return "", errors.New("it is not a valid internationalized domain name")
		}
		low = mapped
		if _, err := netip.ParseAddr(low); err == nil {
			return "", errIPasDomain // digits of another script
		}
	}
	return low, plainDomain(low)
}

// plainDomain checks length and characters of a lower-case domain name: RFC 1034,
// Section 3.5, plus the underscore, which is common in practice.
func plainDomain(s string) error {
	if len(s) > 253 {
		return errors.New("it is longer than 253 octets")
	}
	for label := range strings.SplitSeq(s, ".") {
		switch {
		case label == "":
			return errors.New("it has an empty label")
		case len(label) > 63:
			return errors.New("it has a label of more than 63 octets")
		case label[0] == '-' || label[len(label)-1] == '-':
			return errors.New("a label begins or ends with a hyphen")
		}
		for i := range len(label) {
			c := label[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return errors.New("it has a character that domain names do not have")
			}
		}
	}
	return nil
}

// hostName is domain for a name that may be a wildcard, which RFC 6125, Section 6.4.3
// knows as a whole first label. It returns the name without the star.
func hostName(s string) (name string, wildcard bool, err error) {
	rest, wildcard := strings.CutPrefix(s, "*.")
	if strings.Contains(rest, "*") {
		return "", false, errors.New("a star may only be its whole first label")
	}
	name, err = domain(rest)
	return name, wildcard, err
}

// mailbox splits an RFC 822 name (RFC 5280, Section 4.2.1.6) into its local part, without
// the quotes that are optional, and its domain in the form for comparison.
func mailbox(s string) (local, host string, err error) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", "", errors.New("it has no @")
	}
	local, host = s[:at], s[at+1:]
	if len(local) > 1 && local[0] == '"' && local[len(local)-1] == '"' {
		// "ann"@example and ann@example are one mailbox (RFC 5321, Section 4.1.2).
		if local, err = unquote(local[1 : len(local)-1]); err != nil {
			return "", "", err
		}
	} else if strings.ContainsAny(local, "@\"\\ ,;:<>()[]*") {
		return "", "", errors.New("its local part has a character that needs quotes")
	}
	if local == "" {
		return "", "", errors.New("its local part is empty")
	}
	for _, c := range []byte(local) {
		if c < 0x20 || c > 0x7e {
			return "", "", errors.New("its local part is not printable ASCII")
		}
	}
	host, err = domain(host)
	return local, host, err
}

func unquote(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return "", errors.New("its local part has a quote inside quotes")
		case '\\':
			if i++; i == len(s) {
				return "", errors.New("its local part ends with a backslash")
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), nil
}

// uriHost finds the host of a URI in the form for comparison. Without a host, or with an
// address as the host, a URI cannot be compared with rules (RFC 5280, Section 4.2.1.10).
func uriHost(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.New("it is not a valid URI")
	case u.Scheme == "":
		return "", errors.New("it has no scheme")
	case u.Hostname() == "":
		return "", errors.New("it has no host to compare")
	case strings.HasPrefix(u.Host, "["):
		return "", errors.New("its host is an IP address")
	}
	host, err := domain(u.Hostname())
	if err != nil {
		return "", errors.New("its host cannot be compared: " + err.Error())
	}
	return host, nil
}

// classify says of which kind an untyped name is: an address, else a URI if it has a
// scheme, else an e-mail address if it has an @, else a DNS name.
func classify(s string) string {
	if _, err := netip.ParseAddr(s); err == nil {
		return KindIP
	}
	if u, err := url.Parse(s); err == nil && u.Scheme != "" {
		return KindURI
	}
	if strings.Contains(s, "@") {
		return KindEmail
	}
	return KindDNS
}

// fold is the key under which texts that differ in case alone are one: each character is
// replaced by the smallest one with which strings.EqualFold takes it for equal.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
