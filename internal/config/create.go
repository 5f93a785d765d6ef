package config

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// CreateOptions describe a CA to make. Home, Name, DNSNames, Address and Provisioner are
// needed; with PKIOnly only the first two are.
type CreateOptions struct {
	Home        string   // folder of all files; it stands in their configuration
	Name        string   // of the PKI: organization and beginning of the common names
	DNSNames    []string // host names and IP addresses, without port
	Address     string   // of the listener: host:port or :port
	Provisioner string   // name of the first JWK provisioner
	URL         string   // address told to clients; "": the first name and the port

	Password            []byte // encrypts the keys; empty leaves them in clear, for tests alone
	ProvisionerPassword []byte // encrypts the provisioner's key; empty leaves it out of the file
	Alg                 keys.Alg

	Root                 *x509.Certificate // an existing root instead of a new one
	RootKey              crypto.Signer     // its key, which is used and not stored
	RootNotAfter         issue.Moment      // end of a new root, relative to now
	IntermediateNotAfter issue.Moment

	PKIOnly          bool // keys and certificates, no configuration
	SSH              bool // keys of an SSH CA, templates, SSHPOP provisioner
	ACME             bool // an ACME provisioner
	RemoteManagement bool // provisioners are administered over the network
	NoDB             bool // nothing outlives the process
	DB               *DB  // where records are kept; nil, or without data source: in SQLite in the folder db
	Reference        bool // write the database section that the reference reads
	LogFormat        string
}

// File is a file of a new CA.
type File struct {
	What string // what it is, in a word or two
	Path string
	Data []byte
	Mode fs.FileMode
}

// Created is a new CA, in memory until Write.
type Created struct {
	Root, Intermediate *x509.Certificate
	Key                crypto.Signer    // of Intermediate
	Provisioner        *jose.JSONWebKey // private key of the first provisioner; nil with PKIOnly
	Config             *Config          // nil with PKIOnly
	URL                string           // told to clients
	DBDir              string           // folder of the database, to be made; "" if there is none
	TemplateDir        string           // folder of the SSH templates; "" if there are none
	Files              []File

	o   CreateOptions
	now time.Time
}

// Create makes keys, certificates and configuration of a new CA. Nothing is written yet.
func Create(o CreateOptions, now time.Time) (*Created, error) {
	c := &Created{o: o, now: now}
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := c.makeRoot(); err != nil {
		return nil, err
	}
	if err := c.makeIntermediate(); err != nil {
		return nil, err
	}
	var ssh *SSH
	if o.SSH {
		var err error
		if ssh, err = c.makeSSH(); err != nil {
			return nil, err
		}
	}
	if o.PKIOnly {
		return c, nil
	}
	if err := c.configure(ssh); err != nil {
		return nil, err
	}
	return c, c.encode()
}

func (c *Created) check() error {
	o := &c.o
	if o.Home == "" || o.Name == "" {
		return fault.New(fault.Invalid, "a new CA needs a folder and a name")
	}
	if (o.Root == nil) != (o.RootKey == nil) {
		return fault.New(fault.Invalid, "an existing root needs both certificate and key")
	}
	if o.PKIOnly {
		return nil
	}
	if len(o.DNSNames) == 0 || o.Provisioner == "" {
		return fault.New(fault.Invalid, "a new CA needs a host name and the name of a provisioner")
	}
	if err := CheckAddress(o.Address); err != nil {
		return fault.New(fault.Invalid, "the address %q cannot be used: %v", o.Address, err)
	}
	return nil
}

func (c *Created) path(elem ...string) string {
	return filepath.Join(append([]string{c.o.Home}, elem...)...)
}

func (c *Created) add(what, path string, data []byte, mode fs.FileMode) {
	c.Files = append(c.Files, File{what, path, data, mode})
}

// addKey stores a private key under the password.
func (c *Created) addKey(what, name string, key crypto.Signer) error {
	encode := func() ([]byte, error) { return keys.EncodeEncrypted(key, c.o.Password) }
	if len(c.o.Password) == 0 {
		encode = func() ([]byte, error) { return keys.EncodePrivate(key) }
	}
	data, err := encode()
	if err != nil {
		return err
	}
	c.add(what, c.path("secrets", name), data, 0o600)
	return nil
}

func (c *Created) makeRoot() error {
	file := c.path("certs", "root_ca.crt")
	if c.Root = c.o.Root; c.Root != nil {
		c.add("Root certificate", file, keys.EncodeCertificates(c.Root), 0o600)
		return nil
	}
	key, err := c.o.Alg.Generate()
	if err != nil {
		return err
	}
	c.Root, err = issue.NewRoot(issue.AuthoritySpec{Name: c.o.Name, NotAfter: c.o.RootNotAfter.From(c.now)}, key, c.now)
	if err != nil {
		return err
	}
	c.o.RootKey = key
	c.add("Root certificate", file, keys.EncodeCertificates(c.Root), 0o600)
	return c.addKey("Root private key", "root_ca_key", key)
}

func (c *Created) makeIntermediate() (err error) {
	if c.Key, err = c.o.Alg.Generate(); err != nil {
		return err
	}
	spec := issue.AuthoritySpec{Name: c.o.Name, NotAfter: c.o.IntermediateNotAfter.From(c.now)}
	c.Intermediate, err = issue.NewIntermediate(spec, c.Key.Public(), issue.Pair{Certificate: c.Root, Key: c.o.RootKey}, c.now)
	if err != nil {
		return err
	}
	c.add("Intermediate certificate", c.path("certs", "intermediate_ca.crt"), keys.EncodeCertificates(c.Intermediate), 0o600)
	return c.addKey("Intermediate private key", "intermediate_ca_key", c.Key)
}

// configure fills in the configuration as the reference writes it: the same members in the
// same order, so that both read it.
func (c *Created) configure(ssh *SSH) error {
	o := &c.o
	provisioners, err := c.provisioners()
	if err != nil {
		return err
	}
	c.Config = &Config{
		Root:        Strings{c.path("certs", "root_ca.crt")},
		Certificate: c.path("certs", "intermediate_ca.crt"),
		Key:         c.path("secrets", "intermediate_ca_key"),
		Address:     o.Address,
		DNSNames:    o.DNSNames,
		SSH:         ssh,
		Logger:      &Logger{Format: lowerOr(o.LogFormat, "text")},
		DB:          c.database(),
		Authority:   &Authority{Provisioners: provisioners, EnableAdmin: o.RemoteManagement},
		TLS:         &TLS{CipherSuites: DefaultSuites(), MinVersion: 1.2, MaxVersion: 1.3},
	}
	if o.SSH {
		c.Config.Templates = c.sshTemplates()
	}
	if c.URL = o.URL; c.URL == "" {
		c.URL = c.Config.URL()
	}
	return nil
}

func (c *Created) database() *DB {
	switch {
	case c.o.NoDB && c.o.Reference:
		return nil // the reference then forgets everything at its end
	case c.o.NoDB:
		return &DB{Type: "memory"}
	}
	if db := c.o.DB; db != nil && db.DataSource != "" {
		return db
	}
	c.DBDir = c.path("db")
	if c.o.Reference && c.o.DB == nil {
		return &DB{Type: "badgerv2", DataSource: Secret(c.DBDir), BadgerFileLoadingMode: new(string)}
	}
	return &DB{Type: "sqlite", DataSource: Secret(c.DBDir)}
}

// provisionerObject has the members of a new provisioner in the order they are written.
type provisionerObject struct {
	Type         string              `json:"type"`
	Name         string              `json:"name"`
	Key          json.RawMessage     `json:"key,omitempty"`
	EncryptedKey string              `json:"encryptedKey,omitempty"`
	Claims       *provisioner.Claims `json:"claims,omitempty"`
}

func (c *Created) provisioners() ([]*provisioner.Provisioner, error) {
	first, err := c.jwk()
	if err != nil {
		return nil, err
	}
	objects := []provisionerObject{*first}
	if c.o.ACME {
		objects = append(objects, provisionerObject{Type: "ACME", Name: c.freeName("acme")})
	}
	if c.o.SSH {
		on := true
		claims := &provisioner.Claims{EnableSSHCA: &on}
		objects[0].Claims = claims
		objects = append(objects, provisionerObject{Type: "SSHPOP", Name: c.freeName("sshpop"), Claims: claims})
	}
	all := make([]*provisioner.Provisioner, len(objects))
	for i, o := range objects {
		text, err := plainJSON(o, "", "")
		if err != nil {
			return nil, err
		}
		all[i] = new(provisioner.Provisioner)
		if err := json.Unmarshal(text, all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// freeName avoids the name of the first provisioner.
func (c *Created) freeName(name string) string {
	if c.o.Provisioner == name {
		return name + "-1"
	}
	return name
}

func (c *Created) jwk() (*provisionerObject, error) {
	key, err := keys.Alg{}.Generate()
	if err != nil {
		return nil, err
	}
	if c.Provisioner, err = keys.NewPrivateJWK(key); err != nil {
		return nil, err
	}
	public, err := keys.NewJWK(key.Public())
	if err != nil {
		return nil, err
	}
	text, err := keys.MarshalJWK(public)
	if err != nil {
		return nil, err
	}
	o := &provisionerObject{Type: "JWK", Name: c.o.Provisioner, Key: text}
	if len(c.o.ProvisionerPassword) > 0 {
		o.EncryptedKey, err = keys.EncryptJWK(c.Provisioner, c.o.ProvisionerPassword)
	}
	return o, err
}

// defaults is what clients on the same machine need to know.
type defaults struct {
	URL         string `json:"ca-url"`
	Config      string `json:"ca-config"`
	Fingerprint string `json:"fingerprint"`
	Root        string `json:"root"`
}

// encode adds the two configuration files, the server's last: a CA that was written halfway
// has none.
func (c *Created) encode() error {
	file := c.path("config", "ca.json")
	text, err := plainJSON(defaults{c.URL, file, keys.CertificateFingerprint(c.Root), c.path("certs", "root_ca.crt")}, "", "\t")
	if err != nil {
		return err
	}
	c.add("Default configuration", c.path("config", "defaults.json"), text, 0o644)
	if text, err = plainJSON(c.Config, "", "\t"); err != nil {
		return err
	}
	c.add("Certificate Authority configuration", file, text, 0o600)
	return nil
}

// plainJSON is JSON without the escapes that only browsers need.
func plainJSON(v any, prefix, indent string) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, indent)
	err := enc.Encode(v)
	return out.Bytes(), err
}

// Write writes the files of the CA and makes its folders, for their owner alone.
func (c *Created) Write() error {
	for _, f := range c.Files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
			return err
		}
		if err := durable.WriteFile(f.Path, f.Data, f.Mode); err != nil {
			return err
		}
	}
	if c.DBDir == "" {
		return nil
	}
	return os.MkdirAll(c.DBDir, 0o700)
}

// File finds a file by the end of its path, such as certs/root_ca.crt; nil if there is none.
func (c *Created) File(end string) *File {
	for i := range c.Files {
		if strings.HasSuffix(filepath.ToSlash(c.Files[i].Path), "/"+end) {
			return &c.Files[i]
		}
	}
	return nil
}
