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

var defaultX509 = sync.OnceValue(func() map[string]*X509Template {
	compiled := make(map[string]*X509Template, len(defaultX509Texts))
	for name, text := range defaultX509Texts {
		t, err := CompileX509Template(name, text)
		if err != nil {
			panic(err) // our own text; a test compiles them all
		}
		compiled[name] = t
	}
	return compiled
})

// DefaultX509Template is a default template by name, or nil. With it the requester's
// templateData is not exposed.
func DefaultX509Template(name string) *X509Template { return defaultX509()[name] }

// DefaultX509Text is the text of a default template, for operators who start their own
// from it; "" if there is none of that name.
func DefaultX509Text(name string) string { return defaultX509Texts[name] }
