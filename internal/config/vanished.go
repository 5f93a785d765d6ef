package config

import (
	"slices"

	"github.com/signet-ca/signet/internal/provisioner"
)

// Vanished names settings of ours that one configuration had and the next does not: the
// mark of an older program that rewrote the file and dropped what it does not know.
func Vanished(before, after *Config) []string {
	var gone []string
	check := func(path string, had, has bool) {
		if had && !has {
			gone = append(gone, path)
		}
	}
	check("signet", before.Signet != nil, after.Signet != nil)
	check("signet.databaseSecret", before.Signet != nil && before.Signet.DatabaseSecret != "", after.Signet != nil && after.Signet.DatabaseSecret != "")
	check("authority.renewUnrecorded", before.Authority.RenewUnrecorded != "extension", after.Authority.RenewUnrecorded != "extension")
	check("authority.previousIssuers", len(before.Authority.PreviousIssuers) > 0, len(after.Authority.PreviousIssuers) > 0)
	now := map[string]*provisioner.Provisioner{}
	for _, p := range after.Authority.Provisioners {
		now[p.Name] = p
	}
	for _, p := range before.Authority.Provisioners {
		if next := now[p.Name]; next != nil {
			has := next.OwnMembers()
			for _, member := range p.OwnMembers() {
				check(p.Name+": "+member, true, slices.Contains(has, member))
			}
		}
	}
	return gone
}
