package provisioner

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/strict"
)

// metadataTimeout bounds one question to a metadata service, which is next door: no answer in
// this time means that there is none.
const metadataTimeout = 5 * time.Second

// linkLocalMetadata is where most clouds have their metadata service.
const linkLocalMetadata = "http://169.254.169.254"

// metadata is the service that tells a machine of a cloud who it is.
type metadata struct {
	cloud  string // for messages
	base   string
	client *fetch.Client
}

// metadataOf is the service of a cloud. It is never asked by way of a proxy, which would give
// the identity of the proxy, and a redirect is no answer.
func metadataOf(cloud, at, preset string) (*metadata, error) {
	base := strings.TrimRight(cmp.Or(at, preset), "/")
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.New(fault.Invalid, "%q is no address of a metadata service; write it as http://host", at)
	}
	return &metadata{cloud: cloud, base: base, client: fetch.New(fetch.Options{Timeout: metadataTimeout, Size: MaxTokenSize, Direct: true})}, nil
}

// ask puts one question and gives the answer, less the white space around it.
func (m *metadata) ask(ctx context.Context, method, path string, header map[string]string) (string, error) {
	body, err := m.raw(ctx, method, path, header)
	return strings.TrimSpace(string(body)), err
}

// raw puts one question and gives the answer as it is, if the service has one.
func (m *metadata) raw(ctx context.Context, method, path string, header map[string]string) ([]byte, error) {
	r := &fetch.Request{Method: method, URL: m.base + path, Header: map[string][]string{}}
	for name, value := range header {
		r.Header[name] = []string{value}
	}
	a, err := m.client.Do(ctx, r)
	where := m.base + strings.SplitN(path, "?", 2)[0]
	switch {
	case err != nil && fetch.IsTimeout(err):
		return nil, fault.Wrap(errors.New(err.Error()), fault.Unavailable, "the metadata service of %s does not answer at %s; this works only on a machine of that cloud", m.cloud, where)
	case err != nil:
		return nil, fault.Wrap(errors.New(err.Error()), fault.Unavailable, "the metadata service of %s cannot be asked at %s; this works only on a machine of that cloud", m.cloud, where)
	case a.Status != 200:
		return nil, fault.New(fault.Unavailable, "the metadata service of %s answers with status %d at %s%s", m.cloud, a.Status, where, hint(a.Status))
	}
	return a.Body, nil
}

// hint says what a status of a metadata service mostly means.
func hint(status int) string {
	switch status {
	case 400, 404:
		return "; has the machine an identity (service account, managed identity)?"
	case 401, 403:
		return "; it may be switched off for this machine, or for this version of it"
	}
	return ""
}

// checkCloudAct refuses an act for which no machine's identity is good.
func checkCloudAct(kind string, act Act) error {
	if !rowOf(kind).permits(act) || act == RenewX509 {
		return fault.New(fault.Invalid, "a token of a provisioner of type %s can't %s", kind, act)
	}
	return nil
}

// cloudToken is a token that a metadata service made, if it is one.
func cloudToken(cloud, raw string, at time.Time) (string, error) {
	if _, err := ParseToken(raw, at); err != nil {
		return "", fault.Wrap(errors.New(err.Error()), fault.Unavailable, "the metadata service of %s gives no token that could be read", cloud)
	}
	return raw, nil
}

// MachineNames are the names that an unverified token of a cloud gives its machine: those to
// ask for where nobody says otherwise. none for tokens of other kinds.
func MachineNames(t *Token) []string {
	switch {
	case t.Amazon != nil:
		var said amazonClaim
		if strict.Decode(t.Amazon, &said) != nil {
			return nil
		}
		d, err := ParseInstanceDocument(said.Document)
		if err != nil {
			return nil
		}
		return append([]string{d.PrivateIP}, d.hosts()...)
	case t.TenantID != "":
		id, _ := t.Claims()["xms_mirid"].(string)
		if machine, _ := t.Claims()["xms_az_rid"].(string); machine != "" {
			id = machine
		}
		if r := parseResource(id); r != nil {
			return []string{r.name}
		}
		return nil
	}
	m := new(GCP)
	if machine, err := m.machine(t); err == nil {
		return machine.instance().dns
	}
	return nil
}

// NamesAreFixed reports whether the public form of a provisioner says that its machines get
// only the names that their cloud vouches for.
func (p *Provisioner) NamesAreFixed() bool {
	k, ok := p.kind.(interface{ fixed() bool })
	return ok && k.fixed()
}

func (c *CloudRules) fixed() bool { return c.DisableCustomSANs }
