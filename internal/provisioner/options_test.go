package provisioner_test

import (
	"strings"
	"testing"
)

// The documents of old installations put a template into an SSHPOP provisioner, which never
// runs one; the file need not be there.
func TestTemplatesThatAreNeverRun(t *testing.T) {
	t.Parallel()
	p := open(t, `{"type":"SSHPOP","name":"sshpop","claims":{"enableSSHCA":true},"options":{"ssh":{"templateFile":"/nowhere/default.tpl"}}}`)
	if err := p.Disabled(); err != nil && strings.Contains(err.Error(), "nowhere") {
		t.Error(err)
	}
	if w := p.Warnings(); p.Disabled() == nil && (len(w) != 1 || !strings.Contains(w[0], "never used")) {
		t.Errorf("warnings %q", w)
	}
	broken := open(t, `{"type":"JWK","name":"a","key":{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},"options":{"x509":{"templateFile":"/nowhere/default.tpl"}}}`)
	if err := broken.Disabled(); err == nil || !strings.Contains(err.Error(), "/nowhere/default.tpl") {
		t.Errorf("got %v", err)
	}
}
