package provisioner_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// knownJWK is a provisioner key whose thumbprint is known from elsewhere.
const knownJWK = `{"use":"sig","kty":"EC","kid":"mrSTtsU7swweXNCAZ7LEzUnNXXmMMwWy8Hs_RQ141yQ","crv":"P-256","alg":"ES256","x":"6meWfyXfhUt9KuqlTCWheUwWjW85WzS_4RkROXZEptI","y":"T7TZua3Gn0b7CqS--M5kDZuk4F7rkzMZICvt7ULs7Gs","d":"S4G2FzsOPcasZsO-dltdZqDKDmqW75JP7IL7N9ACNnA"}`

var made = time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)

func knownKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := keys.ParsePrivate([]byte(knownJWK), "the known key", keys.NoPassword)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// decode takes a token apart by hand, without the code that made it.
func decode(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts, want 3", len(parts))
	}
	for i, into := range []*map[string]any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestProveJWKWritesTheClaimsOldClientsWrite(t *testing.T) {
	t.Parallel()
	base := func(more map[string]any) map[string]any {
		all := map[string]any{"iss": "you@example.com", "sub": "foo.internal", "iat": 1.8e9, "nbf": 1.8e9, "exp": 1.8e9 + 300, "sha": "84a0"}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	const ca = "https://ca.example:9000"
	tests := map[string]struct {
		act  provisioner.Act
		want provisioner.Want
		aud  string
		more map[string]any
	}{
		"sign certifies the subject": {act: provisioner.SignX509, aud: ca + "/1.0/sign",
			more: map[string]any{"sans": []any{"foo.internal"}}},
		"sign with names, binding and data": {act: provisioner.SignX509, aud: ca + "/1.0/sign",
			want: provisioner.Want{Names: []string{"a", "10.0.0.1"}, Confirm: "x", User: map[string]any{"k": "v"}},
			more: map[string]any{"sans": []any{"a", "10.0.0.1"}, "cnf": map[string]any{"x5rt#S256": "x"}, "user": map[string]any{"k": "v"}}},
		"empty data is written": {act: provisioner.SignX509, aud: ca + "/1.0/sign",
			want: provisioner.Want{User: map[string]any{}},
			more: map[string]any{"sans": []any{"foo.internal"}, "user": map[string]any{}}},
		"revoke has neither names nor data": {act: provisioner.RevokeX509, aud: ca + "/1.0/revoke",
			want: provisioner.Want{Names: []string{"a"}, User: map[string]any{}}},
		"SSH says which certificate": {act: provisioner.SignSSH, aud: ca + "/1.0/ssh/sign",
			want: provisioner.Want{Confirm: "x", SSH: &provisioner.SSHWant{CertType: "user", KeyID: "carl", Principals: []string{"carl"}, ValidAfter: "-1m", ValidBefore: "8h"}},
			more: map[string]any{"cnf": map[string]any{"x5rt#S256": "x"}, "step": map[string]any{"ssh": map[string]any{
				"certType": "user", "keyID": "carl", "principals": []any{"carl"}, "validAfter": "-1m", "validBefore": "8h"}}}},
		"SSH revoke": {act: provisioner.RevokeSSH, aud: ca + "/1.0/ssh/revoke"},
		"times of the token": {act: provisioner.SignX509, aud: ca + "/1.0/sign",
			want: provisioner.Want{NotBefore: made.Add(time.Minute), NotAfter: made.Add(2 * time.Minute)},
			more: map[string]any{"sans": []any{"foo.internal"}, "nbf": 1.8e9 + 60, "exp": 1.8e9 + 120}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := knownKey(t)
			j, err := provisioner.NewJWK("you@example.com", "", key.Public())
			if err != nil {
				t.Fatal(err)
			}
			w := tc.want
			w.Subject, w.Audience, w.Root, w.Key, w.At = "foo.internal", provisioner.Address(ca+"/", tc.act), "84A0", key, made
			token, err := j.Prove(context.Background(), tc.act, w)
			if err != nil {
				t.Fatal(err)
			}
			header, claims := decode(t, token)
			wantHeader := map[string]any{"alg": "ES256", "typ": "JWT", "kid": "mrSTtsU7swweXNCAZ7LEzUnNXXmMMwWy8Hs_RQ141yQ"}
			if diff := cmp.Diff(wantHeader, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if id, _ := claims["jti"].(string); !regexp.MustCompile("^[0-9a-f]{64}$").MatchString(id) {
				t.Errorf("jti is %q", id)
			}
			delete(claims, "jti")
			want := base(tc.more)
			want["aud"] = tc.aud
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

// TestProofsAreAccepted proves that what is made here is what a provisioner loaded from its
// configuration verifies.
func TestProofsAreAccepted(t *testing.T) {
	t.Parallel()
	key := knownKey(t)
	jwk, err := keys.NewJWK(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public, err := keys.MarshalJWK(jwk)
	if err != nil {
		t.Fatal(err)
	}
	p := new(provisioner.Provisioner)
	if err := json.Unmarshal([]byte(`{"type":"JWK","name":"you@example.com","key":`+string(public)+`,"claims":{"enableSSHCA":true}}`), p); err != nil {
		t.Fatal(err)
	}
	audiences := provisioner.NewAudiences([]string{"ca.example", "::1"})
	if err := p.Open(&provisioner.Env{Authority: &issue.Authority{}, Claims: provisioner.BuiltinClaims(), Audiences: audiences}); err != nil {
		t.Fatal(err)
	}
	list, err := provisioner.NewList([]*provisioner.Provisioner{p}, audiences)
	if err != nil {
		t.Fatal(err)
	}
	prover := p.Kind().(provisioner.Prover)
	for _, act := range []provisioner.Act{provisioner.SignX509, provisioner.RevokeX509, provisioner.SignSSH, provisioner.RevokeSSH} {
		for _, address := range []string{provisioner.Address("https://ca.example:443", act), provisioner.LocalAddress("::1", act)} {
			token, err := prover.Prove(context.Background(), act, provisioner.Want{
				Subject: "foo.internal", Audience: address, Key: key, At: made, SSH: &provisioner.SSHWant{}})
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := provisioner.ParseToken(token, made)
			if err != nil {
				t.Fatal(err)
			}
			if found, err := list.ByToken(parsed); found != p {
				t.Errorf("%s for %s selects %v, %v", act, address, found, err)
			}
			if _, err := p.Verify(context.Background(), act, parsed); err != nil {
				t.Errorf("%s for %s: %v", act, address, err)
			}
		}
	}
}

func TestProveRefuses(t *testing.T) {
	t.Parallel()
	key := knownKey(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := provisioner.Want{Subject: "s", Key: key, At: made}
	tests := map[string]struct {
		act  provisioner.Act
		bend func(*provisioner.Want)
	}{
		"renewal, which takes the certificate's key": {provisioner.RenewX509, func(*provisioner.Want) {}},
		"an act JWK is not permitted":                {provisioner.RekeySSH, func(*provisioner.Want) {}},
		"no subject":                                 {provisioner.SignX509, func(w *provisioner.Want) { w.Subject = "" }},
		"no key":                                     {provisioner.SignX509, func(w *provisioner.Want) { w.Key = nil }},
		"another key":                                {provisioner.SignX509, func(w *provisioner.Want) { w.Key = other }},
		"SSH without saying what":                    {provisioner.SignSSH, func(*provisioner.Want) {}},
		"too short":                                  {provisioner.SignX509, func(w *provisioner.Want) { w.NotAfter = made.Add(9 * time.Second) }},
		"too long":                                   {provisioner.SignX509, func(w *provisioner.Want) { w.NotAfter = made.Add(time.Hour + time.Second) }},
		"too far ahead": {provisioner.SignX509, func(w *provisioner.Want) {
			w.NotBefore = made.Add(31 * time.Minute)
		}},
		"expired": {provisioner.SignX509, func(w *provisioner.Want) {
			w.NotBefore = made.Add(-10 * time.Minute)
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, err := provisioner.NewJWK("p", "", key.Public())
			if err != nil {
				t.Fatal(err)
			}
			w := good
			tc.bend(&w)
			if token, err := j.Prove(context.Background(), tc.act, w); fault.KindOf(err) != fault.Invalid || token != "" {
				t.Errorf("got %q, %v", token, err)
			}
		})
	}
}

func TestProveRenewalIsAccepted(t *testing.T) {
	t.Parallel()
	root, rootKey := certificate(t, "root", nil, nil)
	leaf, key := certificate(t, "leaf", root, rootKey)
	now := leaf.NotAfter.Add(time.Hour) // expired, which is when it is needed
	want := provisioner.Want{Key: key, At: now, Audience: "https://ca.example/1.0/renew"}
	token, err := provisioner.ProveRenewal([]*x509.Certificate{leaf, root}, want)
	if err != nil {
		t.Fatal(err)
	}
	header, claims := decode(t, token)
	thumbprint, _ := keys.Thumbprint(key)
	wantHeader := map[string]any{"alg": "ES256", "typ": "JWT", "kid": thumbprint, "x5cInsecure": []any{
		base64.StdEncoding.EncodeToString(leaf.Raw), base64.StdEncoding.EncodeToString(root.Raw)}}
	if diff := cmp.Diff(wantHeader, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	at := float64(now.Unix())
	wantClaims := map[string]any{"iss": "step-ca-client/1.0", "sub": "leaf", "aud": "https://ca.example/1.0/renew", "iat": at, "nbf": at, "exp": at + 300}
	if diff := cmp.Diff(wantClaims, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	parsed, err := provisioner.ParseToken(token, now)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := provisioner.VerifyRenewal(parsed, provisioner.Anchors{
		Roots: []*x509.Certificate{root}, Audiences: provisioner.NewAudiences([]string{"ca.example"})})
	if err != nil || !proof.Leaf.Equal(leaf) {
		t.Errorf("got %v, %v", proof, err)
	}
	for name, bend := range map[string]func(*provisioner.Want){
		"another subject": func(w *provisioner.Want) { w.Subject = "other" },
		"another key":     func(w *provisioner.Want) { w.Key = rootKey },
		"no key":          func(w *provisioner.Want) { w.Key = nil },
	} {
		w := want
		bend(&w)
		if _, err := provisioner.ProveRenewal([]*x509.Certificate{leaf}, w); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckConfirm(t *testing.T) {
	t.Parallel()
	// SHA-256 of the empty string.
	if got := provisioner.Confirm(nil); got != "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" {
		t.Errorf("got %s", got)
	}
	for s, ok := range map[string]bool{
		"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU":  true,
		"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=": false,
		"47DEQpj8HBSa": false,
		"":             false,
	} {
		if err := provisioner.CheckConfirm(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// certificate makes a certificate that issuer signed, or that signed itself.
func certificate(t *testing.T, cn string, issuer *x509.Certificate, issuerKey crypto.Signer) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: cn}, NotBefore: made, NotAfter: made.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if issuer == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		template.ExtKeyUsage = nil
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}
