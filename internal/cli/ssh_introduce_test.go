package cli_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/testca"
	"github.com/signet-ca/signet/internal/testidp"
)

// frontedCA is a CA behind a front that lets nobody near the SSH inventory and configuration
// without a client certificate of the CA, and says so.
func frontedCA(t *testing.T, more ...string) (c *testca.CA, url string) {
	t.Helper()
	c = testca.New(t, func(s *testca.Setup) { s.SSH = true; s.More = append(s.More, more...) })
	own, err := c.Office.OwnCertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.Root)
	pool.AddCert(c.Intermediate)
	inner := c.Handler()
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		closed := strings.HasPrefix(r.URL.Path, "/ssh/") && r.URL.Path != "/ssh/sign" && r.URL.Path != "/ssh/roots"
		switch {
		case r.URL.Path == "/version":
			_, _ = w.Write([]byte(`{"version":"1","requireClientAuthentication":true}`))
		case closed && len(r.TLS.VerifiedChains) == 0:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"status":401,"message":"who are you?"}`))
		default:
			inner.ServeHTTP(w, r)
		}
	}))
	front.TLS = &tls.Config{Certificates: []tls.Certificate{*own}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	front.StartTLS()
	t.Cleanup(front.Close)
	return c, strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
}

// cli Section 17.12: where the CA does not know who calls and wants to, the commands log
// somebody in, keep the identity, and call once more.
func TestSSHCommandsIntroduceThemselves(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	c, url := frontedCA(t, `{"type":"OIDC","name":"corp","clientID":"`+testidp.Client+`","clientSecret":"`+testidp.Secret+`","configurationEndpoint":"`+idp.URL+`","claims":{"enableSSHCA":true}}`)
	c.IssueSSH("host", "box.example.com")
	start := func(t *testing.T) *world {
		w := newWorld(t)
		w.file(".signet/certs/root_ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Root.Raw})))
		browser := w.file("browser", "#!/bin/sh\ncurl -sSL -o /dev/null \"$1\"\n")
		if err := os.Chmod(browser, 0o755); err != nil {
			t.Fatal(err)
		}
		w.vars["BROWSER"], w.vars["STEP_CA_URL"], w.vars["PATH"] = browser, url, os.Getenv("PATH")
		return w
	}
	for _, command := range [][]string{{"ssh", "hosts"}, {"ssh", "check-host", "box.example.com", "--verbose"}, {"ssh", "config", "--set", "User=ann", "--dry-run"}, {"ssh", "config", "--federation"}} {
		t.Run(strings.Join(command, " "), func(t *testing.T) {
			t.Parallel()
			w := start(t)
			code := w.run(t.Context(), command...)
			federation := command[len(command)-1] == "--federation" // which this CA has none of
			if federation != (code != 0) || !strings.Contains(w.stderr.String(), "✔ Identity") || !strings.Contains(w.stderr.String(), "no ssh-agent is running") {
				t.Errorf("exit code %d:\n%s", code, w.stderr.String())
			}
			if _, err := os.Stat(filepath.Join(w.home, ".signet", "identity", "identity.crt")); err != nil {
				t.Error(err)
			}
			if w.run(t.Context(), command...); strings.Contains(w.stderr.String(), "Identity") {
				t.Errorf("it logs in again:\n%s", w.stderr.String())
			}
		})
	}
	t.Run("nobody logs in", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		w.vars["BROWSER"] = "/bin/false"
		w.vars["STEP_PROVISIONER"] = testca.Provisioner
		if code := w.run(t.Context(), "ssh", "hosts"); code == 0 || !strings.Contains(w.stderr.String(), testca.Provisioner) {
			t.Errorf("exit code %d:\n%s", code, w.stderr.String())
		}
	})
}

// Without a way to log in the command says so; and a CA that refuses for another reason is
// not answered with a login.
func TestSSHCommandsThatCannotIntroduceThemselves(t *testing.T) {
	t.Parallel()
	c, url := frontedCA(t)
	w := newWorld(t)
	w.file(".signet/certs/root_ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Root.Raw})))
	w.vars["STEP_CA_URL"] = url
	if code := w.run(t.Context(), "ssh", "hosts"); code == 0 || !strings.Contains(w.stderr.String(), "no provisioner of type OIDC") {
		t.Errorf("exit code %d:\n%s", code, w.stderr.String())
	}
}
