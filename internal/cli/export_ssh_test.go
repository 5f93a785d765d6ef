package cli

// For tests of the package's own rules.
var (
	UserPrincipals = userPrincipals
	ReplaceSnippet = replaceSnippet
	PrependLine    = prependLine
)
