package config

import (
	"crypto/tls"
	"slices"
	"strconv"
	"strings"
)

// TLS shapes the HTTPS listener. Clients get the same object and follow it.
type TLS struct {
	CipherSuites  []string   `json:"cipherSuites" help:"cipher suites of TLS 1.2 and below; TLS 1.3 chooses its own" default:"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"`
	MinVersion    TLSVersion `json:"minVersion" help:"lowest version: 1.2 or 1.3; 1.0 and 1.1 need signet.allowLegacyTLS" default:"1.2"`
	MaxVersion    TLSVersion `json:"maxVersion" help:"highest version" default:"1.3"`
	Renegotiation bool       `json:"renegotiation" help:"clients allow renegotiation"`
}

// TLSVersion is a version as the file writes it: 1.2.
type TLSVersion float64

// Number is the version on the wire; 0 if there is no such version.
func (v TLSVersion) Number() uint16 {
	switch v {
	case 1.0:
		return tls.VersionTLS10
	case 1.1:
		return tls.VersionTLS11
	case 1.2:
		return tls.VersionTLS12
	case 1.3:
		return tls.VersionTLS13
	}
	return 0
}

func (v TLSVersion) String() string {
	if v == TLSVersion(int(v)) {
		return strconv.FormatFloat(float64(v), 'f', 1, 64)
	}
	return strconv.FormatFloat(float64(v), 'f', -1, 64)
}

// DefaultSuites are the cipher suites of a file that names none.
func DefaultSuites() []string {
	return []string{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}
}

// Suites are the numbers of the cipher suites.
func (t *TLS) Suites() []uint16 {
	var ids []uint16
	for _, name := range t.CipherSuites {
		if id, ok := suiteID(name); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// suiteID finds a suite by its IANA name, or by the shorter one that the ChaCha20 suites
// once had.
func suiteID(name string) (uint16, bool) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if s.Name == name || strings.HasSuffix(name, "_POLY1305") && s.Name == name+"_SHA256" {
			return s.ID, true
		}
	}
	return 0, false
}

// checkTLS holds the tls member against what the listener can do.
func (c *Config) checkTLS() {
	t, s := c.TLS, c.source
	for i, name := range t.CipherSuites {
		if _, ok := suiteID(name); !ok {
			s.complain(element("tls.cipherSuites", i), "%q is no cipher suite this server knows%s", printable(name), nearestSuite(name))
		}
	}
	legal := c.checkTLSVersion("tls.minVersion", t.MinVersion)
	if !c.checkTLSVersion("tls.maxVersion", t.MaxVersion) || !legal {
		return
	}
	if t.MinVersion > t.MaxVersion {
		s.complain("tls.minVersion", "tls.minVersion %s is above tls.maxVersion %s", t.MinVersion, t.MaxVersion)
		return
	}
	// RFC 9113, Section 9.2.2: HTTP/2 over TLS 1.2 must offer this suite, and the listener
	// does not open without it.
	must := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	if t.MinVersion < 1.3 && !slices.ContainsFunc(t.Suites(), func(id uint16) bool { return slices.Contains(must, id) }) {
		s.complain("tls.cipherSuites", "tls.cipherSuites must name TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, which HTTP/2 needs below TLS 1.3")
	}
}

func (c *Config) checkTLSVersion(path string, v TLSVersion) bool {
	switch {
	case v.Number() == 0:
		c.source.complain(path, "%s is %s, which is no TLS version; write 1.2 or 1.3", path, v)
		return false
	case v < 1.2 && (c.Signet == nil || !c.Signet.AllowLegacyTLS):
		c.source.complain(path, `%s is %s, which is broken (RFC 8996); write 1.2 or 1.3, or insist with "signet": {"allowLegacyTLS": true}`, path, v)
		return false
	}
	return true
}

func nearestSuite(name string) string {
	best, least := "", 8
	for _, s := range tls.CipherSuites() {
		if d := distance(strings.ToUpper(name), s.Name); d < least {
			best, least = s.Name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}
