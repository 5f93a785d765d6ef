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

	"github.com/signet-ca/signet/internal/keys"
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

// cli Section 17.1: where the CA wants to know who asks, a host gets an X.509 identity with its
// SSH certificate, marked with the ID given, and keeps that ID.
func TestSSHHostIdentity(t *testing.T) {
	t.Parallel()
	c, url := frontedCA(t)
	w := newWorld(t)
	w.file(".signet/certs/root_ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Root.Raw})))
	key, err := keys.EncodePrivate(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	w.vars["STEP_CA_URL"] = url
	certify := func(more ...string) *x509.Certificate {
		t.Helper()
		args := append([]string{"ssh", "certificate", "box.example.com", filepath.Join(w.home, "host_key"), "--host", "--no-password", "--insecure", "--force",
			"--provisioner", testca.Provisioner, "--key", w.file("prov.pem", string(key))}, more...)
		if code := w.run(t.Context(), args...); code != 0 {
			t.Fatalf("exit code %d:\n%s", code, w.stderr.String())
		}
		chain, err := keys.ReadCertificates(filepath.Join(w.home, ".signet", "identity", "identity.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return chain[0]
	}
	const id = "0b9a3d5e-7c1f-4a2b-8d3c-1e2f3a4b5c6d"
	first := certify("--host-id", id)
	if len(first.URIs) != 1 || first.URIs[0].String() != "urn:uuid:"+id || first.Subject.CommonName != "box.example.com" {
		t.Errorf("%s %v", first.Subject, first.URIs)
	}
	if again := certify(); len(again.URIs) != 1 || again.URIs[0].String() != "urn:uuid:"+id || again.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Errorf("%v", again.URIs)
	}
	if code := w.run(t.Context(), "ssh", "certificate", "box", "k", "--host", "--host-id", "none", "--no-password", "--insecure"); code == 0 || !strings.Contains(w.stderr.String(), "host-id") {
		t.Errorf("exit code %d:\n%s", code, w.stderr.String())
	}
	// Known by its identity, the host may ask what others may not.
	if code := w.run(t.Context(), "ssh", "hosts"); code != 0 || !strings.Contains(w.stdout.String(), "box.example.com") {
		t.Errorf("exit code %d:\n%s%s", code, w.stdout.String(), w.stderr.String())
	}
}
