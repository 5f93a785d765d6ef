package provisioner

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
)

// awsTokenSeconds is how long the session of the metadata service's second version lasts:
// two questions.
const awsTokenSeconds = "30"

// awsClaims are the claims of the tokens made here.
type awsClaims struct {
	claims
	Amazon amazonClaim `json:"amazon"`
}

// Prove asks the metadata service of the instance for its identity document and makes a token
// around it.
func (a *AWS) Prove(ctx context.Context, act Act, want Want) (string, error) {
	if err := checkCloudAct("AWS", act); err != nil {
		return "", err
	}
	notBefore, notAfter, err := want.times()
	if err != nil {
		return "", err
	}
	m, err := metadataOf("AWS", want.Metadata, linkLocalMetadata)
	if err != nil {
		return "", err
	}
	document, signature, err := a.fetchDocument(ctx, m)
	if err != nil {
		return "", err
	}
	d, err := ParseInstanceDocument(document)
	if err != nil {
		return "", fault.Wrap(errors.New(err.Error()), fault.Unavailable, "the metadata service of AWS gives no identity document that could be read")
	}
	c := &awsClaims{claims: claims{
		Audience: want.Audience + fragment(a.TokenID()), Issuer: awsIssuer, Subject: cmp.Or(want.Subject, d.InstanceID),
		IssuedAt: want.At.Unix(), NotBefore: notBefore.Unix(), Expiry: notAfter.Unix(),
		ID: (&CloudRules{}).firstUse(a.TokenID(), d.InstanceID).Key,
	}, Amazon: amazonClaim{document, signature}}
	return signBySecret(signature, c)
}

// fetchDocument asks the versions of the service in their order: the second needs a session,
// the first does not, and an instance may have either switched off.
func (a *AWS) fetchDocument(ctx context.Context, m *metadata) (document, signature []byte, err error) {
	versions := a.IMDSVersions
	if len(versions) == 0 {
		versions = []string{"v2", "v1"}
	}
	var all []error
	for _, version := range versions {
		header := map[string]string{}
		if version == "v2" {
			session, err := m.ask(ctx, "PUT", "/latest/api/token", map[string]string{"X-Aws-Ec2-Metadata-Token-ttl-seconds": awsTokenSeconds})
			if err != nil {
				all = append(all, err)
				continue
			}
			header["X-Aws-Ec2-Metadata-Token"] = session
		}
		document, signature, err := askDocument(ctx, m, header)
		if err == nil {
			return document, signature, nil
		}
		all = append(all, err)
	}
	return nil, nil, errors.Join(all...)
}

func askDocument(ctx context.Context, m *metadata, header map[string]string) (document, signature []byte, err error) {
	const at = "/latest/dynamic/instance-identity/"
	text, err := m.raw(ctx, "GET", at+"document", header)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := m.ask(ctx, "GET", at+"signature", header)
	if err != nil {
		return nil, nil, err
	}
	encoded = strings.Join(strings.Fields(encoded), "") // it comes in lines
	if signature, err = base64.StdEncoding.DecodeString(encoded); err != nil || len(signature) < 32 {
		return nil, nil, fault.New(fault.Unavailable, "the metadata service of AWS gives a signature that is none")
	}
	return text, signature, nil
}

// signBySecret signs a token with a secret (RFC 7518, Section 3.2).
func signBySecret(secret []byte, claims any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("sign with the document's signature: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign with the document's signature: %w", err)
	}
	return jws.CompactSerialize()
}
