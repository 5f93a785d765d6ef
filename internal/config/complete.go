package config

import (
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/provisioner"
)

// complete fills in what the file leaves out.
func (c *Config) complete(home string) {
	if c.DNSNames == nil {
		c.DNSNames = []string{"localhost", "127.0.0.1", "::1"}
	}
	if c.CommonName == "" {
		c.CommonName = "Step Online CA"
	}
	if c.DB == nil {
		c.DB = &DB{Type: "sqlite", DataSource: Secret(filepath.Join(home, "db", sqliteFile))}
	}
	if c.Logger != nil && c.Logger.Format == "" {
		c.Logger.Format = "text"
	}
	c.completeTLS()
	c.completeAuthority()
	c.completeCRL()
}

func (c *Config) completeTLS() {
	if c.TLS == nil {
		c.TLS = &TLS{}
	}
	if len(c.TLS.CipherSuites) == 0 {
		c.TLS.CipherSuites = DefaultSuites()
	}
	if c.TLS.MinVersion == 0 {
		c.TLS.MinVersion = 1.2
	}
	if c.TLS.MaxVersion == 0 {
		c.TLS.MaxVersion = 1.3
	}
}

func (c *Config) completeAuthority() {
	if c.Authority == nil {
		c.Authority = &Authority{}
	}
	a := c.Authority
	if a.Template == nil {
		a.Template = &Subject{}
	}
	if a.Backdate == nil {
		a.Backdate = duration(time.Minute)
	}
	a.RenewUnrecorded = lowerOr(a.RenewUnrecorded, "extension")
	a.DeploymentType = lowerOr(a.DeploymentType, "standalone")
	a.Type = lowerOr(a.Type, "softcas")
}

func (c *Config) completeCRL() {
	if c.CRL == nil || !c.CRL.Enabled {
		return
	}
	l := c.CRL
	if l.CacheDuration == nil || *l.CacheDuration == 0 {
		l.CacheDuration = duration(24 * time.Hour)
	}
	if l.RenewPeriod == nil || *l.RenewPeriod == 0 {
		l.RenewPeriod = duration(time.Duration(*l.CacheDuration) / 3 * 2)
	}
	if l.IDPURL == "" && len(c.DNSNames) > 0 {
		l.IDPURL = c.URL() + "/1.0/crl"
	}
}

// URL is where clients reach this CA: its first name, and its port unless that is 443.
func (c *Config) URL() string {
	host := "localhost"
	if len(c.DNSNames) > 0 {
		host = strings.Trim(c.DNSNames[0], "[]")
	}
	_, port, err := net.SplitHostPort(c.Address)
	if err == nil && port != "443" && port != "" {
		return "https://" + net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return "https://" + host
}

func duration(d time.Duration) *provisioner.Duration { return (*provisioner.Duration)(&d) }

func lowerOr(value, preset string) string {
	if value == "" {
		return preset
	}
	return strings.ToLower(value)
}
