package testca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Names of the fake clouds' things.
const (
	Tenant   = "bc9043e2-b645-4c1c-a87a-78f8644bfe57"
	azureIss = "https://sts.windows.net/" + Tenant + "/"
	MachineA = "/subscriptions/sub-1/resourceGroups/identity/providers/Microsoft.Compute/virtualMachines/vm-1"
)

// Cloud stands for all three clouds: the metadata service of a machine, and the keys by which
// what it says can be checked. What it signs is put together by hand from the clouds' own
// documentation.
type Cloud struct {
	*httptest.Server
	RootsFile string            // PEM of the certificate that verifies identity documents
	Key       *ecdsa.PrivateKey // signs identity tokens; published at /keys, found from /tenant

	root *rsa.PrivateKey

	mu       sync.Mutex
	document map[string]any
	answer   func(w http.ResponseWriter, r *http.Request) bool
}

// NewCloud starts a cloud that ends with the test.
func NewCloud(t testing.TB) *Cloud {
	t.Helper()
	c, err := MakeCloud(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// MakeCloud starts a cloud with its files in a directory. Who calls it closes it.
func MakeCloud(dir string) (*Cloud, error) {
	c := &Cloud{RootsFile: filepath.Join(dir, "iid.pem"), document: Document()}
	var err error
	if c.root, err = rsa.GenerateKey(rand.Reader, 1024); err != nil { // as large as Amazon's
		return nil, err
	}
	if c.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Test Web Services"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, c.root.Public(), c.root)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.RootsFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	return c, nil
}

// Document is an identity document as the seed documents show one, of an instance that was
// started a minute ago.
func Document() map[string]any {
	return map[string]any{
		"devpayProductCodes": nil, "marketplaceProductCodes": []string{"1abc2defghijklm3nopqrs4tu"}, "availabilityZone": "us-west-2b",
		"privateIp": "10.158.112.84", "version": "2017-09-30", "instanceId": "i-1234567890abcdef0", "billingProducts": nil,
		"instanceType": "t2.micro", "accountId": "123456789042", "imageId": "ami-5fb8c835",
		"pendingTime":  time.Now().Add(-time.Minute).UTC().Format(time.RFC3339),
		"architecture": "x86_64", "kernelId": nil, "ramdiskId": nil, "region": "us-west-2",
	}
}

// Say changes what the cloud says from now on: a member of the identity document.
func (c *Cloud) Say(member string, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.document[member] = value
}

// Answer sets who answers first. One that says false leaves the answer to the cloud.
func (c *Cloud) Answer(answer func(w http.ResponseWriter, r *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// SignDocument signs as Amazon does: PKCS #1 over SHA-256.
func (c *Cloud) SignDocument(document []byte) []byte {
	signature, err := signWith(c.root, "RS256", hashes["256"], string(document))
	if err != nil {
		panic(err)
	}
	return signature
}

const instanceIdentity = "/latest/dynamic/instance-identity/"

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	answer := c.answer
	document, err := json.MarshalIndent(c.document, "", "  ")
	c.mu.Unlock()
	if err != nil || answer != nil && answer(w, r) {
		return
	}
	say := func(ok bool, text string) {
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte(text))
	}
	const session = "session=="
	v2 := r.Header.Get("X-aws-ec2-metadata-token") == session
	audience := r.URL.Query().Get("audience")
	switch r.Method + " " + r.URL.Path {
	case "PUT /latest/api/token":
		say(r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "30", session)
	case "GET " + instanceIdentity + "document":
		say(v2, string(document))
	case "GET " + instanceIdentity + "signature":
		text := base64.StdEncoding.EncodeToString(c.SignDocument(document))
		say(v2, text[:64]+"\n"+text[64:])
	case "GET /computeMetadata/v1/instance/service-accounts/default/identity":
		say(r.Header.Get("Metadata-Flavor") == "Google" && r.URL.Query().Get("format") == "full", c.compact(c.googleBare(audience), nil))
	case "GET /computeMetadata/v1/instance/service-accounts/default/token":
		say(r.Header.Get("Metadata-Flavor") == "Google", `{"access_token":"t0ken","expires_in":3599,"token_type":"Bearer"}`)
	case "GET /metadata/instance/compute/azEnvironment":
		say(r.Header.Get("Metadata") == "true" && r.URL.Query().Get("format") == "text", "AzurePublicCloud")
	case "GET /metadata/identity/oauth2/token":
		text, _ := json.Marshal(map[string]any{"access_token": c.compact(c.azureBare(r.URL.Query().Get("resource")), nil), "token_type": "Bearer"})
		say(r.Header.Get("Metadata") == "true" && r.URL.Query().Get("api-version") == "2018-02-01", string(text))
	case "GET /keys":
		text, _ := json.Marshal(map[string]any{"keys": []any{PublicJWK(&c.Key.PublicKey)}})
		say(true, string(text))
	case "GET /tenant":
		say(true, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, azureIss, c.URL+"/keys"))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// compact is Token.Compact for a server, which has no test to end.
func (c *Cloud) compact(t *Token, bend []Bend) string {
	t.With(bend...)
	header, _ := json.Marshal(t.Header)
	claims, _ := json.Marshal(t.Claims)
	input := Base64(string(header)) + "." + Base64(string(claims))
	alg := fmt.Sprint(t.Header["alg"])
	hash, ok := hashes[strings.TrimLeft(alg, "EPHRS")]
	if !ok {
		hash = hashes["256"]
	}
	var signature []byte
	if alg != "none" {
		var err error
		if signature, err = signWith(t.Key, alg, hash, input); err != nil {
			panic(err)
		}
	}
	return input + "." + Base64(string(signature))
}

// googleBare is the identity token of a machine in the format "full", as the documentation of
// Compute Engine shows it.
func (c *Cloud) googleBare(audience string) *Token {
	now := time.Now()
	return &Token{Key: c.Key, Header: map[string]any{"alg": "ES256", "kid": Thumbprint(&c.Key.PublicKey), "typ": "JWT"}, Claims: map[string]any{
		"iss": "https://accounts.google.com", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "aud": audience,
		"sub": "1234567890", "azp": "1234567890", "email": "1234567890-compute@developer.gserviceaccount.com", "email_verified": true,
		"google": map[string]any{"compute_engine": Machine()}}}
}

// Machine is what Google says of a machine that was made a minute ago.
func Machine() map[string]any {
	return map[string]any{"project_id": "identity", "project_number": 739419398126, "zone": "us-west1-a", "instance_id": "152986662232938449",
		"instance_name": "example", "instance_creation_timestamp": time.Now().Add(-time.Minute).Unix(), "license_id": []string{"1000204"}}
}

// azureBare is the access token of a managed identity.
func (c *Cloud) azureBare(audience string) *Token {
	now := time.Now()
	return &Token{Key: c.Key, Header: map[string]any{"alg": "ES256", "kid": Thumbprint(&c.Key.PublicKey), "typ": "JWT", "x5t": "x"}, Claims: map[string]any{
		"aud": audience, "iss": azureIss, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(8 * time.Hour).Unix(), "aio": "E2",
		"appid": "app-1", "appidacr": "2", "idp": azureIss, "oid": "object-1", "sub": "object-1", "tid": Tenant, "uti": "u", "ver": "1.0",
		"xms_mirid": MachineA}}
}

// GoogleToken is an identity token for an address of the CA, such as /1.0/sign#gcp/name.
func (c *Cloud) GoogleToken(at string, bend ...Bend) string {
	return c.compact(c.googleBare("https://localhost:9000"+at), bend)
}

// AzureToken is an access token of the machine's managed identity.
func (c *Cloud) AzureToken(bend ...Bend) string {
	return c.compact(c.azureBare("https://management.azure.com/"), bend)
}

// AmazonToken is the token that an EC2 instance makes for an address of the CA, such as
// /1.0/sign#aws/name, with its identity document as it is now.
func (c *Cloud) AmazonToken(at, subject string, bend ...Bend) string {
	c.mu.Lock()
	document, err := json.Marshal(c.document)
	c.mu.Unlock()
	if err != nil {
		panic(err)
	}
	return c.AmazonTokenOf(document, c.SignDocument(document), at, append([]Bend{Claim("sub", subject)}, bend...)...)
}

// AmazonTokenOf is AmazonToken for any document and signature, and the subject web.
func (c *Cloud) AmazonTokenOf(document, signature []byte, at string, bend ...Bend) string {
	now := time.Now()
	t := &Token{Key: signature, Header: map[string]any{"alg": "HS256", "typ": "JWT"}, Claims: map[string]any{
		"iss": "ec2.amazonaws.com", "sub": "web", "aud": "https://localhost:9000" + at, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"jti":    "chosen by the machine",
		"amazon": map[string]any{"document": base64.StdEncoding.EncodeToString(document), "signature": base64.StdEncoding.EncodeToString(signature)}}}
	return c.compact(t, bend)
}

// AWS, GCP and Azure are the JSON objects of provisioners that trust this cloud. Further
// members go over the usual ones.
func (c *Cloud) AWS(name string, more map[string]any) string {
	return object(map[string]any{"type": "AWS", "name": name, "iidRoots": c.RootsFile}, more)
}

// GCP is a provisioner that trusts the cloud's keys.
func (c *Cloud) GCP(name string, more map[string]any) string {
	return object(map[string]any{"type": "GCP", "name": name, "jwksURL": c.URL + "/keys"}, more)
}

// Azure is a provisioner that trusts the cloud's tenant.
func (c *Cloud) Azure(name string, more map[string]any) string {
	return object(map[string]any{"type": "Azure", "name": name, "tenantId": Tenant, "configurationEndpoint": c.URL + "/tenant"}, more)
}

func object(members, more map[string]any) string {
	for k, v := range more {
		members[k] = v
	}
	text, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return string(text)
}
