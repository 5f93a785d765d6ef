package issue

import (
	"net/url"
	"regexp"
	"time"
)

var uuidURN = regexp.MustCompile(`^urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// NewIdentity drafts the X.509 companion of an SSH certificate: what the same proof grants
// in X.509, with the SSH certificate's validity. URIs of the request are not compared; the
// first one that is a UUID is taken over, as clients mark their machine with it.
func NewIdentity(g *Grant, companion *SSHDraft, ask *X509Ask, now time.Time) (*X509Draft, error) {
	r := ask.Request
	plain := *r
	plain.URIs, plain.Extensions = nil, nil
	draft, err := NewX509(g, &X509Ask{Request: &plain, Data: ask.Data}, now)
	if err != nil {
		return nil, err
	}
	for _, u := range r.URIs {
		if uuidURN.MatchString(u.String()) {
			draft.cert.URIs = append([]*url.URL{u}, draft.cert.URIs...)
			break
		}
	}
	draft.cert.NotBefore = time.Unix(int64(companion.cert.ValidAfter), 0).UTC()
	draft.cert.NotAfter = earliest(time.Unix(int64(companion.cert.ValidBefore), 0).UTC(), g.Profile.Authority.end())
	draft.bounded = true // its length is that of the SSH certificate, which was checked
	return draft, nil
}
