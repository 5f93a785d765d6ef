package cli

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// acmeAccountResult is an ACME account, as it is shown.
type acmeAccountResult struct {
	ID        string    `json:"id" help:"account ID, the end of its URL"`
	Status    string    `json:"status" help:"valid, deactivated or revoked"`
	Contacts  []string  `json:"contacts" help:"how to reach its owner"`
	EAB       string    `json:"eab,omitempty" help:"ID of the external account binding key that vouched for it"`
	CreatedAt time.Time `json:"createdAt" help:"when it was made"`
}

type acmeAccountList []acmeAccountResult

func (l acmeAccountList) Text() string {
	var rows [][]string
	for _, a := range l {
		rows = append(rows, []string{a.ID, a.Status, a.CreatedAt.Format(time.RFC3339), printable(strings.Join(a.Contacts, " ")), a.EAB})
	}
	return columns("Account|Status|Created At|Contacts|Key ID", rows)
}

func caACMEAccountList() *command {
	var f eabFlags
	return &command{
		short:    "list the ACME accounts of a provisioner",
		long:     `Lists the accounts that ACME clients made, from the CA's database, on its machine.`,
		args:     []arg{need("provisioner", "name of the ACME provisioner")},
		examples: []example{{"List all accounts", "signet ca acme account list acme"}},
		flags:    f.register,
		result:   acmeAccountList{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			list := acmeAccountList{}
			err := f.with(ctx, env, args[0], func(s *store.Store, provisionerID string) error {
				return s.View(ctx, func(tx *store.Tx) error {
					for after := ""; ; {
						const page = 200
						accounts, err := tx.ACMEAccounts(provisionerID, after, page)
						for _, a := range accounts {
							list = append(list, acmeAccountResult{a.ID, a.Status, append([]string{}, a.Contacts...), a.EAB, a.CreatedAt})
							after = a.Thumbprint
						}
						if err != nil || len(accounts) < page {
							return err
						}
					}
				})
			})
			return list, err
		},
	}
}

func caACMEAccountRevoke() *command {
	var f eabFlags
	var force bool
	return &command{
		short: "end an ACME account",
		long: `Refuses every request of the account from now on, and ends its orders. Its key can't make another account at the
			provisioner. Certificates that it has stay valid; revoke them with ca revoke.`,
		args:     []arg{need("provisioner", "name of the ACME provisioner"), need("account-id", "ID of the account")},
		examples: []example{{"End an account", "signet ca acme account revoke acme 0VcSwR3XsVUSfrhDPBcWSW2H77laL7W7"}},
		flags: func(fs *flags) {
			f.register(fs)
			fs.Bool(&force, "force", "do not ask").Alias("f").NoEnv()
		},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			if !force {
				sure, err := env.confirm(ctx, "End the ACME account "+printable(args[1])+"?", "force")
				if err != nil || !sure {
					return nil, err
				}
			}
			return nil, f.with(ctx, env, args[0], func(s *store.Store, provisionerID string) error {
				err := s.Update(ctx, func(tx *store.Tx) error {
					a, err := tx.ACMEAccount(args[1])
					if err == nil && a.ProvisionerID != provisionerID {
						err = store.ErrNotFound
					}
					if err == nil {
						err = tx.EndACMEAccount(a.ID, "revoked")
					}
					if err != nil {
						return err
					}
					return tx.AddAudit(store.Audit{At: env.Now(), Act: "acme.revoke", Provisioner: args[0], Subject: a.ID})
				})
				switch {
				case errors.Is(err, store.ErrNotFound):
					return fmt.Errorf("the provisioner %q has no ACME account %q; `%s ca acme account list %s` shows those it has", args[0], args[1], env.Name, args[0])
				case errors.Is(err, store.ErrStale):
					return errors.New("the account has been ended already")
				}
				return err
			})
		},
	}
}

func caACMERenewNow() *command {
	var f eabFlags
	var name, serial, explanation string
	var all, undo bool
	return &command{
		short: "have certificates renewed early",
		long: `Tells ACME clients that know of renewal information (RFC 9773) to renew certificates that were issued until now:
			one, all of a provisioner, or all of the CA. They hear of it when they next ask, at most about seven hours later.
			Certificates issued afterwards are not meant. With --undo the wish is taken back.`,
		examples: []example{
			{"Have all certificates of an ACME provisioner renewed", "signet ca acme renew-now --provisioner acme --explanation https://wiki.internal/why"},
			{"Have one certificate renewed", "signet ca acme renew-now --serial 0x5e04dd2af70f2b90bb00db0443663f45"},
		},
		flags: func(fs *flags) {
			f.register(fs)
			fs.String(&name, "provisioner", "name", "certificates of the ACME provisioner `name`").NoEnv()
			fs.String(&serial, "serial", "number", "the certificate with the serial `number`, decimal or hex with 0x").NoEnv()
			fs.Bool(&all, "all", "all certificates of the CA").NoEnv()
			fs.String(&explanation, "explanation", "url", "`URL` of a page that says why, for clients to show").NoEnv()
			fs.Bool(&undo, "undo", "take the wish back").NoEnv()
			fs.Exclusive("provisioner", "serial", "all")
		},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			scope, err := f.scope(env, name, serial, all)
			if err != nil {
				return nil, err
			}
			if u, err := url.Parse(explanation); explanation != "" && (err != nil || u.Scheme == "") {
				return nil, errValue("explanation", explanation, "a URL")
			}
			return nil, f.records.with(ctx, env, func(s *store.Store) error {
				return s.Update(ctx, func(tx *store.Tx) error {
					act, err := "acme.renew-now", error(nil)
					if undo {
						act, err = "acme.renew-undo", tx.RemoveACMERenewal(scope)
						if errors.Is(err, store.ErrNotFound) {
							return errors.New("nobody asked for these certificates to be renewed early")
						}
					} else {
						err = tx.SetACMERenewal(store.ACMERenewal{Scope: scope, Explanation: explanation, CreatedAt: env.Now()})
					}
					if err != nil {
						return err
					}
					return tx.AddAudit(store.Audit{At: env.Now(), Act: act, Provisioner: name, Detail: scope})
				})
			})
		},
	}
}

// scope is whose certificates are meant, as the store calls it.
func (f *eabFlags) scope(env *Env, name, serial string, all bool) (string, error) {
	switch {
	case name != "":
		id, err := f.provisionerID(env, name)
		return "provisioner:" + id, err
	case serial != "":
		n, ok := new(big.Int).SetString(serial, 0)
		if !ok || n.Sign() <= 0 {
			return "", errValue("serial", serial, "a serial number, decimal or hex with 0x")
		}
		return "serial:" + n.Text(16), nil
	case all:
		return "*", nil
	}
	return "", errors.New("say which certificates are meant: --provisioner, --serial or --all")
}
