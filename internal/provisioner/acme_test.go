package provisioner_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/provisioner"
)

// A reload warns of what an older program dropped when it rewrote the file.
func TestOwnMembersOfACME(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		members string
		want    []string
	}{
		{`"requireEAB": true, "forceCN": true`, nil},
		{`"limits": {"pendingOrders": 5}, "authzReuse": "0s", "allowUnderscores": true, "profiles": {}`, []string{"allowUnderscores", "authzReuse", "limits"}},
		{`"orderReuse": true, "cors": true`, []string{"cors", "orderReuse"}},
	} {
		var p provisioner.Provisioner
		if err := p.UnmarshalJSON([]byte(`{"type": "ACME", "name": "acme", ` + c.members + `}`)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, p.OwnMembers()); diff != "" {
			t.Errorf("%s: %s", c.members, diff)
		}
	}
}

// What the configuration of an ACME provisioner may say: what is wrong disables it, with words.
func TestACMEConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ members, refusal string }{
		{``, ""},
		{`"challenges": []`, ""},
		{`"challenges": ["HTTP-01", "Dns-01", "tls-alpn-01", "dns-account-01"]`, ""},
		{`"challenges": ["http-02"]`, `"http-02" is not known`},
		{`"challenges": [""]`, `"" is not known`},
		{`"challenges": ["device-attest-01"]`, "does not serve device-attest-01"},
		{`"challenges": ["wire-oidc-01"]`, "does not serve wire-oidc-01"},
		{`"challenges": ["wire-dpop-01"]`, "does not serve wire-dpop-01"},
		{`"challenges": ["dns-persist-01"]`, "needs caaIdentities"},
		{`"challenges": ["dns-persist-01"], "caaIdentities": ["ca.internal"]`, ""},
		{`"attestationFormats": ["Apple", "STEP", "tpm", "android-key"]`, ""},
		{`"attestationFormats": ["fido"]`, `"fido" is not known`},
		{`"attestationRoots": "bm8gUEVN"`, "attestationRoots"},
		{`"caaCheck": true`, "caaCheck needs caaIdentities"},
		{`"caaCheck": true, "caaIdentities": ["ca.internal"]`, ""},
		{`"requireTermsAgreed": true`, "needs termsOfService"},
		{`"requireTermsAgreed": true, "termsOfService": "https://ca.internal/terms"`, ""},
		{`"termsOfService": "terms"`, "is no URL"},
		{`"website": "://"`, "is no URL"},
		{`"eabPolicy": "sometimes"`, "eabPolicy"},
		{`"eabPolicy": "always-required"`, ""},
		{`"orderLifetime": "59s"`, "less than a minute"},
		{`"authzReuse": "-1s"`, "negative"},
		{`"validation": {"allowNetworks": ["10.0.0.0"]}`, "is no network"},
		{`"validation": {"denyNetworks": ["10.0.0.0/33"]}`, "is no network"},
		{`"validation": {"allowNetworks": ["10.0.0.0/8", "fd00::/8"], "denyNetworks": ["10.1.0.0/16"]}`, ""},
		{`"profiles": {"": {}}`, "profiles"},
		{`"profiles": {"p": null}`, "profiles"},
		{`"profiles": {"p": {"claims": {"defaultTLSCertDuration": "9000h", "maxTLSCertDuration": "1h"}}}`, `profile "p"`},
		{`"profiles": {"p": {"template": "{{ nothing"}}`, `profile "p"`},
		{`"profiles": {"p": {"claims": {"defaultTLSCertDuration": "1h"}}}`, ""},
	} {
		object := `{"type": "ACME", "name": "acme"`
		if c.members != "" {
			object += ", " + c.members
		}
		p := decoded(t, object+"}")
		err := p.Open(env())
		if (err != nil) != (c.refusal != "") || (p.Disabled() != nil) != (c.refusal != "") {
			t.Errorf("%s: %v, disabled: %v", c.members, err, p.Disabled())
		} else if err != nil && !strings.Contains(err.Error(), c.refusal) {
			t.Errorf("%s: %v", c.members, err)
		}
	}
}

// The numbers that hold where the configuration says nothing, and what 0 and less than that mean.
func TestACMEBounds(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]provisioner.ACMELimits{
		``: {Identifiers: 100, PendingOrders: 300, NewOrders: -1, NewAccounts: 10000, FailedValidations: 60, Certificates: -1, Requests: 500},
		`, "limits": {"identifiersPerOrder": 0, "pendingOrders": -5, "newOrdersPerHour": 7}`: {Identifiers: 100, PendingOrders: -5, NewOrders: 7, NewAccounts: 10000, FailedValidations: 60, Certificates: -1, Requests: 500},
	} {
		kind := open(t, `{"type": "ACME", "name": "acme"`+members+`}`).Kind().(*provisioner.ACME)
		if diff := cmp.Diff(want, kind.Bounds()); diff != "" {
			t.Errorf("%s: %s", members, diff)
		}
		if kind.Lifetime() != 24*time.Hour || kind.Window() != time.Minute || kind.Reuse() != 0 || kind.Offers("dns-persist-01") || !kind.Offers("http-01") {
			t.Errorf("lifetime %s, window %s, reuse %s", kind.Lifetime(), kind.Window(), kind.Reuse())
		}
	}
}
