package provisioner_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// Provisioners Section 1.4: which provisioner a token selects, before anything is verified.
func TestWhichProvisionerATokenSelects(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	kid := testca.Thumbprint(&key.PublicKey)
	l := list(t, testca.JWKProvisioner("ops", &key.PublicKey, nil), testca.JWKProvisioner("dev", &key.PublicKey, nil),
		`{"type":"ACME","name":"acme"}`, `{"type":"SCEP","name":"a b"}`, `{"type":"FUTURE","name":"x"}`)
	ca := testca.New(t)
	const sign = "https://ca.example/1.0/sign"
	for _, c := range []struct {
		name string
		iss  string
		kid  string
		aud  any
		want string // "" is none
	}{
		{"issuer and key ID", "ops", kid, sign, "ops"},
		{"the other issuer", "dev", kid, sign, "dev"},
		{"an audience of another act", "ops", kid, "https://ca.example/revoke", "ops"},
		{"an unknown issuer", "else", kid, sign, ""},
		{"an unknown key ID", "ops", "else", sign, ""},
		{"no key ID", "ops", "", sign, ""},
		{"an audience of somebody else", "ops", kid, "https://else.example/1.0/sign", ""},
		{"a fragment wins over the issuer", "ops", kid, sign + "#acme/acme", "acme"},
		{"the first fragment counts", "ops", kid, []string{sign, sign + "#acme/acme"}, "acme"},
		{"an unknown fragment falls back to nothing", "ops", kid, sign + "#acme/else", ""},
		{"a fragment on another's audience", "ops", kid, "https://else.example/x#acme/acme", ""},
		{"a space in a fragment", "ops", kid, sign + "#scep/a b", "a b"},
		{"a space in a fragment, escaped", "ops", kid, sign + "#scep/a%20b", "a b"},
		{"no audience", "ops", kid, nil, ""},
		{"the token ID as audience", "", "", "ops:" + kid, "ops"},
	} {
		token, err := provisioner.ParseToken(ca.Token("sub", testca.Claim("iss", c.iss), testca.Head("kid", c.kid), testca.Audience(c.aud)), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.ByToken(token)
		switch {
		case c.want == "" && !fault.Is(err, fault.Unproven):
			t.Errorf("%s: %v, want a refusal", c.name, err)
		case c.want != "" && (err != nil || p.Name != c.want):
			t.Errorf("%s: %v %v, want %q", c.name, p, err, c.want)
		}
	}
}

// Provisioners Section 1.3: every duplicate at once, across types.
func TestDuplicatesAreReportedTogether(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	var all []*provisioner.Provisioner
	for _, object := range []string{
		testca.JWKProvisioner("one", &key.PublicKey, nil), testca.JWKProvisioner("one", &key.PublicKey, nil),
		`{"type":"ACME","name":"two"}`, `{"type":"AWS","name":"two"}`,
		testca.JWKProvisioner("three", &key.PublicKey, map[string]any{"id": "same"}), testca.JWKProvisioner("four", &key.PublicKey, map[string]any{"id": "same"}),
	} {
		all = append(all, open(t, object))
	}
	_, err := provisioner.NewList(all, env().Audiences)
	if err == nil {
		t.Fatal("no complaint")
	}
	for _, want := range []string{`"one"`, `"two"`, `"same"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// http-api Section 2.6.
func TestPages(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	var objects []string
	for i := range 130 {
		objects = append(objects, testca.JWKProvisioner(fmt.Sprintf("p%03d", i), &key.PublicKey, nil))
	}
	l := list(t, objects...)
	for _, c := range []struct{ limit, want int }{{0, 20}, {-1, 20}, {1, 1}, {100, 100}, {101, 100}, {1 << 30, 100}} {
		if page, next := l.Page("", c.limit); len(page) != c.want || next == "" {
			t.Errorf("limit %d: %d items, next %q", c.limit, len(page), next)
		}
	}
	for _, limit := range []int{1, 7, 65, 100} {
		var names []string
		cursor := ""
		for {
			page, next := l.Page(cursor, limit)
			for _, p := range page {
				names = append(names, p.Name)
			}
			if next == "" {
				break
			}
			if strings.HasPrefix(next, "0") || len(next) > 40 {
				t.Fatalf("cursor %q", next)
			}
			cursor = next
		}
		if len(names) != 130 || names[0] != "p000" || names[129] != "p129" {
			t.Errorf("limit %d: %d names, from %s", limit, len(names), names[0])
		}
	}
	_, second := l.Page("", 1)
	if page, _ := l.Page(strings.ToUpper(second), 1); page[0].Name != "p001" {
		t.Errorf("a cursor in capitals gives %s", page[0].Name)
	}
	// An unknown cursor is a lower bound and never fails.
	for _, c := range []struct {
		cursor string
		want   int
	}{{"0", 100}, {"zz", 100}, {strings.Repeat("f", 40), 0}, {strings.Repeat("f", 400), 0}, {"80" + strings.Repeat("0", 32), 2}} {
		if page, next := l.Page(c.cursor, 100); len(page) != c.want {
			t.Errorf("cursor %.50q: %d items, next %q, want %d", c.cursor, len(page), next, c.want)
		}
	}
}

// SEC-01: a kind that takes no tokens, is unknown or disabled never grants anything.
func TestSEC01_KindsWithoutTokensGrantNothing(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	for _, kind := range append(provisioner.Types(), "FUTURE", "") {
		if kind == "JWK" {
			continue
		}
		p := open(t, `{"type":"`+kind+`","name":"p"}`)
		for act := range provisioner.Act(40) {
			for _, aud := range []string{"https://localhost/sign", "https://localhost/sign#" + p.TokenID()} {
				token, err := provisioner.ParseToken(ca.Token("sub", testca.Audience(aud)), time.Now())
				if err != nil {
					t.Fatal(err)
				}
				g, err := p.Verify(t.Context(), act, token)
				if g != nil || (!fault.Is(err, fault.Unproven) && !fault.Is(err, fault.Invalid)) {
					t.Errorf("%s, act %d: %v %v", kind, act, g, err)
				}
			}
		}
	}
	t.Run("not opened", func(t *testing.T) {
		p := decoded(t, ca.JWK("p", nil))
		token, err := provisioner.ParseToken(ca.Token("sub"), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(t.Context(), provisioner.SignX509, token); !fault.Is(err, fault.Unproven) {
			t.Error(err)
		}
	})
}
