package provisioner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/strict"
)

// Where Google is asked for the ancestors of a project, and with what right.
const (
	googleResourceManager = "https://cloudresourcemanager.googleapis.com"
	googleReadProjects    = "https://www.googleapis.com/auth/cloudplatformprojects.readonly"
	ancestryKept          = 10 * time.Minute
	maxAncestries         = 1000
)

// organization knows which projects belong to one organization of Google Cloud: it asks, and
// remembers for a while. Any number of goroutines may use it at once.
type organization struct {
	id       string
	manager  string // address of the Resource Manager
	account  *serviceAccountKey
	metadata string // address of the metadata service, where there is no account; "": Google's
	client   *fetch.Client

	mu       sync.Mutex // guards what follows
	token    string     // good until expires
	expires  time.Time
	ancestry map[string]ancestor
}

// ancestor is the top of a project, as it was at a time.
type ancestor struct {
	organization string
	at           time.Time
}

// serviceAccountKey is the file by which a program proves to Google who it is.
type serviceAccountKey struct {
	Email    string `json:"client_email"`
	Key      string `json:"private_key"`
	KeyID    string `json:"private_key_id"`
	TokenURI string `json:"token_uri"`
}

// openOrganization finds the credentials: the member, else what Google's own programs use, a
// file named in the environment or the identity of this machine.
func (g *GCP) openOrganization(env *Env) (*organization, error) {
	o := &organization{id: g.OrganizationID, manager: strings.TrimRight(g.ResourceManagerURL, "/"), ancestry: map[string]ancestor{},
		client: fetch.New(fetch.Options{Roots: env.Roots})}
	if o.manager == "" {
		o.manager = googleResourceManager
	}
	if err := checkPublisher(o.manager, true); err != nil {
		return nil, fmt.Errorf("member resourceManagerURL: %w", err)
	}
	file := g.Credentials
	if file == "" {
		file = os.Getenv("GOOGLE_APPLICATION_CREDENTIALS")
	}
	if file == "" {
		return o, nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(env.Home, file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("member credentials: %w", err)
	}
	o.account = new(serviceAccountKey)
	if err := strict.Decode(data, o.account); err != nil {
		return nil, fault.New(fault.Invalid, "member credentials: %s is no JSON key of a service account", file)
	}
	if err := checkPublisher(o.account.TokenURI, true); err != nil {
		return nil, fmt.Errorf("member credentials: token_uri: %w", err)
	}
	if _, err := keys.ParsePrivate([]byte(o.account.Key), file, nil); err != nil {
		return nil, fault.New(fault.Invalid, "member credentials: %s holds no private key", file)
	}
	return o, nil
}

// check refuses a project of another organization.
func (o *organization) check(ctx context.Context, project string, now time.Time) error {
	o.mu.Lock()
	known, ok := o.ancestry[project]
	o.mu.Unlock()
	if !ok || now.Sub(known.at) >= ancestryKept {
		top, err := o.ask(ctx, project, now)
		if err != nil {
			return err
		}
		known = ancestor{top, now}
		o.mu.Lock()
		if len(o.ancestry) >= maxAncestries {
			clear(o.ancestry)
		}
		o.ancestry[project] = known
		o.mu.Unlock()
	}
	if known.organization != o.id {
		return fault.New(fault.Unproven, "machines of the project %q are not accepted: it is not of the organization %s", project, o.id)
	}
	return nil
}

// ask asks for the ancestors of a project. The last is the organization; a project may have
// none.
func (o *organization) ask(ctx context.Context, project string, now time.Time) (top string, err error) {
	away := func(cause error) error {
		return fault.Wrap(errors.New(cause.Error()), fault.Unavailable, "it cannot be found out right now to which organization the project %q belongs; try again later", project)
	}
	token, err := o.authorize(ctx, now)
	if err != nil {
		return "", away(err)
	}
	a, err := o.client.Do(ctx, &fetch.Request{Method: "POST", URL: o.manager + "/v1/projects/" + url.PathEscape(project) + ":getAncestry", Body: []byte("{}"),
		Header: map[string][]string{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}})
	if err != nil {
		return "", away(err)
	}
	if a.Status == 403 || a.Status == 404 {
		return "", nil // none that we may see, so none of ours
	}
	if a.Status != 200 {
		return "", away(fmt.Errorf("the Resource Manager answers with status %d", a.Status))
	}
	var said struct {
		Ancestor []struct {
			Resource struct {
				Type string `json:"type"`
				ID   string `json:"id"`
			} `json:"resourceId"`
		} `json:"ancestor"`
	}
	if err := strict.Decode(a.Body, &said); err != nil {
		return "", away(err)
	}
	if n := len(said.Ancestor); n > 0 && said.Ancestor[0].Resource.ID == project && said.Ancestor[n-1].Resource.Type == "organization" {
		return said.Ancestor[n-1].Resource.ID, nil
	}
	return "", nil
}

// authorize is an access token for the question, kept until shortly before its end.
func (o *organization) authorize(ctx context.Context, now time.Time) (string, error) {
	o.mu.Lock()
	token, expires := o.token, o.expires
	o.mu.Unlock()
	if token != "" && now.Before(expires) {
		return token, nil
	}
	text, err := o.fetchToken(ctx, now)
	if err != nil {
		return "", err
	}
	var said struct {
		Token   string      `json:"access_token"`
		Seconds json.Number `json:"expires_in"`
	}
	if err := strict.Decode(text, &said); err != nil || said.Token == "" {
		return "", errors.New("there is no access token in the answer of Google")
	}
	seconds, _ := said.Seconds.Int64() // 0: not kept
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token, o.expires = said.Token, now.Add(time.Duration(min(seconds, 3600))*time.Second-time.Minute)
	return said.Token, nil
}

// fetchToken proves who we are: by the key of a service account (RFC 7523, Section 2.1), or as
// the machine that we are on.
func (o *organization) fetchToken(ctx context.Context, now time.Time) ([]byte, error) {
	if o.account == nil {
		m, err := metadataOf("Google Cloud", o.metadata, googleMetadata)
		if err != nil {
			return nil, err
		}
		return m.raw(ctx, "GET", "/computeMetadata/v1/instance/service-accounts/default/token", map[string]string{"Metadata-Flavor": "Google"})
	}
	key, err := keys.ParsePrivate([]byte(o.account.Key), "credentials", nil)
	if err != nil {
		return nil, err
	}
	assertion, err := keys.SignJWT(key, map[string]any{"kid": o.account.KeyID}, map[string]any{"iss": o.account.Email, "scope": googleReadProjects,
		"aud": o.account.TokenURI, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()})
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	a, err := o.client.Do(ctx, &fetch.Request{Method: "POST", URL: o.account.TokenURI, Body: []byte(form.Encode()),
		Header: map[string][]string{"Content-Type": {"application/x-www-form-urlencoded"}}})
	if err != nil {
		return nil, err
	}
	if a.Status != 200 {
		return nil, fmt.Errorf("%s answers with status %d", o.account.TokenURI, a.Status)
	}
	return a.Body, nil
}
