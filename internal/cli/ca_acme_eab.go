package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
)

// eabResult is an external account binding key, as it is shown.
type eabResult struct {
	ID          string     `json:"id" help:"key ID, for the client"`
	Provisioner string     `json:"provisioner" help:"name of the provisioner"`
	Key         string     `json:"key,omitempty" help:"the key itself, base64url without padding, for the client; only when it is made"`
	Reference   string     `json:"reference,omitempty" help:"the operator's name for it"`
	Policy      any        `json:"policy,omitempty" help:"rules about the names that its account may ask for"`
	CreatedAt   time.Time  `json:"createdAt" help:"when it was made"`
	BoundAt     *time.Time `json:"boundAt,omitempty" help:"when an account used it"`
	Account     string     `json:"account,omitempty" help:"ID of that account"`
}

func eabShown(name string, k *store.ACMEKey) eabResult {
	r := eabResult{ID: k.ID, Provisioner: name, Reference: k.Reference, CreatedAt: k.CreatedAt, Account: k.AccountID}
	if len(k.Policy) > 0 {
		r.Policy = json.RawMessage(k.Policy)
	}
	if !k.BoundAt.IsZero() {
		r.BoundAt = &k.BoundAt
	}
	return r
}

func (r *eabResult) Text() string {
	return columns("Key ID|Provisioner|Key (base64, raw url encoded)|Reference", [][]string{{r.ID, printable(r.Provisioner), r.Key, printable(r.Reference)}})
}

// eabList is several of them.
type eabList []eabResult

func (l eabList) Text() string {
	var rows [][]string
	for _, r := range l {
		bound := ""
		if r.BoundAt != nil {
			bound = r.BoundAt.Format(time.RFC3339)
		}
		rows = append(rows, []string{r.ID, printable(r.Provisioner), "*****", r.CreatedAt.Format(time.RFC3339), bound, r.Account, printable(r.Reference)})
	}
	return columns("Key ID|Provisioner|Key (masked)|Created At|Bound At|Account|Reference", rows)
}

// columns sets rows below a head.
func columns(head string, rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	for _, row := range append([][]string{strings.Split(head, "|")}, rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a Builder takes everything
	return strings.TrimRight(b.String(), "\n")
}

// eabFlags say whose keys are meant: those of an ACME provisioner in a configuration, kept
// in the database that it names.
type eabFlags struct{ records recordsFlags }

func (f *eabFlags) register(fs *flags) { f.records.register(fs) }

// with runs work on the database, with the record ID of the provisioner.
func (f *eabFlags) with(ctx context.Context, env *Env, name string, work func(s *store.Store, provisionerID string) error) error {
	id, err := f.provisionerID(env, name)
	if err != nil {
		return err
	}
	return f.records.with(ctx, env, func(s *store.Store) error { return work(s, id) })
}

// vault is what the CA seals secrets with. Its key is opened if it has to be.
func (f *eabFlags) vault(ctx context.Context, env *Env, passwordFile string) (*keys.Vault, error) {
	cfg, _, err := config.Options{Home: env.Home.Path()}.Read(cmp.Or(f.records.caConfig, env.Home.CAConfig()))
	if err != nil {
		return nil, err
	}
	pw := env.password(ctx, passwordFile, "password-file")
	if passwordFile == "" {
		pw = cfg.KeyPassword(pw)
	}
	v, warning, err := cfg.OpenVault(pw)
	if warning != nil {
		env.Warn("%v", warning)
	}
	return v, err
}

func (f *eabFlags) provisionerID(env *Env, name string) (string, error) {
	file := cmp.Or(f.records.caConfig, env.Home.CAConfig())
	cfg, _, err := config.Options{Home: env.Home.Path()}.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no configuration of a CA at %s; this command works on the machine of the CA: give --ca-config", file)
	}
	if err != nil {
		return "", err
	}
	var names []string
	for _, p := range cfg.Authority.Provisioners {
		if _, ok := p.Kind().(*provisioner.ACME); !ok {
			continue
		}
		if p.Name == name {
			return cmp.Or(p.ID, p.TokenID()), nil
		}
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return "", fmt.Errorf("the CA has no ACME provisioner; add one with `%s ca provisioner add %s --type ACME`", env.Name, name)
	}
	return "", fmt.Errorf("there is no ACME provisioner called %q; there are %s", name, strings.Join(names, ", "))
}

// eabNames are the rules about names that a key may carry.
type eabNames struct {
	allowDNS, denyDNS, allowIP, denyIP []string
	wildcards                          bool
}

func (n *eabNames) register(fs *flags) {
	fs.Strings(&n.allowDNS, "allow-dns", "rule", "let the account ask for DNS names that match the `rule`, such as host.internal or **.web.internal").NoEnv()
	fs.Strings(&n.denyDNS, "deny-dns", "rule", "keep the account from DNS names that match the `rule`").NoEnv()
	fs.Strings(&n.allowIP, "allow-ip", "range", "let the account ask for addresses in the `range`, such as 10.0.0.0/8").NoEnv()
	fs.Strings(&n.denyIP, "deny-ip", "range", "keep the account from addresses in the `range`").NoEnv()
	fs.Bool(&n.wildcards, "allow-wildcard-names", "with rules: let the account ask for wildcard names, too").NoEnv()
}

// policy is the rules as JSON; nil if there are none.
func (n *eabNames) policy() ([]byte, error) {
	if len(n.allowDNS)+len(n.denyDNS)+len(n.allowIP)+len(n.denyIP) == 0 {
		if n.wildcards {
			return nil, errors.New("--allow-wildcard-names means something only with rules such as --allow-dns")
		}
		return nil, nil
	}
	c := policy.X509Config{AllowWildcardNames: n.wildcards}
	if len(n.allowDNS)+len(n.allowIP) > 0 {
		c.Allow = &policy.X509Names{DNS: n.allowDNS, IP: n.allowIP}
	}
	if len(n.denyDNS)+len(n.denyIP) > 0 {
		c.Deny = &policy.X509Names{DNS: n.denyDNS, IP: n.denyIP}
	}
	if _, err := policy.NewX509(&c); err != nil {
		return nil, err
	}
	return json.Marshal(policy.Config{X509: &c})
}

func caACMEEABAdd() *command {
	var f eabFlags
	var names eabNames
	var passwordFile string
	return &command{
		short: "make an external account binding key",
		long: `Makes a key by which one new ACME account is vouched for (RFC 8555, Section 7.3.4), and prints it once. The
			client gets key ID and key. Rules about names bind the account for good, besides those of the provisioner.

			The command works on the CA's machine, on its database; the server takes the key at once. The database holds
			the key sealed, by signet.databaseSecret of the configuration or, without it, by the key of the issuing
			certificate, whose password is needed then.`,
		args: []arg{need("provisioner", "name of the ACME provisioner"), may("reference", "your own name for the key, unique for the provisioner")},
		examples: []example{
			{"Make a key for the web team", "signet ca acme eab add acme web-team"},
			{"Make one that is good for some names alone", `signet ca acme eab add acme web-team --allow-dns "**.web.internal" --allow-ip 10.1.0.0/16`},
		},
		flags: func(fs *flags) {
			f.register(fs)
			names.register(fs)
			fs.String(&passwordFile, "password-file", "file", "read the password of the key of the issuing certificate from `file`")
		},
		result: &eabResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			rules, err := names.policy()
			if err != nil {
				return nil, err
			}
			k := &store.ACMEKey{ID: eabID(), Secret: eabSecret(), Policy: rules, CreatedAt: env.Now()}
			if len(args) > 1 {
				k.Reference = args[1]
			}
			if len(k.Reference) > 255 {
				return nil, errors.New("the reference is longer than 255 bytes")
			}
			secret := k.Secret
			err = f.with(ctx, env, args[0], func(s *store.Store, provisionerID string) error {
				k.ProvisionerID = provisionerID
				v, err := f.vault(ctx, env, passwordFile)
				if err != nil {
					return err
				}
				k.Secret = v.Seal(secret, ca.SealedKey(k))
				return addACMEKey(ctx, s, args[0], k)
			})
			if err != nil {
				return nil, err
			}
			r := eabShown(args[0], k)
			r.Key = base64.RawURLEncoding.EncodeToString(secret)
			return &r, nil
		},
	}
}

// addACMEKey writes a key down, whose secret is sealed already.
func addACMEKey(ctx context.Context, s *store.Store, provisioner string, k *store.ACMEKey) error {
	err := s.Update(ctx, func(tx *store.Tx) error {
		if err := tx.AddACMEKey(k); err != nil {
			return err
		}
		return tx.AddAudit(store.Audit{At: k.CreatedAt, Act: "acme.eab-add", Provisioner: provisioner, Subject: k.Reference, Detail: "external account binding key " + k.ID})
	})
	if errors.Is(err, store.ErrExists) {
		return fmt.Errorf("the provisioner %q has a key with the reference %q already", provisioner, k.Reference)
	}
	return err
}

// eabID is 32 random letters and digits.
func eabID() string { return (rand.Text() + rand.Text())[:32] }

// eabSecret is 32 random bytes. Their base64url does not begin with a dash, or certbot and
// others would take it for a flag.
func eabSecret() []byte {
	const dash = 62 // the sextet that is written so
	secret := make([]byte, 32)
	for {
		_, _ = rand.Read(secret) // crypto/rand never fails
		if secret[0]>>2 != dash {
			return secret
		}
	}
}

func caACMEEABList() *command {
	var f eabFlags
	var limit int
	var noPager bool
	return &command{
		short: "list the external account binding keys of a provisioner",
		long:  `Lists the keys of an ACME provisioner, used ones too, and which accounts they vouched for. The keys themselves are not shown.`,
		args:  []arg{need("provisioner", "name of the ACME provisioner"), may("reference", "show the key of that name alone")},
		examples: []example{
			{"List all keys", "signet ca acme eab list acme"},
			{"Show whether a key has been used", "signet ca acme eab list acme web-team --json"},
		},
		flags: func(fs *flags) {
			f.register(fs)
			fs.Int(&limit, "limit", "n", "show at most `n` keys")
			fs.Bool(&noPager, "no-pager", "accepted: this program pages nothing").NoEnv()
		},
		result: eabList{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			list := eabList{}
			err := f.with(ctx, env, args[0], func(s *store.Store, provisionerID string) error {
				return s.View(ctx, func(tx *store.Tx) error {
					if len(args) > 1 {
						found, err := tx.ACMEKeyByReference(provisionerID, args[1])
						for _, k := range found {
							list = append(list, eabShown(args[0], k))
						}
						return err
					}
					return eachKey(tx, provisionerID, func(k *store.ACMEKey) bool {
						list = append(list, eabShown(args[0], k))
						return limit <= 0 || len(list) < limit
					})
				})
			})
			return list, err
		},
	}
}

// eachKey walks over the keys of a provisioner until more says no.
func eachKey(tx *store.Tx, provisionerID string, more func(*store.ACMEKey) bool) error {
	for after := ""; ; {
		const page = 200
		keys, err := tx.ACMEKeys(provisionerID, after, page)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if !more(k) {
				return nil
			}
			after = k.ID
		}
		if len(keys) < page {
			return nil
		}
	}
}

func caACMEEABRemove() *command {
	var f eabFlags
	var force bool
	return &command{
		short: "remove an external account binding key",
		long: `Forgets a key, so that no account can be made with it any more. An account that it vouched for stays; as long as
			a key with rules about names binds an account, it is not removed.`,
		args:     []arg{need("provisioner", "name of the ACME provisioner"), need("key-id", "ID of the key")},
		examples: []example{{"Remove a key", "signet ca acme eab remove acme 2QWZ6LPA7XE5KM3BTN4UHVJYRC2QWZ6L"}},
		flags: func(fs *flags) {
			f.register(fs)
			fs.Bool(&force, "force", "do not ask").Alias("f").NoEnv()
		},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			if !force {
				sure, err := env.confirm(ctx, "Remove the external account binding key "+printable(args[1])+"?", "force")
				if err != nil || !sure {
					return nil, err
				}
			}
			err := f.with(ctx, env, args[0], func(s *store.Store, provisionerID string) error {
				return s.Update(ctx, func(tx *store.Tx) error {
					if err := removeKey(tx, provisionerID, args[1]); err != nil {
						return err
					}
					return tx.AddAudit(store.Audit{At: env.Now(), Act: "acme.eab-remove", Provisioner: args[0], Detail: "external account binding key " + args[1]})
				})
			})
			if errors.Is(err, store.ErrNotFound) {
				err = fmt.Errorf("the provisioner %q has no key %q; `%s ca acme eab list %s` shows those it has", args[0], args[1], env.Name, args[0])
			}
			return nil, err
		},
	}
}

// removeKey removes a key, unless its rules bind an account that still lives: without them
// the account could ask for more than before.
func removeKey(tx *store.Tx, provisionerID, id string) error {
	k, err := tx.ACMEKey(id)
	if err != nil {
		return err
	}
	if k.AccountID != "" && len(k.Policy) > 0 {
		a, err := tx.ACMEAccount(k.AccountID)
		if err == nil && a.Status == "valid" {
			return fmt.Errorf("the rules of this key bind the account %s, which would be free of them; deactivate the account first", k.AccountID)
		}
	}
	return tx.RemoveACMEKey(provisionerID, id)
}
