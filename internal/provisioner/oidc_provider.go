package provisioner

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/strict"
)

// wellKnown is where an issuer describes itself (OpenID Connect Discovery 1.0, Section 4).
const wellKnown = "/.well-known/openid-configuration"

// tenantTemplate stands in the issuer of an identity provider that describes all its tenants
// at once.
const tenantTemplate = "{tenantid}"

// Discovery is what an identity provider says of itself.
type Discovery struct {
	Issuer           string `json:"issuer"`
	Keys             string `json:"jwks_uri"`
	Authorization    string `json:"authorization_endpoint"`
	Token            string `json:"token_endpoint"`
	Device           string `json:"device_authorization_endpoint"`
	IssuerInResponse bool   `json:"authorization_response_iss_parameter_supported"` // RFC 9207
}

// Issuer says where an identity provider describes itself and who it must be.
type Issuer struct {
	Endpoint string // of the description, with its full path; see DiscoveryURL
	Name     string // the issuer, where it does not follow from Endpoint
	Tenant   string // replaces {tenantid}
}

// DiscoveryURL is the full address of a description: an issuer's own address, or the
// description's itself.
func DiscoveryURL(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return "", fault.New(fault.Invalid, "%q is no address of an identity provider; write for example https://accounts.example.com", address)
	}
	if err := CheckEndpoint(address); err != nil {
		return "", err
	}
	if !strings.Contains(u.Path, wellKnown) {
		u.Path = strings.TrimRight(u.Path, "/") + wellKnown
	}
	return u.String(), nil
}

// CheckEndpoint refuses addresses of an identity provider whose answers others could change
// on their way. Within this machine nobody can.
func CheckEndpoint(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return fault.New(fault.Invalid, "%q is no address", address)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u):
		return nil
	}
	return fault.New(fault.Invalid, "the address %q of the identity provider must begin with https://; only on this machine http is enough", address)
}

// Discover fetches the description of an identity provider and holds its issuer against the
// one that is expected: whoever answers there must not speak for another.
func (i *Issuer) Discover(ctx context.Context, client *fetch.Client) (*Discovery, error) {
	answer, err := client.Do(ctx, &fetch.Request{URL: i.Endpoint, Header: map[string][]string{"Accept": {"application/json"}}})
	if err != nil {
		return nil, fmt.Errorf("fetch the description of the identity provider: %w", err)
	}
	if answer.Status != 200 {
		return nil, fmt.Errorf("%s answered with status %d, not with a description", i.Endpoint, answer.Status)
	}
	d := new(Discovery)
	if err := strict.Decode(answer.Body, d); err != nil {
		return nil, fmt.Errorf("read the description of the identity provider at %s: %w", i.Endpoint, err)
	}
	d.Issuer, err = i.settle(d.Issuer)
	return d, err
}

// settle gives the issuer of tokens, if it is the one that the description must name.
func (i *Issuer) settle(named string) (string, error) {
	if strings.Contains(named, tenantTemplate) {
		if i.Tenant == "" {
			return "", fmt.Errorf("the identity provider at %s serves many tenants (its issuer is %s); say which one in tenantID", i.Endpoint, named)
		}
		return strings.ReplaceAll(named, tenantTemplate, i.Tenant), nil
	}
	want := i.Name
	if want == "" {
		want, _, _ = strings.Cut(i.Endpoint, wellKnown)
	}
	if named == "" || named != want && strings.TrimRight(named, "/") != strings.TrimRight(want, "/") {
		return "", fmt.Errorf("the identity provider at %s calls itself %q, not %q; if that is right, put its name into the member issuer", i.Endpoint, named, want)
	}
	return named, nil
}
