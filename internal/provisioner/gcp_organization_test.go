package provisioner_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// A project is accepted if the last of its ancestors is the organization, which Google is
// asked with the right of a service account; what it said is kept for a while.
func TestGoogleOrganization(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	key := testca.RSA(t, 2048)
	var asked, proved atomic.Int32
	status, ancestors := 200, ""
	google := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/token":
			proved.Add(1)
			token, err := provisioner.ParseToken(r.PostFormValue("assertion"), parsed(t, cloud.AzureToken()).At)
			if err != nil || r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || token.Issuer != "ca@identity.iam.gserviceaccount.com" ||
				token.KeyID != "key-1" || token.VerifyBy(&key.PublicKey, []jose.SignatureAlgorithm{jose.RS256}) != nil {
				w.WriteHeader(401)
				return
			}
			_, _ = w.Write([]byte(`{"access_token":"t0ken","expires_in":3599,"token_type":"Bearer"}`))
		case "/v1/projects/identity:getAncestry":
			asked.Add(1)
			if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer t0ken" {
				w.WriteHeader(401)
				return
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(ancestors))
		default:
			w.WriteHeader(404)
		}
	}))
	t.Cleanup(google.Close)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	account := map[string]string{"type": "service_account", "client_email": "ca@identity.iam.gserviceaccount.com", "private_key_id": "key-1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": google.URL + "/token"}
	if err := os.WriteFile(file, []byte(jsonText(t, account)), 0o600); err != nil {
		t.Fatal(err)
	}
	family := func(all ...string) string {
		var list []any
		for _, one := range all {
			kind, id, _ := strings.Cut(one, ":")
			list = append(list, map[string]any{"resourceId": map[string]string{"type": kind, "id": id}})
		}
		text, _ := json.Marshal(map[string]any{"ancestor": list})
		return string(text)
	}
	const refused = fault.Unproven
	for _, c := range []struct {
		name, ancestors string
		status          int
		kind            fault.Kind // Internal: it is accepted
	}{
		{"ours", family("project:identity", "folder:1", "organization:42"), 200, fault.Internal},
		{"another", family("project:identity", "organization:43"), 200, refused},
		{"a folder of that ID", family("project:identity", "folder:42"), 200, refused},
		{"ours in between", family("project:identity", "organization:42", "organization:43"), 200, refused},
		{"of another project", family("project:else", "organization:42"), 200, refused},
		{"none", family("project:identity"), 200, refused},
		{"empty", "{}", 200, refused},
		{"not ours to see", "{}", 403, refused},
		{"no JSON", "<html>", 200, fault.Unavailable},
		{"away", "{}", 500, fault.Unavailable},
		{"redirect", "{}", 302, fault.Unavailable},
	} {
		status, ancestors = c.status, c.ancestors
		p := open(t, cloud.GCP("Google", map[string]any{"organizationID": "42", "credentials": file, "resourceManagerURL": google.URL}))
		if err := p.Disabled(); err != nil {
			t.Fatal(err)
		}
		asked.Store(0)
		proved.Store(0)
		for range 2 {
			token := parsed(t, cloud.GoogleToken("/1.0/sign#gcp/Google"))
			if _, err := p.Verify(t.Context(), provisioner.SignX509, token); fault.KindOf(err) != c.kind || err != nil && c.kind == fault.Internal {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		want := int32(1) // what was said is kept
		if c.kind == fault.Unavailable {
			want = 2
		}
		if asked.Load() != want || proved.Load() != 1 {
			t.Errorf("%s: asked %d times, proved %d times", c.name, asked.Load(), proved.Load())
		}
	}
	if os.Getenv("GOOGLE_APPLICATION_CREDENTIALS") == "" {
		status, ancestors = 200, family("project:identity", "organization:42")
		p := open(t, cloud.GCP("Google", map[string]any{"organizationID": "42", "resourceManagerURL": google.URL}))
		provisioner.OnMachine(p, cloud.URL)
		if _, err := p.Verify(t.Context(), provisioner.SignX509, parsed(t, cloud.GoogleToken("/1.0/sign#gcp/Google"))); err != nil {
			t.Errorf("as the machine: %v", err)
		}
	}
	for name, more := range map[string]map[string]any{
		"no file":  {"credentials": "absent.json"},
		"no JSON":  {"credentials": cloud.RootsFile},
		"by http":  {"credentials": file, "resourceManagerURL": "http://google.example"},
		"projects": {"credentials": file, "projectIDs": []string{"a"}},
	} {
		more["organizationID"] = "42"
		if err := open(t, cloud.GCP("Google", more)).Disabled(); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
