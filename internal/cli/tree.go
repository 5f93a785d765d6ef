package cli

import "strings"

// row hangs a command, made by its function, at a path in the tree.
type row struct {
	path string
	make func() *command
}

// groups are the commands that only hold others. One without children is not shown.
func groups() []struct{ path, short, long string } {
	return []struct{ path, short, long string }{
		{"ca", "run and use a certificate authority", "Makes a CA, asks one for certificates, and administers it."},
		{"ca acme", "manage the ACME settings of a CA", ""},
		{"ca acme account", "manage the accounts of ACME clients", ""},
		{"ca acme order", "look at the orders of ACME clients", ""},
		{"ca acme pause", "manage the names that ACME accounts have to wait with", ""},
		{"ca acme eab", "manage external account binding keys", ""},
		{"ca admin", "manage the administrators of a CA", ""},
		{"ca policy", "manage which names a CA certifies", ""},
		{"ca provisioner", "manage the ways to prove a right to a certificate", ""},
		{"ca provisioner webhook", "manage the webhooks of a provisioner", ""},
		{"ca template", "try the templates of certificates", "These read the configuration of a CA, and need neither its keys nor a server."},
		{"certificate", "work with X.509 certificates", "Makes, shows and checks certificates, without a CA server."},
		{"config", "work with the server's configuration", ""},
		{"context", "switch between certificate authorities", `A context names an authority (its files and defaults) and a
			profile (the user's own defaults). With contexts one user works with several CAs.`},
		{"crl", "work with certificate revocation lists", ""},
		{"crypto", "work with keys, JSON Web Tokens and hashes", "Low-level tools. They trust their user to know what is safe."},
		{"crypto hash", "make and compare hashes", ""},
		{"crypto jose", "convert JOSE messages", ""},
		{"crypto jwe", "encrypt and decrypt JSON Web Encryption messages", ""},
		{"crypto jwk", "make and convert JSON Web Keys", ""},
		{"crypto jwk keyset", "manage sets of JSON Web Keys", ""},
		{"crypto jws", "sign and verify JSON Web Signatures", ""},
		{"crypto jwt", "sign and verify JSON Web Tokens", ""},
		{"crypto key", "convert and use keys", ""},
		{"db", "look after the database of a CA", "These work on the database that the CA's configuration names, on any machine that reaches it."},
		{"policy", "judge what a CA certifies", "These read the configuration of a CA, and need neither its keys nor a server."},
		{"ssh", "work with SSH certificates", "Gets, shows and renews SSH certificates, and sets up ssh and sshd to use them."},
	}
}

// rows is every command. A new one is a function in a file of its own and a row here.
func rows() []row {
	return []row{
		// the program itself
		{"help", help},
		{"version", version},
		{"path", path},
		{"completion", completion},
		{"base64", base64Command},
		{"oauth", oauthCommand},

		// contexts
		{"context current", contextCurrent},
		{"context list", contextList},
		{"context remove", contextRemove},
		{"context select", contextSelect},

		// the server
		{"ca init", caInit},
		{"config export", configExport},
		{"config schema", configSchema},
		{"config validate", configValidate},
		{"onboard", onboard},
		{"db backup", dbBackup},
		{"db check", dbCheck},
		{"db migrate", dbMigrate},
		{"db restore", dbRestore},
		{"db stats", dbStats},
		{"db vacuum", dbVacuum},
		{"serve", serve},

		// asking a CA
		{"ca bootstrap", caBootstrap},
		{"ca certificate", caCertificate},
		{"ca federation", caFederation},
		{"ca health", caHealth},
		{"ca rekey", caRekey},
		{"ca renew", caRenew},
		{"ca revoke", caRevoke},
		{"ca root", caRoot},
		{"ca roots", caRoots},
		{"ca sign", caSign},
		{"ca token", caToken},

		// ACME
		{"ca acme account list", caACMEAccountList},
		{"ca acme account revoke", caACMEAccountRevoke},
		{"ca acme eab add", caACMEEABAdd},
		{"ca acme eab list", caACMEEABList},
		{"ca acme eab remove", caACMEEABRemove},
		{"ca acme order list", caACMEOrderList},
		{"ca acme order show", caACMEOrderShow},
		{"ca acme pause lift", caACMEPauseLift},
		{"ca acme pause list", caACMEPauseList},
		{"ca acme renew-now", caACMERenewNow},

		// provisioners
		{"ca provisioner add", caProvisionerAdd},
		{"ca provisioner jwe-key", caProvisionerKey},
		{"ca provisioner list", caProvisionerList},
		{"ca provisioner remove", caProvisionerRemove},
		{"ca provisioner update", caProvisionerUpdate},
		{"ca provisioner webhook add", caProvisionerWebhookAdd},
		{"ca provisioner webhook remove", caProvisionerWebhookRemove},
		{"ca provisioner webhook update", caProvisionerWebhookUpdate},

		// name rules
		{"ca policy test", caPolicyTest},
		{"policy audit", policyAudit},

		// templates
		{"ca template lint", caTemplateLint},
		{"ca template test", caTemplateTest},

		// certificates
		{"certificate bundle", certificateBundle},
		{"certificate create", certificateCreate},
		{"certificate fingerprint", certificateFingerprint},
		{"certificate format", certificateFormat},
		{"certificate inspect", certificateInspect},
		{"certificate install", certificateInstall},
		{"certificate key", certificateKey},
		{"certificate lint", certificateLint},
		{"certificate needs-renewal", certificateNeedsRenewal},
		{"certificate p12", certificateP12},
		{"certificate sign", certificateSign},
		{"certificate uninstall", certificateUninstall},
		{"certificate verify", certificateVerify},

		// revocation lists
		{"crl inspect", crlInspect},

		// crypto jwk, jwt, jwe, jws, jose
		{"crypto jwk create", cryptoJWKCreate},
		{"crypto jwk public", cryptoJWKPublic},
		{"crypto jwk thumbprint", cryptoJWKThumbprint},
		{"crypto jwk keyset add", cryptoKeysetAdd},
		{"crypto jwk keyset find", cryptoKeysetFind},
		{"crypto jwk keyset list", cryptoKeysetList},
		{"crypto jwk keyset remove", cryptoKeysetRemove},
		{"crypto jwt inspect", cryptoJWTInspect},
		{"crypto jwt sign", cryptoJWTSign},
		{"crypto jwt verify", cryptoJWTVerify},
		{"crypto jwe decrypt", cryptoJWEDecrypt},
		{"crypto jwe encrypt", cryptoJWEEncrypt},
		{"crypto jws inspect", cryptoJWSInspect},
		{"crypto jws sign", cryptoJWSSign},
		{"crypto jws verify", cryptoJWSVerify},
		{"crypto jose format", cryptoJOSEFormat},

		// crypto keys, hashes, random
		{"crypto change-pass", cryptoChangePass},
		{"crypto hash compare", cryptoHashCompare},
		{"crypto hash digest", cryptoHashDigest},
		{"crypto key fingerprint", cryptoKeyFingerprint},
		{"crypto key format", cryptoKeyFormat},
		{"crypto key inspect", cryptoKeyInspect},
		{"crypto key public", cryptoKeyPublic},
		{"crypto key sign", cryptoKeySign},
		{"crypto key verify", cryptoKeyVerify},
		{"crypto keypair", cryptoKeypair},
		{"crypto rand", cryptoRand},

		// SSH
		{"ssh certificate", sshCertificate},
		{"ssh check-host", sshCheckHost},
		{"ssh config", sshConfig},
		{"ssh fingerprint", sshFingerprint},
		{"ssh hosts", sshHosts},
		{"ssh inspect", sshInspect},
		{"ssh krl", sshKRL},
		{"ssh list", sshList},
		{"ssh login", sshLogin},
		{"ssh logout", sshLogout},
		{"ssh needs-renewal", sshNeedsRenewal},
		{"ssh proxycommand", sshProxycommand},
		{"ssh rekey", sshRekey},
		{"ssh renew", sshRenew},
		{"ssh revoke", sshRevoke},
	}
}

// tree builds all commands under the program's name.
func tree(program string) *command {
	root := &command{
		name:  program,
		short: "an online certificate authority and its tools",
		long: `Runs a certificate authority for X.509 and SSH, asks one for certificates, and works with
			certificates, keys and tokens.`,
	}
	for _, g := range groups() {
		if holdsCommands(g.path) {
			root.hang(g.path, &command{short: g.short, long: g.long})
		}
	}
	for _, r := range rows() {
		root.hang(r.path, r.make())
	}
	return root
}

// holdsCommands reports whether any command hangs below a group.
func holdsCommands(group string) bool {
	for _, r := range rows() {
		if strings.HasPrefix(r.path, group+" ") {
			return true
		}
	}
	return false
}

// hang puts c at a path, sorted among its siblings.
func (c *command) hang(path string, child *command) {
	parent := c
	words := strings.Fields(path)
	for _, word := range words[:len(words)-1] {
		parent = parent.child(word)
		if parent == nil {
			panic("no group for command " + path)
		}
	}
	child.name, child.parent = words[len(words)-1], parent
	i := 0
	for i < len(parent.children) && parent.children[i].name < child.name {
		i++
	}
	parent.children = append(parent.children[:i], append([]*command{child}, parent.children[i:]...)...)
}
