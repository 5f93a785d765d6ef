package provisioner

import (
	"context"
	"net/url"
)

// googleMetadata is the metadata service of Google's cloud.
const googleMetadata = "http://metadata.google.internal"

// Prove asks the metadata service for a token of the machine's service account, made out to
// the CA.
func (g *GCP) Prove(ctx context.Context, act Act, want Want) (string, error) {
	if err := checkCloudAct("GCP", act); err != nil {
		return "", err
	}
	m, err := metadataOf("Google Cloud", want.Metadata, googleMetadata)
	if err != nil {
		return "", err
	}
	query := url.Values{"audience": {want.Audience + fragment(g.TokenID())}, "format": {"full"}, "licenses": {"FALSE"}}
	token, err := m.ask(ctx, "GET", "/computeMetadata/v1/instance/service-accounts/default/identity?"+query.Encode(),
		map[string]string{"Metadata-Flavor": "Google"})
	if err != nil {
		return "", err
	}
	return cloudToken("Google Cloud", token, want.At)
}
