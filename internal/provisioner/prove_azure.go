package provisioner

import (
	"context"
	"net/url"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/strict"
)

// Prove asks the metadata service for a token of the machine's managed identity, for the
// audience of the provisioner; without one, for what the machine's cloud has by default.
func (a *Azure) Prove(ctx context.Context, act Act, want Want) (string, error) {
	if err := checkCloudAct("Azure", act); err != nil {
		return "", err
	}
	m, err := metadataOf("Azure", want.Metadata, linkLocalMetadata)
	if err != nil {
		return "", err
	}
	header := map[string]string{"Metadata": "true"}
	resource := a.Audience
	if resource == "" {
		name, err := m.ask(ctx, "GET", "/metadata/instance/compute/azEnvironment?format=text&api-version=2021-02-01", header)
		if err != nil {
			return "", err
		}
		cloud := azureCloudOf(name)
		if cloud == nil {
			return "", fault.New(fault.Unsupported, "the machine is in a cloud of Azure that is not known here, %q; give the provisioner an audience of its own", name)
		}
		resource = cloud.audience
	}
	query := url.Values{"resource": {resource}, "api-version": {"2018-02-01"}}
	text, err := m.ask(ctx, "GET", "/metadata/identity/oauth2/token?"+query.Encode(), header)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := strict.Decode([]byte(text), &answer); err != nil {
		return "", fault.New(fault.Unavailable, "the metadata service of Azure gives an answer that is no JSON")
	}
	return cloudToken("Azure", answer.Token, want.At)
}
