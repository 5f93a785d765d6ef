package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/webhook"
)

// webhookFlags are those of add and update.
type webhookFlags struct {
	edit                                                          editFlags
	url, kind, certType, bearerFile, basicUser, basicPasswordFile string
	disableTLSClientAuth                                          bool
}

func (f *webhookFlags) register(fs *flags) {
	fs.String(&f.url, "url", "url", "https address that is asked; after the host it may be a template").NoEnv()
	fs.Enum(&f.kind, "kind", []string{webhook.Enriching, webhook.Authorizing, webhook.ACME, webhook.SCEPChallenge, webhook.Notifying}, "when it is asked").NoEnv()
	fs.Enum(&f.certType, "cert-type", []string{webhook.All, webhook.X509, webhook.SSH}, "kind of certificates it is asked about").NoEnv()
	fs.String(&f.bearerFile, "bearer-token-file", "file", "send the token in `file` along").NoEnv()
	fs.String(&f.basicUser, "basic-auth-username", "name", "send this user name and a password along").NoEnv()
	fs.String(&f.basicPasswordFile, "basic-auth-password-file", "file", "password that goes with the user name").NoEnv()
	fs.Bool(&f.disableTLSClientAuth, "disable-tls-client-auth", "present no TLS client certificate").NoEnv()
	fs.Incompatible("bearer-token-file", "basic-auth-username", "basic-auth-password-file")
	fs.Together("basic-auth-username", "basic-auth-password-file")
	f.edit.register(fs)
}

// apply changes what flags name. Credentials stay in their files, whose names the
// configuration gets.
func (f *webhookFlags) apply(env *Env, c *webhook.Config) error {
	for _, text := range []struct {
		flag, value string
		to          *string
	}{{"url", f.url, &c.URL}, {"kind", f.kind, &c.Kind}, {"cert-type", f.certType, &c.CertType}} {
		if env.Typed(text.flag) {
			*text.to = text.value
		}
	}
	if env.Typed("disable-tls-client-auth") {
		c.DisableTLSClientAuth = f.disableTLSClientAuth
	}
	reference := func(file string) (keys.Secret, error) { // the server has another working directory
		path, err := filepath.Abs(file)
		return keys.Secret("file:" + path), err
	}
	var err error
	if f.bearerFile != "" {
		c.BasicAuth = nil
		if c.BearerToken, err = reference(f.bearerFile); err != nil {
			return err
		}
	}
	if f.basicUser != "" {
		c.BearerToken, c.BasicAuth = "", &webhook.BasicAuth{Username: f.basicUser}
		c.BasicAuth.Password, err = reference(f.basicPasswordFile)
	}
	return err
}

// webhookResult is what the server of a new webhook must know.
type webhookResult struct {
	ID     string `json:"id" help:"sent along as X-Smallstep-Webhook-ID"`
	Secret string `json:"secret" help:"key of the signature in X-Smallstep-Signature, base64"`
}

func (r *webhookResult) Text() string {
	return fmt.Sprintf("Webhook ID: %s\nSecret: %s\n", r.ID, r.Secret)
}

// changeWebhooks rewrites the list of webhooks of a provisioner.
func (f *editFlags) changeWebhooks(ctx context.Context, env *Env, name string, change func([]webhook.Config) ([]webhook.Config, error)) error {
	if err := f.checkLocal(ctx, env); err != nil {
		return err
	}
	o, err := f.existing(env, name)
	if err != nil {
		return err
	}
	err = o.within("options", func(options *jsonObject) error {
		var list []webhook.Config
		if raw := options.get("webhooks"); len(bytes.TrimSpace(raw)) > 0 {
			if err := json.Unmarshal(raw, &list); err != nil {
				return fmt.Errorf("read options.webhooks of provisioner %q: %w", name, err)
			}
		}
		list, err := change(list)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			options.remove("webhooks")
			return nil
		}
		options.set("webhooks", list)
		return nil
	})
	if err != nil {
		return err
	}
	if err := checkObject(o); err != nil {
		return err
	}
	if err := config.ReplaceProvisioner(f.file(env), name, o.text()); err != nil {
		return err
	}
	f.done(env)
	return nil
}

func webhookIndex(list []webhook.Config, name string) int {
	return slices.IndexFunc(list, func(c webhook.Config) bool { return c.Name == name })
}

// checkWebhook refuses what the server would refuse.
func checkWebhook(c webhook.Config) error {
	_, err := webhook.Open(c, webhook.NewEnv(nil, nil))
	return err
}

var webhookArgs = []arg{need("provisioner", "name of the provisioner"), need("name", "name of the webhook; templates find its answer under .Webhooks.NAME")}

func caProvisionerWebhookAdd() *command {
	f := &webhookFlags{kind: webhook.Enriching}
	return &command{
		short: "add a webhook to a provisioner",
		long: `Puts a webhook into the provisioner's options in the CA's configuration file and draws the secret with which its
			calls are signed. The secret stands in the file, which nobody else should be able to read.`,
		args:     webhookArgs,
		examples: []example{{"Ask for data about people before their certificates are made", "signet ca provisioner webhook add ops people --url https://hooks.corp.example/people"}},
		flags: func(fs *flags) {
			f.register(fs)
			fs.Required("url")
		},
		context: contextMust,
		result:  &webhookResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			raw := make([]byte, 64)
			_, _ = rand.Read(raw) // never fails
			r := &webhookResult{ID: rand.Text(), Secret: base64.StdEncoding.EncodeToString(raw)}
			c := webhook.Config{ID: r.ID, Name: args[1], Kind: f.kind, Secret: keys.Secret(r.Secret)}
			if err := f.apply(env, &c); err != nil {
				return nil, err
			}
			if err := checkWebhook(c); err != nil {
				return nil, err
			}
			err := f.edit.changeWebhooks(ctx, env, args[0], func(list []webhook.Config) ([]webhook.Config, error) {
				if webhookIndex(list, c.Name) >= 0 {
					return nil, fmt.Errorf("provisioner %q has a webhook called %q already", args[0], c.Name)
				}
				return append(list, c), nil
			})
			if err != nil {
				return nil, err
			}
			return r, nil
		},
	}
}

func caProvisionerWebhookUpdate() *command {
	f := new(webhookFlags)
	return &command{
		short:    "change a webhook of a provisioner",
		long:     "Changes what flags name, in the CA's configuration file, and leaves the rest of the webhook as it is, its secret too.",
		args:     webhookArgs,
		examples: []example{{"Move a webhook", "signet ca provisioner webhook update ops people --url https://new.corp.example/people"}},
		flags:    f.register,
		context:  contextMust,
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return nil, f.edit.changeWebhooks(ctx, env, args[0], func(list []webhook.Config) ([]webhook.Config, error) {
				i := webhookIndex(list, args[1])
				if i < 0 {
					return nil, fmt.Errorf("there is no webhook called %q", args[1])
				}
				if err := f.apply(env, &list[i]); err != nil {
					return nil, err
				}
				return list, checkWebhook(list[i])
			})
		},
	}
}

func caProvisionerWebhookRemove() *command {
	f := new(editFlags)
	return &command{
		short:    "remove a webhook of a provisioner",
		long:     "Takes a webhook out of the CA's configuration file. One that is not there is no mistake.",
		args:     webhookArgs,
		examples: []example{{"Ask nobody about people any more", "signet ca provisioner webhook remove ops people"}},
		flags:    f.register,
		context:  contextMust,
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return nil, f.changeWebhooks(ctx, env, args[0], func(list []webhook.Config) ([]webhook.Config, error) {
				return slices.DeleteFunc(list, func(c webhook.Config) bool { return c.Name == args[1] }), nil
			})
		},
	}
}
