package issue

import "sync"

// Names of the default X.509 templates.
const (
	TemplateLeaf         = "leaf"          // names of the proof; TLS server and client
	TemplateAttestedLeaf = "attested-leaf" // as leaf, for devices: TLS client alone
	TemplateAdminLeaf    = "admin-leaf"    // subject and names of the request
	TemplateCloudLeaf    = "cloud-leaf"    // names of the instance, else of the request
	TemplateRequest      = "request"       // the request as it is
	TemplateIntermediate = "intermediate"  // a CA below which there are only leaves
	TemplateRoot         = "root"          // a CA with one level of CAs below it
)

// usageOfLeaf is what keys of leaves are for: RSA keys may also transport keys.
const usageOfLeaf = `"keyUsage": {{ if eq .Insecure.CR.KeyType "RSA" }}["digitalSignature", "keyEncipherment"]{{ else }}["digitalSignature"]{{ end }}`

const namesOfRequest = `"dnsNames": {{ toJson .Insecure.CR.DNSNames }},
	"emailAddresses": {{ toJson .Insecure.CR.EmailAddresses }},
	"ipAddresses": {{ toJson .Insecure.CR.IPAddresses }},
	"uris": {{ toJson .Insecure.CR.URIs }}`

// defaultX509Texts are the texts by name.
var defaultX509Texts = map[string]string{
	TemplateLeaf: `{
	"subject": {{ toJson .Subject }},
	"sans": {{ toJson .SANs }},
	` + usageOfLeaf + `,
	"extKeyUsage": ["serverAuth", "clientAuth"]
}`,
	TemplateAttestedLeaf: `{
	"subject": {{ toJson .Subject }},
	"sans": {{ toJson .SANs }},
	` + usageOfLeaf + `,
	"extKeyUsage": ["clientAuth"]
}`,
	TemplateAdminLeaf: `{
	"subject": {{ toJson .Insecure.CR.Subject }},
	` + namesOfRequest + `,
	` + usageOfLeaf + `,
	"extKeyUsage": ["serverAuth", "clientAuth"]
}`,
	TemplateCloudLeaf: `{
	"subject": {{ toJson .Insecure.CR.Subject.CommonName }},
	{{ if .SANs }}"sans": {{ toJson .SANs }}{{ else }}` + namesOfRequest + `{{ end }},
	` + usageOfLeaf + `,
	"extKeyUsage": ["serverAuth", "clientAuth"]
}`,
	TemplateRequest: `{{ toJson .Insecure.CR }}`,
	TemplateIntermediate: `{
	"subject": {{ toJson .Subject }},
	"keyUsage": ["certSign", "crlSign"],
	"basicConstraints": {"isCA": true, "maxPathLen": 0}
}`,
	TemplateRoot: `{
	"subject": {{ toJson .Subject }},
	"issuer": {{ toJson .Subject }},
	"keyUsage": ["certSign", "crlSign"],
	"basicConstraints": {"isCA": true, "maxPathLen": 1}
}`,
}

// Names of the default SSH templates.
const (
	TemplateSSH        = "ssh"         // content of the proof
	TemplateSSHAdmin   = "ssh-admin"   // type, key ID and principals of the request
	TemplateSSHCloud   = "ssh-cloud"   // principals of the request, else of the instance
	TemplateSSHRequest = "ssh-request" // the request as it is
)

// wholeRequest refuses a request that leaves something for the CA to guess.
const wholeRequest = `{{ with .Insecure.CR }}{{ if not .Type }}{{ fail "the request names no certificate type" }}{{ end }}` +
	`{{ if not .KeyID }}{{ fail "the request names no key ID" }}{{ end }}` +
	`{{ if not .Principals }}{{ fail "the request names no principals" }}{{ end }}{{ end }}`

var defaultSSHTexts = map[string]string{
	TemplateSSH: `{
	"type": {{ toJson .Type }},
	"keyId": {{ toJson .KeyID }},
	"principals": {{ toJson .Principals }},
	"extensions": {{ toJson .Extensions }},
	"criticalOptions": {{ toJson .CriticalOptions }}
}`,
	TemplateSSHAdmin: wholeRequest + `{
	"type": {{ toJson .Insecure.CR.Type }},
	"keyId": {{ toJson .Insecure.CR.KeyID }},
	{{ if eq .Insecure.CR.Type "user" }}"extensions": {{ toJson .Extensions }},
	"criticalOptions": {{ toJson .CriticalOptions }},{{ end }}
	"principals": {{ toJson .Insecure.CR.Principals }}
}`,
	TemplateSSHCloud: `{
	"type": {{ toJson .Type }},
	"keyId": {{ toJson .KeyID }},
	"principals": {{ toJson (default .Principals .Insecure.CR.Principals) }},
	"extensions": {{ toJson .Extensions }}
}`,
	TemplateSSHRequest: wholeRequest + `{
	"type": {{ toJson .Insecure.CR.Type }},
	"keyId": {{ toJson .Insecure.CR.KeyID }},
	{{ if eq .Insecure.CR.Type "user" }}"extensions": {"permit-X11-forwarding": "", "permit-agent-forwarding": "", "permit-port-forwarding": "", "permit-pty": "", "permit-user-rc": ""},{{ end }}
	"principals": {{ toJson .Insecure.CR.Principals }}
}`,
}

var (
	defaultX509 = sync.OnceValue(func() map[string]*X509Template {
		all := compileOwn(defaultX509Texts, CompileX509Template)
		for name, write := range knownX509 {
			all[name].known = write
		}
		return all
	})
	defaultSSH = sync.OnceValue(func() map[string]*SSHTemplate {
		all := compileOwn(defaultSSHTexts, CompileSSHTemplate)
		for name, write := range knownSSH {
			all[name].known = write
		}
		return all
	})
)

func compileOwn[T any](texts map[string]string, compile func(name, text string) (T, error)) map[string]T {
	compiled := make(map[string]T, len(texts))
	for name, text := range texts {
		t, err := compile(name, text)
		if err != nil {
			panic(err) // our own text; a test compiles them all
		}
		compiled[name] = t
	}
	return compiled
}

// DefaultX509Template is a default template by name, or nil. With it the requester's
// templateData is not exposed.
func DefaultX509Template(name string) *X509Template { return defaultX509()[name] }

// DefaultX509Text is the text of a default template, for operators who start their own
// from it; "" if there is none of that name.
func DefaultX509Text(name string) string { return defaultX509Texts[name] }

// DefaultSSHTemplate is a default template by name, or nil.
func DefaultSSHTemplate(name string) *SSHTemplate { return defaultSSH()[name] }

// DefaultSSHText is the text of a default template; "" if there is none of that name.
func DefaultSSHText(name string) string { return defaultSSHTexts[name] }
