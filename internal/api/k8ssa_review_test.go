package api_test

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/signet-ca/signet/internal/testca"
)

// apiServer plays the API server of a cluster.
type apiServer struct {
	*httptest.Server
	asked  atomic.Int64
	status atomic.Int64 // of the answer
	answer atomic.Value // string: the answer's text
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := new(apiServer)
	s.status.Store(201)
	s.answer.Store(reviewed(`{"authenticated":true,"user":{"username":"system:serviceaccount:apps:web"},"audiences":["signet"]}`))
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		var ask struct {
			APIVersion, Kind string
			Spec             struct {
				Token     string
				Audiences []string
			}
		}
		switch {
		case r.Method != "POST" || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || r.Header.Get("Content-Type") != "application/json":
			w.WriteHeader(404)
		case r.Header.Get("Authorization") != "Bearer reviewer":
			w.WriteHeader(401)
		case json.Unmarshal(body, &ask) != nil || ask.Kind != "TokenReview" || ask.APIVersion != "authentication.k8s.io/v1" || strings.Count(ask.Spec.Token, ".") != 2 || strings.Join(ask.Spec.Audiences, " ") != "signet":
			w.WriteHeader(400)
		default:
			w.WriteHeader(int(s.status.Load()))
			_, _ = io.WriteString(w, s.answer.Load().(string))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func reviewed(status string) string {
	return `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"token":"x"},"status":` + status + `}`
}

// members are those of a provisioner that asks this server.
func (s *apiServer) members(t *testing.T, more map[string]any) map[string]any {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("reviewer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{"issuer": "https://kube.example", "audiences": []string{"signet"}, "apiServer": s.URL, "apiToken": "file:" + token,
		"apiRoots": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})}
	for k, v := range more {
		all[k] = v
	}
	return all
}

// The API server has the last word on a token: only a clear yes, for its own account and for
// our audience, lets it pass; everything else fails closed.
func TestK8sSATokenReview(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	key := testca.RSA(t, 2048)
	c := testca.New(t, func(x *testca.Setup) {
		x.More = []string{kube(t, "kube", s.members(t, map[string]any{"publicKeys": nil, "namespaces": []string{"apps"}}))}
	})
	if err := c.Office.State().Provisioners.ByName("kube").Disabled(); err != nil {
		t.Fatal(err)
	}
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	token := projectedToken(t, key)
	for _, tc := range []struct {
		name   string
		http   int64
		answer string
		want   int
	}{
		{"yes", 201, reviewed(`{"authenticated":true,"user":{"username":"system:serviceaccount:apps:web","uid":"1","groups":["g"]},"audiences":["else","signet"]}`), 201},
		{"yes with status 200", 200, reviewed(`{"authenticated":true,"user":{"username":"system:serviceaccount:apps:web"},"audiences":["signet"]}`), 201},
		{"no", 201, reviewed(`{"authenticated":false,"error":"the pod is gone"}`), 401},
		{"nothing", 201, reviewed(`{}`), 401},
		{"yes for another account", 201, reviewed(`{"authenticated":true,"user":{"username":"system:serviceaccount:apps:else"},"audiences":["signet"]}`), 401},
		{"yes for a person", 201, reviewed(`{"authenticated":true,"user":{"username":"apps:web"},"audiences":["signet"]}`), 401},
		{"yes for nobody", 201, reviewed(`{"authenticated":true,"audiences":["signet"]}`), 401},
		{"yes for another audience", 201, reviewed(`{"authenticated":true,"user":{"username":"system:serviceaccount:apps:web"},"audiences":["kubernetes"]}`), 401},
		{"yes by a server without audiences", 201, reviewed(`{"authenticated":true,"user":{"username":"system:serviceaccount:apps:web"}}`), 401},
		{"a yes that is a word", 201, reviewed(`{"authenticated":"true","user":{"username":"system:serviceaccount:apps:web"},"audiences":["signet"]}`), 503},
		{"yes and no", 201, reviewed(`{"authenticated":false,"authenticated":true,"user":{"username":"system:serviceaccount:apps:web"},"audiences":["signet"]}`), 503},
		{"no status", 201, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1"}`, 503},
		{"another kind", 201, strings.Replace(reviewed(`{"authenticated":true,"user":{"username":"system:serviceaccount:apps:web"},"audiences":["signet"]}`), "TokenReview", "Status", 1), 503},
		{"no JSON", 201, `ok`, 503},
		{"a failure", 500, `{}`, 503},
		{"a redirect", 302, `{}`, 503},
		{"a refusal of us", 403, `{}`, 503},
		{"ten megabytes", 201, strings.Repeat(" ", 10<<20), 503},
	} {
		s.status.Store(tc.http)
		s.answer.Store(tc.answer)
		if a := c.Sign(csr, token); a.Status != tc.want {
			t.Errorf("%s: %d %s", tc.name, a.Status, a.Body)
		} else if strings.Contains(string(a.Body), "pod is gone") || strings.Contains(string(a.Body), s.URL) {
			t.Errorf("%s: it reveals %s", tc.name, a.Body)
		}
	}
	// What is refused here is not asked there.
	before := s.asked.Load()
	for name, bend := range map[string]testca.Bend{
		"another audience": testca.Audience("else"), "no expiry": testca.NoClaim("exp"),
		"another namespace": testca.Claim("kubernetes.io", map[string]any{"namespace": "kube-system", "serviceaccount": map[string]any{"name": "web"}}),
	} {
		if a := c.Sign(csr, projectedToken(t, key, bend)); a.Status != 401 {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	if n := s.asked.Load() - before; n != 0 {
		t.Errorf("asked %d times about tokens that are refused anyway", n)
	}
	s.Close()
	c.Sign(csr, token).Want(503)
	if body := string(c.Get("/provisioners").Body); strings.Contains(body, "apiToken") || strings.Contains(body, s.URL) {
		t.Errorf("strangers are shown %s", body)
	}
}

// With keys, both must say yes: a forged token does not even make us ask.
func TestK8sSATokenReviewWithKeys(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	key := testca.RSA(t, 2048)
	c := testca.New(t, func(x *testca.Setup) { x.More = []string{kube(t, "kube", s.members(t, nil), &key.PublicKey)} })
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	c.Sign(csr, projectedToken(t, key)).Want(201)
	c.Sign(csr, projectedToken(t, testca.RSA(t, 3072))).Want(401)
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Settings that would ask nobody, or anybody on the way, disable the provisioner.
func TestK8sSATokenReviewSettings(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]map[string]any{
		"plain http":        {"apiServer": "http://kube.example"},
		"no URL":            {"apiServer": "kube.example"},
		"a password in it":  {"apiServer": "https://a:b@kube.example"},
		"no token":          {"apiToken": ""},
		"a token of nobody": {"apiToken": "file:"},
		"a token alone":     {"apiServer": ""},
		"roots that none":   {"apiRoots": []byte("x")},
		"keys by http":      {"jwksURL": "http://kube.example/keys"},
	} {
		all := map[string]any{"issuer": "https://kube.example", "audiences": []string{"signet"}, "apiServer": "https://kube.example", "apiToken": "env:X"}
		for k, v := range more {
			all[k] = v
		}
		c := testca.New(t, func(x *testca.Setup) { x.More = []string{kube(t, "kube", all, &testca.RSA(t, 2048).PublicKey)} })
		if c.Office.State().Provisioners.ByName("kube").Disabled() == nil {
			t.Errorf("%s: it serves", name)
		}
	}
}

// The keys of a cluster may be where it publishes them.
func TestK8sSAPublishedKeys(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	jwk := testca.PublicJWK(&key.PublicKey)
	jwk["kid"] = "k1"
	set := jsonOf(t, map[string]any{"keys": []any{jwk}})
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, set) }))
	t.Cleanup(s.Close)
	c := testca.New(t, func(x *testca.Setup) {
		x.More = []string{kube(t, "kube", map[string]any{"publicKeys": nil, "issuer": "https://kube.example", "audiences": []string{"signet"}, "jwksURL": s.URL + "/openid/v1/jwks",
			"apiRoots": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})})}
	})
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	es := testca.Head("alg", "ES256")
	c.Sign(csr, projectedToken(t, key, es)).Want(201)
	c.Sign(csr, projectedToken(t, testca.P256(t), es)).Want(401)
	c.Sign(csr, projectedToken(t, key, es, testca.Head("kid", "k2"))).Want(401)
}
