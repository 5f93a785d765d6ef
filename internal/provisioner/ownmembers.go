package provisioner

import (
	"maps"
	"slices"
)

// inUse are the names of those members that are used, in order.
func inUse(members map[string]bool) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if members[name] {
			names = append(names, name)
		}
	}
	return names
}
