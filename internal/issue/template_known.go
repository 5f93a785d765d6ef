package issue

import (
	"crypto/x509"
	"slices"

	"golang.org/x/crypto/ssh"
)

// What a default template writes is known before it runs, unless the configuration replaces
// variables. So it is put together here, without template and without JSON: most signatures
// of provisioners whose default is not the plain leaf come this way. A test holds each of
// these functions against the text of its template.

var (
	knownX509 = map[string]func(*Grant, *X509Ask) *certificateJSON{
		TemplateLeaf: func(g *Grant, ask *X509Ask) *certificateJSON {
			return &certificateJSON{Subject: SubjectOf(g.subjectName()), SANs: SANsOf(g.Names), KeyUsage: usageOf(ask), ExtKeyUsage: serverAndClient()}
		},
		TemplateAttestedLeaf: func(g *Grant, ask *X509Ask) *certificateJSON {
			return &certificateJSON{Subject: SubjectOf(g.subjectName()), SANs: SANsOf(g.Names), KeyUsage: usageOf(ask),
				ExtKeyUsage: purposes{known: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}}
		},
		TemplateAdminLeaf: func(_ *Grant, ask *X509Ask) *certificateJSON {
			c := &certificateJSON{Subject: SubjectOf(ask.Request.Subject), KeyUsage: usageOf(ask), ExtKeyUsage: serverAndClient()}
			c.copyNames(ask.Request)
			return c
		},
		TemplateCloudLeaf: func(g *Grant, ask *X509Ask) *certificateJSON {
			c := &certificateJSON{Subject: Subject{CommonName: ask.Request.Subject.CommonName}, KeyUsage: usageOf(ask), ExtKeyUsage: serverAndClient()}
			if c.SANs = SANsOf(g.Names); c.SANs == nil {
				c.copyNames(ask.Request)
			}
			return c
		},
	}
	knownSSH = map[string]func(*Grant, *SSHAsk) (*sshCertificateJSON, error){
		TemplateSSH: func(g *Grant, _ *SSHAsk) (*sshCertificateJSON, error) {
			return &sshCertificateJSON{Type: sshTypeOf(g.SSH.Type), KeyID: g.SSH.KeyID, Principals: g.SSH.Principals, Extensions: extensionsOf(g.SSH.Type)}, nil
		},
		TemplateSSHAdmin: func(g *Grant, ask *SSHAsk) (*sshCertificateJSON, error) {
			if err := wholeSSH(ask); err != nil {
				return nil, err
			}
			c := &sshCertificateJSON{Type: sshTypeOf(ask.Type), KeyID: ask.KeyID, Principals: ask.Principals}
			if ask.Type == "user" {
				c.Extensions = extensionsOf(g.SSH.Type)
			}
			return c, nil
		},
		TemplateSSHCloud: func(g *Grant, ask *SSHAsk) (*sshCertificateJSON, error) {
			c := &sshCertificateJSON{Type: sshTypeOf(g.SSH.Type), KeyID: g.SSH.KeyID, Principals: ask.Principals, Extensions: extensionsOf(g.SSH.Type)}
			if len(c.Principals) == 0 {
				c.Principals = g.SSH.Principals
			}
			return c, nil
		},
		TemplateSSHRequest: func(_ *Grant, ask *SSHAsk) (*sshCertificateJSON, error) {
			if err := wholeSSH(ask); err != nil {
				return nil, err
			}
			return &sshCertificateJSON{Type: sshTypeOf(ask.Type), KeyID: ask.KeyID, Principals: ask.Principals, Extensions: extensionsOf(ask.Type)}, nil
		},
	}
)

func usageOf(ask *X509Ask) KeyUsage { return KeyUsage(leafUsage(ask.Request.PublicKey)) }

func serverAndClient() purposes {
	return purposes{known: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
}

func (c *certificateJSON) copyNames(r *x509.CertificateRequest) {
	n := RequestNames(r)
	c.DNSNames, c.EmailAddresses = slices.Clone(n.DNS), slices.Clone(n.Emails)
	c.IPAddresses, c.URIs = n.ipStrings(), n.uriStrings()
}

// sshTypeOf: zero, which no certificate has, for anything but the two types.
func sshTypeOf(name string) sshType {
	switch name {
	case "user":
		return ssh.UserCert
	case "host":
		return ssh.HostCert
	}
	return 0
}

func extensionsOf(kind string) map[string]string {
	if kind != "user" {
		return nil
	}
	all := make(map[string]string, len(userExtensions))
	for _, e := range userExtensions {
		all[e] = ""
	}
	return all
}
