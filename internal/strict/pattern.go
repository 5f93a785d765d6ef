package strict

import (
	"regexp"
	"sync"
)

// Pattern is a regular expression that is compiled when it is first asked for: compiling all of
// them would be a tenth of what a start takes, and most runs need none.
func Pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
