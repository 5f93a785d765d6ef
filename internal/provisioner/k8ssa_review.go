package provisioner

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/strict"
)

// maxReviews bounds how many questions to one API server are under way: whoever sends tokens
// must not be able to make us flood it.
const maxReviews = 16

// reviewer asks the API server of a cluster about tokens (TokenReview of
// authentication.k8s.io/v1). Only it knows whether the account, the pod and the secret that a
// token is bound to are still there.
type reviewer struct {
	client    *fetch.Client
	url       string
	token     keys.Secret // of an account that may create TokenReviews; read anew each time, since clusters replace it
	audiences []string
	slots     chan struct{}
}

// newReviewer is nil where no API server is configured.
func (k *K8sSA) newReviewer(roots []*x509.Certificate) (*reviewer, error) {
	if k.APIServer == "" {
		if k.APIToken != "" {
			return nil, fault.New(fault.Invalid, "the member apiToken is for an API server that is not configured; put its URL into apiServer")
		}
		return nil, nil
	}
	if err := checkPublisher(k.APIServer, true); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the member apiServer is no URL of an API server; write it as https://host:port")
	}
	if k.APIToken == "" {
		return nil, fault.New(fault.Invalid, "the member apiToken is missing; it is the token of a service account that may create TokenReviews, as file:PATH")
	}
	if err := k.APIToken.Check(); err != nil {
		return nil, fmt.Errorf("member apiToken: %w", err)
	}
	at, err := url.JoinPath(k.APIServer, "/apis/authentication.k8s.io/v1/tokenreviews")
	if err != nil {
		return nil, fmt.Errorf("member apiServer: %w", err)
	}
	return &reviewer{client: fetch.New(fetch.Options{Roots: roots}), url: at, token: k.APIToken, audiences: k.Audiences, slots: make(chan struct{}, maxReviews)}, nil
}

// reviewSpec and reviewStatus are the halves of a TokenReview that matter here.
type reviewSpec struct {
	Token     string   `json:"token"`
	Audiences []string `json:"audiences,omitempty"`
}

type reviewStatus struct {
	Authenticated bool `json:"authenticated"`
	User          struct {
		Username string `json:"username"`
	} `json:"user"`
	Audiences []string `json:"audiences"`
	Error     string   `json:"error"`
}

type tokenReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       any    `json:"spec,omitempty"`
}

// review refuses a token that the API server does not vouch for, as that of the account user
// and for one of our audiences. Whatever else the server says or fails to say, the token
// proves nothing.
func (r *reviewer) review(ctx context.Context, t *Token, user string) error {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.Unavailable, "the cluster could not be asked about the token in time; try again")
	}
	status, err := r.ask(ctx, t)
	if err != nil {
		return fault.Wrap(errors.New(err.Error()), fault.Unavailable, "the cluster cannot be asked about the token right now; try again later")
	}
	switch {
	case !status.Authenticated:
		return fault.Wrap(errors.New(cmp.Or(status.Error, "no reason given")), fault.Unproven, "the cluster does not accept the token any more, or never did")
	case status.User.Username != user:
		return fault.New(fault.Unproven, "the cluster says that the token is of %q, it says itself of %q", status.User.Username, user)
	// A server that knows no audiences answers with none: it judged the token for itself.
	case len(r.audiences) > 0 && !slices.ContainsFunc(status.Audiences, func(a string) bool { return slices.Contains(r.audiences, a) }):
		return fault.New(fault.Unproven, "the cluster says that the token is made out to %q, not to %q", status.Audiences, r.audiences)
	}
	return nil
}

func (r *reviewer) ask(ctx context.Context, t *Token) (*reviewStatus, error) {
	credential, err := r.token.Reveal()
	if err != nil {
		return nil, fmt.Errorf("read apiToken: %w", err)
	}
	jws, err := t.jws()
	if err != nil {
		return nil, err
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(tokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview", Spec: reviewSpec{raw, r.audiences}})
	if err != nil {
		return nil, err
	}
	a, err := r.client.Do(ctx, &fetch.Request{Method: "POST", URL: r.url, Body: body, Header: map[string][]string{
		"Authorization": {"Bearer " + string(bytes.TrimSpace(credential))}, "Content-Type": {"application/json"}, "Accept": {"application/json"}}})
	if err != nil {
		return nil, err
	}
	if a.Status != 200 && a.Status != 201 {
		return nil, fmt.Errorf("the API server answers a TokenReview with status %d; may the account of apiToken create them (ClusterRole system:auth-delegator)?", a.Status)
	}
	var answer struct {
		tokenReview
		Status *reviewStatus `json:"status"`
	}
	if err := strict.Decode(a.Body, &answer); err != nil {
		return nil, fmt.Errorf("read the API server's TokenReview: %w", err)
	}
	if answer.Kind != "TokenReview" || !strings.HasPrefix(answer.APIVersion, "authentication.k8s.io/") || answer.Status == nil {
		return nil, errors.New("the API server's answer is no TokenReview")
	}
	return answer.Status, nil
}
