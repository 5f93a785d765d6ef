package config

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/provisioner"
)

// check applies every rule, so that one run of the server tells all that is wrong.
func (c *Config) check() {
	c.checkFiles()
	c.checkAddresses()
	c.checkNames()
	c.checkSecrets()
	c.checkKMS()
	c.checkServices()
	c.checkDB()
	c.checkRetention()
	c.checkTLS()
	c.checkCRL()
	c.checkSSH()
	c.checkTemplates()
	c.checkAuthority()
	c.checkProvisioners()
	c.checkUnserved()
	c.source.values = nil // they have served; the Config lives on
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// checkFiles: a CA that signs with its own key needs root, crt and key.
func (c *Config) checkFiles() {
	s := c.source
	if c.Authority.Type == "softcas" {
		if len(c.Root) == 0 {
			s.complain("root", "root is missing; name the file of the root certificate")
		}
		if c.Certificate == "" {
			s.complain("crt", "crt is missing; name the file of the issuing certificate")
		}
		if c.Key == "" {
			s.complain("key", "key is missing; name the file of the issuing certificate's private key")
		}
	}
	for _, list := range []struct {
		path  string
		files []string
	}{{"root", c.Root}, {"federatedRoots", c.FederatedRoots}, {"authority.previousIssuers", c.Authority.PreviousIssuers}} {
		for i, file := range list.files {
			if file == "" {
				s.complain(element(list.path, i), "%s names an empty file name", list.path)
			}
		}
	}
}

func (c *Config) checkAddresses() {
	s := c.source
	if c.Address == "" {
		s.complain("address", "address is missing; write host:port or :port")
	}
	seen := map[string]string{}
	for _, a := range []struct{ path, value string }{
		{"address", c.Address}, {"insecureAddress", c.InsecureAddress}, {"metricsAddress", c.MetricsAddress},
	} {
		if a.value == "" {
			continue
		}
		if err := CheckAddress(a.value); err != nil {
			s.complain(a.path, "%s %q: %v", a.path, printable(a.value), err)
			continue
		}
		if other, taken := seen[a.value]; taken && !strings.HasSuffix(a.value, ":0") {
			s.complain(a.path, "%s and %s are both %s; each listener needs its own port", other, a.path, a.value)
		}
		seen[a.value] = a.path
	}
}

// CheckAddress reports why a listener cannot open at an address. It wants host:port with an
// optional host.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("write host:port or :port, with an IPv6 address in brackets")
	}
	if port == "" {
		return fmt.Errorf("the port is missing")
	}
	if strings.ContainsAny(host, " \t/@,") {
		return fmt.Errorf("%q is no host name", host)
	}
	if n, err := strconv.Atoi(port); err == nil {
		if n < 0 || n > 65535 {
			return fmt.Errorf("the port must be between 0 and 65535")
		}
		return nil
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("%q is no port", port)
	}
	return nil
}

func (c *Config) checkNames() {
	s := c.source
	if c.DNSNames != nil && len(c.DNSNames) == 0 {
		s.complain("dnsNames", "dnsNames is empty; name at least one host name or IP address, or leave the member out")
	}
	for i, name := range c.DNSNames {
		path := element("dnsNames", i)
		switch _, _, err := net.SplitHostPort(name); {
		case strings.TrimSpace(name) == "":
			s.complain(path, "dnsNames contains an empty name")
		case strings.ContainsAny(name, " \t\r\n,"):
			s.complain(path, "dnsNames: %q is no host name; each name stands on its own in the list", printable(name))
		case err == nil && !isIP(name):
			s.warn(path, "dnsNames: %q has a port, which does not belong here", printable(name))
		}
	}
}

func isIP(name string) bool {
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil
}

func (c *Config) checkSecrets() {
	if err := c.Password.Check(); err != nil {
		c.source.complain("password", "password: %v", err)
	}
	if c.Signet == nil {
		return
	}
	if err := c.Signet.DatabaseSecret.Check(); err != nil {
		c.source.complain("signet.databaseSecret", "signet.databaseSecret: %v", err)
	}
	for i, secret := range c.Signet.PreviousDatabaseSecrets {
		if err := secret.Check(); err != nil {
			c.source.complain(element("signet.previousDatabaseSecrets", i), "signet.previousDatabaseSecrets: %v", err)
		}
	}
}

func (c *Config) checkKMS() {
	if c.KMS == nil {
		return
	}
	if kind := strings.ToLower(c.KMS.Type); kind != "" && !slices.Contains(keyManagers, kind) {
		c.source.complain("kms.type", "kms.type %q is not known; known are %s", printable(c.KMS.Type), strings.Join(keyManagers, ", "))
		c.source.broken["kms.type"] = true
	}
	if c.KMS.URI != "" && keyScheme(c.KMS.URI) == "" {
		c.source.complain("kms.uri", "kms.uri begins with no known scheme; known are %s", strings.Join(keyManagers, ", "))
		c.source.broken["kms.uri"] = true
	}
}

func (c *Config) checkServices() {
	s := c.source
	if l := c.Logger; l != nil {
		if !slices.Contains([]string{"text", "json", "common"}, l.Format) {
			s.complain("logger.format", "logger.format %q is not known; write text, json or common", printable(l.Format))
		}
		if strings.ContainsFunc(l.TraceHeader, notHeader) {
			s.complain("logger.traceHeader", "logger.traceHeader %q is no name of an HTTP header", printable(l.TraceHeader))
		}
	}
	if m := c.Monitoring; m != nil {
		if m.Type != "" && !strings.EqualFold(m.Type, "newrelic") {
			s.complain("monitoring.type", "monitoring.type %q is not known; only newrelic is", printable(m.Type))
		}
		s.warn("monitoring", "monitoring has no effect: this version reports to no monitoring service; metricsAddress serves metrics")
	}
}

// notHeader finds what RFC 9110, Section 5.6.2 does not allow in a field name.
func notHeader(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

func (c *Config) checkCRL() {
	l, s := c.CRL, c.source
	if l == nil {
		return
	}
	for _, d := range []struct {
		path  string
		value *provisioner.Duration
	}{{"crl.cacheDuration", l.CacheDuration}, {"crl.renewPeriod", l.RenewPeriod}} {
		if d.value != nil && *d.value < 0 {
			s.complain(d.path, "%s is %s; it must not be below zero", d.path, time.Duration(*d.value))
			return
		}
	}
	if l.RenewPeriod != nil && l.CacheDuration != nil && *l.RenewPeriod > *l.CacheDuration {
		s.complain("crl.renewPeriod", "crl.renewPeriod (%s) is above crl.cacheDuration (%s), so lists would expire before the next one", time.Duration(*l.RenewPeriod), time.Duration(*l.CacheDuration))
	}
	if l.IDPURL != "" {
		if u, err := url.Parse(l.IDPURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			s.complain("crl.idpURL", "crl.idpURL %q is no http or https URL", printable(l.IDPURL))
		}
	}
}

func (c *Config) checkSSH() {
	if c.SSH == nil {
		return
	}
	for i, k := range c.SSH.Keys {
		path := element("ssh.keys", i)
		if !strings.EqualFold(k.Type, "user") && !strings.EqualFold(k.Type, "host") {
			c.source.complain(path+".type", "%s.type %q is not known; write user or host", path, printable(k.Type))
		}
		if k.Key.JSONWebKey == nil || !k.Key.IsPublic() {
			c.source.complain(path+".key", "%s.key must be a public key as JWK", path)
		}
	}
}

func (c *Config) checkTemplates() {
	t, s := c.Templates, c.source
	if t == nil {
		return
	}
	for name := range t.Data {
		if name == "Step" || name == "User" {
			s.complain("templates.data", "templates.data: the name %s is taken by the templates themselves", name)
		}
	}
	if t.SSH == nil {
		return
	}
	for _, list := range []struct {
		path string
		all  []Template
	}{{"templates.ssh.user", t.SSH.User}, {"templates.ssh.host", t.SSH.Host}} {
		for i := range list.all {
			c.checkTemplate(element(list.path, i), &list.all[i])
		}
	}
}

func (c *Config) checkTemplate(path string, t *Template) {
	s := c.source
	switch {
	case t.Name == "":
		s.complain(path+".name", "%s.name is missing", path)
	case !slices.Contains([]string{"snippet", "prepend-line", "file", "directory"}, t.Type):
		s.complain(path+".type", "%s.type %q is not known; write snippet, prepend-line, file or directory", path, printable(t.Type))
	case t.Path == "":
		s.complain(path+".path", "%s.path is missing", path)
	case t.Template == "" && t.Type != "directory":
		s.complain(path+".template", "%s.template is missing; only a directory has none", path)
	}
}

func (c *Config) checkAuthority() {
	a, s := c.Authority, c.source
	if *a.Backdate < 0 {
		s.complain("authority.backdate", "authority.backdate is %s; it must not be below zero", time.Duration(*a.Backdate))
	}
	for _, m := range []struct {
		path, value string
		known       []string
	}{
		{"authority.renewUnrecorded", a.RenewUnrecorded, []string{"extension", "never", "always"}},
		{"authority.deploymentType", a.DeploymentType, []string{"standalone", "linked", "hosted"}},
		{"authority.type", a.Type, []string{"softcas", "stepcas", "cloudcas", "vaultcas"}},
	} {
		if !slices.Contains(m.known, m.value) {
			s.complain(m.path, "%s %q is not known; write %s", m.path, printable(m.value), strings.Join(m.known, ", "))
			s.broken[m.path] = true
		}
	}
	if a.AuthorityID != "" && !isUUID(a.AuthorityID) {
		s.complain("authority.authorityId", "authority.authorityId %q is no UUID", printable(a.AuthorityID))
	}
	if a.Type == "softcas" && (a.CertificateAuthority != "" || a.CertificateIssuer != nil) {
		s.warn("authority.certificateAuthority", "authority.certificateAuthority has no effect while this CA signs with its own key")
	}
	if _, err := a.Claims.Over(provisioner.BuiltinClaims()); err != nil {
		s.complain("authority.claims", "authority.claims: %v", oneLine(err))
	}
	if a.Policy != nil {
		if err := checkPolicy(a.Policy); err != nil {
			s.complain("authority.policy", "authority.policy: %v", oneLine(err))
		}
	}
}

func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, r := range text {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (r == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return false
		}
	}
	return true
}

func checkPolicy(p *policy.Config) error {
	if _, err := policy.NewX509(p.X509); err != nil {
		return err
	}
	_, err := policy.NewSSH(p.SSH)
	return err
}

// oneLine keeps joined errors in one complaint on one line.
func oneLine(err error) error {
	return fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
}

// checkMode: the file may hold passwords, and whoever writes it owns the CA.
func (c *Config) checkMode(path string, info os.FileInfo) {
	mode := info.Mode()
	if runtime.GOOS == "windows" || !mode.IsRegular() {
		return
	}
	switch strict := c.Signet != nil && c.Signet.StrictPermissions; {
	case mode.Perm()&0o022 != 0:
		c.loose(strict, "", "others than its owner may write to %s (mode %s); run chmod 600 on it", path, modeText(mode))
	case mode.Perm()&0o044 != 0 && c.holdsSecret():
		c.loose(strict, "password", "%s holds a secret and can be read by others (mode %s); run chmod 600 on it", path, modeText(mode))
	}
}

func (c *Config) loose(strict bool, path, format string, args ...any) {
	if strict {
		c.source.complain(path, format, args...)
		return
	}
	c.source.warn(path, format, args...)
}

func modeText(mode fs.FileMode) string { return fmt.Sprintf("%04o", mode.Perm()) }

// holdsSecret reports whether the file itself spells a secret out.
func (c *Config) holdsSecret() bool {
	server := c.DB != nil && (strings.EqualFold(c.DB.Type, "mysql") || strings.EqualFold(c.DB.Type, "postgresql"))
	for _, p := range c.Authority.Provisioners {
		if p != nil && p.SpellsSecret() {
			return true
		}
	}
	if s := c.Signet; s != nil && (s.DatabaseSecret.Spelled() || slices.ContainsFunc(s.PreviousDatabaseSecrets, Secret.Spelled)) {
		return true
	}
	return c.Password.Spelled() || server && c.DB.DataSource.Spelled() || c.KMS != nil && (c.KMS.Pin.Spelled() || c.KMS.ManagementKey.Spelled())
}
