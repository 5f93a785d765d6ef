package provisioner_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/provisioner"
)

func claims(t *testing.T, text string) *provisioner.Claims {
	t.Helper()
	c := new(provisioner.Claims)
	if err := json.Unmarshal([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// Provisioners Section 4: one level over the other, and what a lone default moves.
func TestClaimsLayOverEachOther(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	for _, c := range []struct {
		name, global, own string
		want              provisioner.Triple
	}{
		{"nothing", `{}`, `{}`, provisioner.Triple{Min: 5 * time.Minute, Max: 24 * h, Default: 24 * h}},
		{"the authority's", `{"maxTLSCertDuration":"48h"}`, `{}`, provisioner.Triple{Min: 5 * time.Minute, Max: 48 * h, Default: 24 * h}},
		{"the provisioner's wins", `{"maxTLSCertDuration":"48h"}`, `{"maxTLSCertDuration":"30h"}`, provisioner.Triple{Min: 5 * time.Minute, Max: 30 * h, Default: 24 * h}},
		{"a default above the maximum moves it", `{}`, `{"defaultTLSCertDuration":"72h"}`, provisioner.Triple{Min: 5 * time.Minute, Max: 72 * h, Default: 72 * h}},
		{"a default below the minimum moves it", `{}`, `{"defaultTLSCertDuration":"1m"}`, provisioner.Triple{Min: time.Minute, Max: 24 * h, Default: time.Minute}},
		{"a default inside moves nothing", `{}`, `{"defaultTLSCertDuration":"8h"}`, provisioner.Triple{Min: 5 * time.Minute, Max: 24 * h, Default: 8 * h}},
		{"the authority's default moves its bound for all", `{"defaultTLSCertDuration":"72h"}`, `{"defaultTLSCertDuration":"1h"}`, provisioner.Triple{Min: 5 * time.Minute, Max: 72 * h, Default: h}},
	} {
		global, err := claims(t, c.global).Over(provisioner.BuiltinClaims())
		if err != nil {
			t.Fatal(err)
		}
		own, err := claims(t, c.own).Over(global)
		if err != nil || own.TLS != c.want {
			t.Errorf("%s: %v %v, want %v", c.name, own.TLS, err, c.want)
		}
	}
	global, err := claims(t, `{"disableRenewal":true,"enableSSHCA":true,"allowRenewalAfterExpiry":true,"disableSmallstepExtensions":true}`).Over(provisioner.BuiltinClaims())
	if err != nil {
		t.Fatal(err)
	}
	own, err := claims(t, `{"disableRenewal":false,"allowRenewalAfterExpiry":false}`).Over(global)
	if err != nil || own.DisableRenewal || own.AllowRenewalAfterExpiry || !own.EnableSSHCA || !own.DisableSmallstepExtensions {
		t.Errorf("a false that is set must win over a true: %+v %v", own, err)
	}
	var none *provisioner.Claims
	if own, err := none.Over(global); err != nil || own != global {
		t.Errorf("no claims changed something: %+v %v", own, err)
	}
}

func TestClaimsThatContradictThemselves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		words []string // each must be named
	}{
		{`{"minTLSCertDuration":"0s"}`, []string{"minTLSCertDuration"}},
		{`{"maxTLSCertDuration":"-1h"}`, []string{"maxTLSCertDuration"}},
		{`{"minTLSCertDuration":"25h"}`, []string{"maxTLSCertDuration", "minTLSCertDuration"}},
		{`{"minTLSCertDuration":"2h","maxTLSCertDuration":"3h","defaultTLSCertDuration":"1h"}`, []string{"defaultTLSCertDuration"}},
		{`{"maxTLSCertDuration":"1h"}`, []string{"defaultTLSCertDuration"}},
		{`{"maxUserSSHCertDuration":"1m"}`, []string{"UserSSHCertDuration"}},
		{`{"minHostSSHCertDuration":"0s","defaultTLSCertDuration":"0s"}`, []string{"minHostSSHCertDuration", "defaultTLSCertDuration"}},
	} {
		_, err := claims(t, c.text).Over(provisioner.BuiltinClaims())
		if err == nil {
			t.Errorf("%s: no complaint", c.text)
			continue
		}
		for _, word := range c.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v does not name %s", c.text, err, word)
			}
		}
	}
	for _, text := range []string{`{"minTLSCertDuration":300}`, `{"minTLSCertDuration":"5"}`, `{"minTLSCertDuration":"1d"}`, `{"minTLSCertDuration":""}`} {
		if err := json.Unmarshal([]byte(text), new(provisioner.Claims)); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}
