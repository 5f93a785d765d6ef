// Package config reads, checks and completes the configuration file, and writes a first one.
//
// The file is JSON with comments and trailing commas allowed. Everything that is wrong with
// it is reported at once, each complaint with line and column. The help tags of [Config] are
// the reference: schema and manual page are printed from them.
package config

import (
	"encoding/json"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/provisioner"
)

// Config is the configuration file, ca.json.
type Config struct {
	Root            Strings    `json:"root" help:"file name, or list of file names, of the root certificates (PEM, several in one file are fine); served to clients and trusted for client certificates" required:"true"`
	FederatedRoots  []string   `json:"federatedRoots" help:"files of further roots that are published for federation; trusted for the CA's own outgoing HTTPS, not for client certificates"`
	Certificate     string     `json:"crt" help:"file of the issuing (intermediate) certificate; it may hold a chain, issuing certificate first" required:"true"`
	Key             string     `json:"key" help:"private key of the issuing certificate: a file, or softkms:PATH" required:"true"`
	Address         string     `json:"address" help:"host:port or :port of the HTTPS listener" required:"true"`
	InsecureAddress string     `json:"insecureAddress" help:"host:port of a second listener without TLS, for revocation lists and SCEP; opened if there is something to serve on it"`
	DNSNames        []string   `json:"dnsNames" help:"host names and IP addresses of this CA: names of its own certificate and valid token audiences; the first one stands in URLs" default:"localhost, 127.0.0.1, ::1"`
	CommonName      string     `json:"commonName,omitempty" help:"common name of the CA's own TLS certificate" default:"Step Online CA"`
	Password        Secret     `json:"password,omitempty" help:"password of the private keys; a --password-file wins"`
	KMS             *KMS       `json:"kms,omitempty" help:"keeper of the private keys"`
	SSH             *SSH       `json:"ssh,omitempty" help:"keys of the SSH certificate authority; without it there is none"`
	Logger          *Logger    `json:"logger,omitempty" help:"the request log; without it requests are not logged"`
	Monitoring      *Monitor   `json:"monitoring,omitempty" help:"an external monitoring service; not used, a warning says so"`
	DB              *DB        `json:"db,omitempty" help:"where records are kept; without it SQLite in db/signet.db below the home directory"`
	Authority       *Authority `json:"authority" help:"provisioners and rules of issuance"`
	TLS             *TLS       `json:"tls,omitempty" help:"TLS of the HTTPS listener, also handed to clients"`
	Templates       *Templates `json:"templates,omitempty" help:"files that clients of the SSH certificate authority get, without it the built-in ones; and templates of certificates by name"`
	CRL             *CRL       `json:"crl,omitempty" help:"the certificate revocation list"`
	MetricsAddress  string     `json:"metricsAddress,omitempty" help:"host:port of a listener without TLS that serves Prometheus metrics on /metrics"`
	Signet          *Signet    `json:"signet,omitempty" help:"server settings that only this product knows"`

	source *source // where the members stand; nil for a Config nobody parsed
}

// Signet holds server settings of our own, so that the rest of the file stays exchangeable.
type Signet struct {
	StrictPermissions  bool `json:"strictPermissions,omitempty" help:"refuse to start, instead of warning, if a private key or this file can be read by others"`
	AllowLegacyTLS     bool `json:"allowLegacyTLS,omitempty" help:"permit tls.minVersion and tls.maxVersion 1.0 and 1.1"`
	AllowGetHostByName bool `json:"allowGetHostByName,omitempty" help:"templates may call getHostByName, which sends names to the DNS server"`
	Watch              bool `json:"watch,omitempty" help:"reload whenever this file changes, as SIGHUP does"`
	HideProvisioners   bool `json:"hideProvisioners,omitempty" help:"show the provisioners and their encrypted keys to nobody but those who show a certificate of this CA; others need a token made elsewhere"`
	TrustAnchors       bool `json:"trustAnchors,omitempty" help:"the roots may be certificates that are not self-signed, without a warning"`

	DatabaseSecret          Secret   `json:"databaseSecret,omitempty" help:"what seals secrets that stand in the database, at least 16 characters, the same on all servers that share it; without it the key of the issuing certificate does"`
	PreviousDatabaseSecrets []Secret `json:"previousDatabaseSecrets,omitempty" help:"earlier values of databaseSecret, which still open what they sealed"`

	Retention *Retention `json:"retention,omitempty" help:"how long records are kept that nothing needs any more; without it for ever"`
}

// Retention says when records are removed. Revocations never are.
type Retention struct {
	Audit               *provisioner.Duration `json:"audit,omitempty" help:"audit entries, since they were made; at least 24h; without it they are kept for ever"`
	ExpiredCertificates *provisioner.Duration `json:"expiredCertificates,omitempty" help:"certificates, since their end; at least 24h; without it they are kept for ever"`
}

// Authority is the part about issuance.
type Authority struct {
	Provisioners         []*provisioner.Provisioner `json:"provisioners,omitempty" help:"ways to prove a right to a certificate"`
	Claims               *provisioner.Claims        `json:"claims,omitempty" help:"lifetimes and switches for all provisioners"`
	Policy               *policy.Config             `json:"policy,omitempty" help:"names that may be certified, and names that may not"`
	Template             *Subject                   `json:"template,omitempty" help:"what a subject says where a request leaves it open"`
	Backdate             *provisioner.Duration      `json:"backdate,omitempty" help:"how much earlier than now a certificate begins" default:"1m"`
	DisableIssuedAtCheck bool                       `json:"disableIssuedAtCheck,omitempty" help:"accept tokens issued before the server started; such tokens are only ever refused with a memory database"`
	RenewUnrecorded      string                     `json:"renewUnrecorded,omitempty" help:"renewal of certificates the database does not know: extension (their provisioner extension decides), never, or always" enum:"extension,never,always" default:"extension"`
	PreviousIssuers      []string                   `json:"previousIssuers,omitempty" help:"files of earlier issuing certificates whose certificates may still be renewed"`
	EnableAdmin          bool                       `json:"enableAdmin,omitempty" help:"provisioners are administered over the network and kept in the database"`
	DisableGetSSHHosts   bool                       `json:"disableGetSSHHosts,omitempty" help:"do not list SSH hosts"`
	AuthorityID          string                     `json:"authorityId,omitempty" help:"UUID of this authority, told to an upstream CA"`
	DeploymentType       string                     `json:"deploymentType,omitempty" help:"standalone, linked or hosted" enum:"standalone,linked,hosted" default:"standalone"`

	Type                            string          `json:"type,omitempty" help:"who signs: softcas (this CA's own key), stepcas, cloudcas or vaultcas" enum:"softcas,stepcas,cloudcas,vaultcas" default:"softcas"`
	CertificateAuthority            string          `json:"certificateAuthority,omitempty" help:"upstream CA: URL or resource name"`
	CertificateAuthorityFingerprint string          `json:"certificateAuthorityFingerprint,omitempty" help:"SHA-256 of the upstream root, hex"`
	CertificateIssuer               *Issuer         `json:"certificateIssuer,omitempty" help:"how this CA proves itself upstream"`
	CredentialsFile                 string          `json:"credentialsFile,omitempty" help:"credentials of a cloud CA"`
	Config                          json.RawMessage `json:"config,omitempty" help:"settings of vaultcas"`
}

// Subject holds default attributes of a distinguished name.
type Subject struct {
	Country            string `json:"country,omitempty" help:"country, two letters"`
	Organization       string `json:"organization,omitempty" help:"organization"`
	OrganizationalUnit string `json:"organizationalUnit,omitempty" help:"organizational unit"`
	Locality           string `json:"locality,omitempty" help:"locality"`
	Province           string `json:"province,omitempty" help:"state or province"`
	StreetAddress      string `json:"streetAddress,omitempty" help:"street address"`
	SerialNumber       string `json:"serialNumber,omitempty" help:"serial number of the subject, not of the certificate"`
	CommonName         string `json:"commonName,omitempty" help:"common name"`
}

// Issuer is the credential towards an upstream CA.
type Issuer struct {
	Type        string `json:"type" help:"JWK or X5C"`
	Provisioner string `json:"provisioner" help:"name of the upstream provisioner"`
	Certificate string `json:"crt,omitempty" help:"certificate file, for X5C"`
	Key         string `json:"key,omitempty" help:"key file"`
	Password    Secret `json:"password,omitempty" help:"password of the key"`
}

// KMS is a keeper of private keys.
type KMS struct {
	Type             string `json:"type,omitempty" help:"softkms (files), pkcs11, yubikey, tpmkms, sshagentkms, awskms, cloudkms, azurekms, capi, mackms or kms; empty: the scheme of uri" default:"softkms"`
	URI              string `json:"uri,omitempty" help:"connection to the keeper"`
	CredentialsFile  string `json:"credentialsFile,omitempty" help:"credentials of cloudkms and awskms"`
	Region           string `json:"region,omitempty" help:"region of awskms"`
	Profile          string `json:"profile,omitempty" help:"profile of awskms"`
	Pin              Secret `json:"pin,omitempty" help:"PIN of pkcs11 and yubikey"`
	ManagementKey    Secret `json:"managementKey,omitempty" help:"management key of yubikey, hex"`
	StorageDirectory string `json:"storageDirectory,omitempty" help:"where tpmkms keeps wrapped keys"`
}

// SSH is the SSH certificate authority.
type SSH struct {
	HostKey          string   `json:"hostKey,omitempty" help:"private key that signs host certificates"`
	UserKey          string   `json:"userKey,omitempty" help:"private key that signs user certificates"`
	Keys             []SSHKey `json:"keys,omitempty" help:"further public keys to publish"`
	AddUserPrincipal string   `json:"addUserPrincipal,omitempty" help:"principal of certificates that add a user to a host" default:"provisioner"`
	AddUserCommand   string   `json:"addUserCommand,omitempty" help:"command that adds a user; <principal> is replaced"`
	Bastion          *Bastion `json:"bastion,omitempty" help:"jump host that clients are told to use"`
}

// SSHKey is a public key published beside our own.
type SSHKey struct {
	Type      string                `json:"type" help:"user or host" enum:"user,host" required:"true"`
	Federated bool                  `json:"federated,omitempty" help:"published for federation instead of as our own"`
	Key       provisioner.PublicJWK `json:"key" help:"public key as JWK" required:"true"`
}

// Bastion is a jump host.
type Bastion struct {
	Hostname string `json:"hostname" help:"name of the jump host; empty: none"`
	User     string `json:"user,omitempty" help:"user on the jump host"`
	Port     string `json:"port,omitempty" help:"port of the jump host"`
	Command  string `json:"cmd,omitempty" help:"command run there instead of a connection"`
	Flags    string `json:"flags,omitempty" help:"further flags for ssh"`
}

// Logger is the request log, on standard error.
type Logger struct {
	Format      string `json:"format,omitempty" help:"text, json or common" enum:"text,json,common" default:"text"`
	TraceHeader string `json:"traceHeader,omitempty" help:"request header whose value is the request ID if there is no X-Request-Id" default:"X-Smallstep-Id"`
}

// Monitor is an external monitoring service.
type Monitor struct {
	Type string `json:"type,omitempty" help:"newrelic" enum:"newrelic" default:"newrelic"`
	Name string `json:"name,omitempty" help:"name of the application"`
	Key  Secret `json:"key,omitempty" help:"licence key"`
}

// Templates are the files that SSH clients get, and templates of certificates that several
// provisioners share.
type Templates struct {
	SSH  *SSHTemplates                    `json:"ssh,omitempty" help:"templates by kind of client; any other member is a template of SSH certificates by its name, which templateRef of a provisioner's options takes; each has the template members of options.ssh"`
	X509 map[string]*issue.TemplateConfig `json:"x509,omitempty" help:"templates of X.509 certificates by name, which templateRef of a provisioner's options takes; each has the template members of options.x509"`
	Data map[string]any                   `json:"data,omitempty" help:"values for all templates; the names Step and User are taken"`
}

// SSHTemplates are templates by kind of client, and templates of SSH certificates.
type SSHTemplates struct {
	User []Template `json:"user,omitempty" help:"files of a user's machine"`
	Host []Template `json:"host,omitempty" help:"files of a host"`

	Named map[string]*issue.TemplateConfig `json:"-"` // every other member that is an object
}

// Template makes one file on a client.
type Template struct {
	Name     string   `json:"name" help:"name that clients show" required:"true"`
	Type     string   `json:"type" help:"snippet, prepend-line, file or directory" enum:"snippet,prepend-line,file,directory" required:"true"`
	Template string   `json:"template" help:"template file here on the server; relative to the home directory; empty only for a directory"`
	Path     string   `json:"path" help:"file on the client" required:"true"`
	Comment  string   `json:"comment,omitempty" help:"what starts a comment in the file" default:"#"`
	Requires []string `json:"requires,omitempty" help:"data that a request must bring"`
}

// CRL is the certificate revocation list.
type CRL struct {
	Enabled          bool                  `json:"enabled,omitempty" help:"make a revocation list and serve it on /crl and /1.0/crl"`
	GenerateOnRevoke bool                  `json:"generateOnRevoke,omitempty" help:"make a new list at once after each revocation"`
	CacheDuration    *provisioner.Duration `json:"cacheDuration,omitempty" help:"how long a list is good" default:"24h"`
	RenewPeriod      *provisioner.Duration `json:"renewPeriod,omitempty" help:"how often a new list is made" default:"two thirds of cacheDuration"`
	IDPURL           string                `json:"idpURL,omitempty" help:"where the list says it is published" default:"https://NAME/1.0/crl of the first DNS name"`
}
