package provisioner_test

import (
	"testing"

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
