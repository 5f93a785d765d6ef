package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/slackhq/nebula/cert"

	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
	"github.com/signet-ca/signet/internal/testidp"
)

// everyKind is a CA with a provisioner of every type.
type everyKind struct {
	*testca.CA
	serial int
	token  map[string]func(path, subject string) string // by type: a good token for a path
	names  map[string]string                            // what a request may ask for, where the token says it; "": anything
}

func newEveryKind(t *testing.T) *everyKind {
	t.Helper()
	cloud, idp := testca.NewCloud(t), testidp.New(t)
	more := map[string]any{"claims": map[string]any{"enableSSHCA": true}, "disableTrustOnFirstUse": true, "disableSSHCAUser": false}
	c := testca.New(t, func(s *testca.Setup) { s.SSH, s.Durable = true, true })
	mesh := testca.NewNebula(t, cert.Version2, c25519)
	pki := c.PKI()
	device, host, key := pki.Issue("device", nil), mesh.Issue("node", "10.1.0.1/16"), testca.P256(t)
	c.Reload(func(s *testca.Setup) {
		s.More = append(s.More, cloud.AWS("aws", more), cloud.GCP("gcp", more), cloud.Azure("azure", more), sso(t, idp, nil), testca.X5C("x5c", more, pki.Root),
			testca.NebulaProvisioner("mesh", more, mesh), kube(t, "kube", nil, &key.PublicKey), `{"type":"ACME","name":"acme"}`, `{"type":"SCEP","name":"scep"}`)
	})
	e := &everyKind{CA: c, names: map[string]string{"JWK": "x", "X5C": "x", "Nebula": "node"}}
	next := func() testca.Bend { e.serial++; return testca.Claim("x", e.serial) }
	e.token = map[string]func(path, subject string) string{
		"JWK": func(path, subject string) string {
			if strings.HasPrefix(path, "/1.0/ssh/sign") {
				return c.SSHToken(subject, map[string]any{"certType": path[len("/1.0/ssh/sign/"):]})
			}
			return c.Token(subject, testca.Audience("https://localhost"+path))
		},
		"X5C": func(path, subject string) string {
			if kind, ok := strings.CutPrefix(path, "/1.0/ssh/sign/"); ok {
				return c.X5CToken(device, "/1.0/ssh/sign#x5c/x5c", subject, testca.Claim("step", map[string]any{"ssh": map[string]any{"certType": kind}}))
			}
			return c.X5CToken(device, path+"#x5c/x5c", subject)
		},
		"Nebula": func(path, subject string) string { return c.NebulaToken(host, plainPath(path)+"#nebula/mesh", subject) },
		"OIDC":   func(string, string) string { return idp.Token(t, boss) },
		"K8sSA": func(string, string) string {
			return legacyToken(t, key, testca.Head("alg", "ES256"), testca.NoHead("kid"))
		},
		"AWS": func(path, subject string) string {
			return cloud.AmazonToken(plainPath(path)+"#aws/aws", subject, next())
		},
		"GCP":   func(path, _ string) string { return cloud.GoogleToken(plainPath(path)+"#gcp/gcp", next()) },
		"Azure": func(string, string) string { return cloud.AzureToken(next()) },
		"ACME": func(path, subject string) string {
			return c.Token(subject, testca.Audience("https://localhost"+plainPath(path)+"#acme/acme"))
		},
		"SCEP": func(path, subject string) string {
			return c.Token(subject, testca.Audience("https://localhost"+plainPath(path)+"#scep/scep"))
		},
		"SSHPOP": func(path, _ string) string {
			act := path[strings.LastIndexByte(path, '/')+1:]
			h := c.IssueSSH("host", "h.example")
			return c.SSHPOPToken(h, act)
		},
	}
	return e
}

// plainPath leaves out the type of SSH certificate that a test puts behind a path.
func plainPath(path string) string {
	return strings.TrimSuffix(strings.TrimSuffix(path, "/user"), "/host")
}

// sign asks for an X.509 certificate by a token of a type.
func (e *everyKind) sign(t *testing.T, kind string) *testca.Answer {
	subject := "x"
	if e.names[kind] != "" {
		subject = e.names[kind]
	}
	return e.Sign(testca.CSR(t, testca.P256(t), subject, subject), e.token[kind]("/1.0/sign", subject))
}

// sshSign asks for an SSH certificate of a type by a token of a type.
func (e *everyKind) sshSign(t *testing.T, kind, certType string) *testca.Answer {
	subject := "x"
	if kind == "Nebula" {
		subject = e.names[kind]
	}
	body := map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))), "ott": e.token[kind]("/1.0/ssh/sign/"+certType, subject), "certType": certType, "keyID": "x"}
	if kind != "Nebula" && (kind != "GCP" || certType == "host") {
		body["principals"] = []string{"x"}
	}
	return e.Post("/ssh/sign", body)
}

// do tries an operation on something that the provisioner itself issued, or if it issues
// nothing, on what another did.
func (e *everyKind) do(t *testing.T, kind string, op provisioner.Operation) *testca.Answer {
	switch op.Act {
	case provisioner.SignX509:
		return e.sign(t, kind)
	case provisioner.SignSSH:
		return e.sshSign(t, kind, op.SSH)
	case provisioner.RenewX509:
		key := testca.P256(t)
		subject := "x"
		if e.names[kind] != "" {
			subject = e.names[kind]
		}
		a := e.Sign(testca.CSR(t, key, subject, subject), e.token[kind]("/1.0/sign", subject))
		if a.Status != http.StatusCreated {
			return a
		}
		return e.Do(testca.Call{Method: "POST", Path: "/renew", As: &testca.Holder{Chain: a.Chain(), Key: key}})
	case provisioner.RevokeX509:
		serial := serialOf(e.Issue("other"))
		if a := e.sign(t, kind); a.Status == http.StatusCreated {
			serial = a.Chain()[0].SerialNumber.String()
		}
		return e.Post("/revoke", revocation(serial, e.token[kind]("/1.0/revoke", serial)))
	case provisioner.RevokeSSH:
		serial := e.IssueSSH("host", "h").Serial()
		if a := e.sshSign(t, kind, "host"); a.Status == http.StatusCreated {
			serial = fmt.Sprint(a.SSHCertificate("crt").Serial)
		}
		token := e.token[kind]("/1.0/ssh/revoke", serial)
		if kind == "SSHPOP" {
			parsed, err := provisioner.ParseToken(token, e.Authority.Chain[0].NotBefore)
			if err != nil {
				t.Fatal(err)
			}
			serial = parsed.Subject
		}
		return e.Post("/ssh/revoke", map[string]any{"serial": serial, "ott": token, "passive": true})
	}
	path := map[provisioner.Act]string{provisioner.RenewSSH: "/ssh/renew", provisioner.RekeySSH: "/ssh/rekey"}[op.Act]
	body := map[string]any{"ott": e.token[kind]("/1.0"+path, "x")}
	if op.Act == provisioner.RekeySSH {
		body["publicKey"] = testca.Wire(testca.SSHKey(t, testca.P256(t)))
	}
	return e.Post(path, body)
}

// SEC-01, SEC-16: every type of provisioner at every operation, by a token that is good in
// every respect: what the matrix allows works, everything else is refused.
func TestSEC01_AuthorizationMatrix(t *testing.T) {
	t.Parallel()
	e := newEveryKind(t)
	for _, kind := range provisioner.Types() {
		for _, op := range provisioner.Operations {
			allowed, _ := provisioner.May(kind, op)
			if kind == "ACME" || kind == "SCEP" { // their certificates come by their protocols
				allowed = false
			}
			a := e.do(t, kind, op)
			switch {
			case allowed && a.Status/100 != 2:
				t.Errorf("%s may %s: %d %s", kind, op.Name, a.Status, a.Message())
			case !allowed && a.Status != 400 && a.Status != 401 && a.Status != 403:
				t.Errorf("%s may not %s: %d", kind, op.Name, a.Status)
			}
		}
		// No provisioner's token renews or rekeys an X.509 certificate, and none administers.
		for _, path := range []string{"/renew", "/rekey", "/admin/provisioners"} {
			token := e.token[kind]("/1.0/renew", "x")
			a := e.Do(testca.Call{Method: "POST", Path: path, Body: map[string]any{"csr": testca.CSR(t, testca.P256(t), "x")}, Header: http.Header{"Authorization": {"Bearer " + token}}})
			if a.Status/100 != 4 {
				t.Errorf("%s at %s: %d", kind, path, a.Status)
			}
		}
	}
}

// The matrix is the column "ours" of provisioners Section 6, cell by cell: y yes, n no, p by
// a protocol of its own, anything else what it is limited to.
func TestAuthorizationMatrixIsTheAgreedOne(t *testing.T) {
	t.Parallel()
	agreed := map[string]string{ // sign renew revoke user host ssh-renew ssh-revoke ssh-rekey
		"JWK": "yyyyynyn", "OIDC": "yyyyynyn", "X5C": "yyyyynnn", "Nebula": "yyynynyn", "K8sSA": "yyyyynnn", "ACME": "pypnnnnn", "SCEP": "pynnnnnn",
		"SSHPOP": "nnnnnyyy", "AWS": "yynnynnn", "Azure": "yynnynnn", "GCP": "yynyynnn",
	}
	for _, kind := range append(provisioner.Types(), "FUTURE", "") {
		got := ""
		for _, op := range provisioner.Operations {
			allowed, limit := provisioner.May(kind, op)
			switch {
			case allowed:
				got += "y"
			case limit != "":
				got += "p"
			default:
				got += "n"
			}
		}
		want := agreed[kind]
		if want == "" {
			want = "nnnnnnnn"
		}
		if got != want {
			t.Errorf("%q: %s, agreed is %s", kind, got, want)
		}
	}
}
