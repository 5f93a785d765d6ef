package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// acmeOrderResult is an order, as it is shown.
type acmeOrderResult struct {
	ID        string            `json:"id" help:"order ID, the end of its URL"`
	Account   string            `json:"account" help:"ID of the account"`
	Status    string            `json:"status" help:"pending, valid or invalid"`
	Names     []string          `json:"names" help:"what is to be certified"`
	CreatedAt time.Time         `json:"createdAt" help:"when it was made"`
	ExpiresAt time.Time         `json:"expiresAt" help:"until when it can be finished"`
	Serial    string            `json:"serial,omitempty" help:"serial number of its certificate, hex"`
	Problem   json.RawMessage   `json:"problem,omitempty" help:"why it is invalid"`
	Authz     []acmeAuthzResult `json:"authorizations,omitempty" help:"the proofs it needs; only of ca acme order show"`
}

type acmeAuthzResult struct {
	ID         string                `json:"id" help:"authorization ID"`
	Name       string                `json:"name" help:"the name to prove"`
	Status     string                `json:"status" help:"pending, valid, invalid or deactivated"`
	Challenges []acmeChallengeResult `json:"challenges" help:"ways to prove it"`
}

type acmeChallengeResult struct {
	Type     string              `json:"type" help:"challenge type"`
	Status   string              `json:"status" help:"pending, processing, valid or invalid"`
	Attempts []acmeAttemptResult `json:"attempts,omitempty" help:"the last looks at it"`
}

type acmeAttemptResult struct {
	At    time.Time `json:"at" help:"when it began"`
	Took  int64     `json:"milliseconds" help:"how long it took"`
	Trace []string  `json:"trace,omitempty" help:"what was asked, of which resolver and address, and how it answered"`
	Error string    `json:"error,omitempty" help:"why the name was not proven; nothing if it was"`
}

func orderShown(o *store.ACMEOrder) acmeOrderResult {
	r := acmeOrderResult{ID: o.ID, Account: o.AccountID, Status: o.Status, CreatedAt: o.CreatedAt, ExpiresAt: o.ExpiresAt, Serial: o.Serial, Problem: o.Problem}
	for _, id := range o.Identifiers {
		r.Names = append(r.Names, id.Value)
	}
	return r
}

func authzShown(a *store.ACMEAuthz) acmeAuthzResult {
	r := acmeAuthzResult{ID: a.ID, Name: a.Value, Status: a.Status}
	for _, c := range a.Challenges {
		one := acmeChallengeResult{Type: c.Type, Status: c.Status}
		for _, t := range c.Attempts {
			one.Attempts = append(one.Attempts, acmeAttemptResult{At: time.Unix(t.At, 0).UTC(), Took: t.Took, Trace: t.Trace, Error: t.Error})
		}
		r.Challenges = append(r.Challenges, one)
	}
	return r
}

// Text is the order with everything that was tried for it.
func (r *acmeOrderResult) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Order %s of account %s\nStatus: %s\nNames: %s\nMade: %s\nExpires: %s\n", r.ID, r.Account, r.Status,
		printable(strings.Join(r.Names, ", ")), r.CreatedAt.Format(time.RFC3339), r.ExpiresAt.Format(time.RFC3339))
	if r.Serial != "" {
		fmt.Fprintf(&b, "Serial: 0x%s\n", r.Serial)
	}
	var why struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(r.Problem, &why) == nil && why.Detail != "" {
		fmt.Fprintf(&b, "Problem: %s\n", printable(why.Detail))
	}
	for _, a := range r.Authz {
		fmt.Fprintf(&b, "\n%s: %s\n", printable(a.Name), a.Status)
		for _, c := range a.Challenges {
			fmt.Fprintf(&b, "  %s: %s\n", c.Type, c.Status)
			for _, t := range c.Attempts {
				fmt.Fprintf(&b, "    %s, %d ms\n", t.At.Format(time.RFC3339), t.Took)
				for _, line := range t.Trace {
					fmt.Fprintf(&b, "      %s\n", printable(line))
				}
				if t.Error != "" {
					fmt.Fprintf(&b, "      failed: %s\n", printable(t.Error))
				}
			}
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

type acmeOrderList []acmeOrderResult

func (l acmeOrderList) Text() string {
	var rows [][]string
	for _, o := range l {
		rows = append(rows, []string{o.ID, o.Status, o.CreatedAt.Format(time.RFC3339), printable(strings.Join(o.Names, " ")), o.Serial})
	}
	return columns("Order|Status|Created At|Names|Serial", rows)
}

func caACMEOrderShow() *command {
	var f eabFlags
	return &command{
		short: "show an ACME order and what was tried for it",
		long: `Shows an order of an ACME client: its names, their authorizations and challenges, and of the last attempts at each
			challenge when they were, which resolvers and addresses were asked, and what was wrong. It works on the CA's
			machine, on its database. Ended orders are removed some time after their end.`,
		args:     []arg{need("provisioner", "name of the ACME provisioner"), need("order-id", "ID of the order, the end of its URL")},
		examples: []example{{"Find out why an order failed", "signet ca acme order show acme 06AVTFN4XJMZ2E3R5D7B9C1K8H"}},
		flags:    f.register,
		result:   &acmeOrderResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			var r acmeOrderResult
			err := f.with(ctx, env, args[0], func(s *store.Store, provisionerID string) error {
				return s.View(ctx, func(tx *store.Tx) error {
					o, err := tx.ACMEOrder(args[1])
					if err == nil && o.ProvisionerID != provisionerID {
						err = store.ErrNotFound
					}
					if err != nil {
						return err
					}
					r = orderShown(o)
					for _, id := range o.Authorizations {
						a, err := tx.ACMEAuthz(id)
						if errors.Is(err, store.ErrNotFound) {
							continue // it ran out before its order
						}
						if err != nil {
							return err
						}
						r.Authz = append(r.Authz, authzShown(a))
					}
					return nil
				})
			})
			if errors.Is(err, store.ErrNotFound) {
				err = fmt.Errorf("the provisioner %q has no ACME order %q; `%s ca acme order list %s ACCOUNT` shows those of an account", args[0], args[1], env.Name, args[0])
			}
			return &r, err
		},
	}
}

func caACMEOrderList() *command {
	var f eabFlags
	var limit int
	return &command{
		short: "list the orders of an ACME account",
		long:  `Lists the orders of an account, the newest first. Those that ended are removed some time after that.`,
		args:  []arg{need("provisioner", "name of the ACME provisioner"), need("account-id", "ID of the account")},
		examples: []example{
			{"List the orders of an account", "signet ca acme order list acme 0VcSwR3XsVUSfrhDPBcWSW2H77laL7W7"},
		},
		flags: func(fs *flags) {
			f.register(fs)
			fs.Int(&limit, "limit", "n", "show at most `n` orders; 200 by default")
		},
		result: acmeOrderList{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			if limit <= 0 {
				limit = 200
			}
			list := acmeOrderList{}
			err := f.with(ctx, env, args[0], func(s *store.Store, provisionerID string) error {
				return s.View(ctx, func(tx *store.Tx) error {
					all, err := tx.AllACMEOrders(args[1], limit)
					for _, o := range all {
						if o.ProvisionerID == provisionerID {
							list = append(list, orderShown(o))
						}
					}
					return err
				})
			})
			return list, err
		},
	}
}
