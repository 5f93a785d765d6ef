package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// acmePauseResult is a name that an account has to wait with.
type acmePauseResult struct {
	Account string    `json:"account" help:"ID of the account"`
	Name    string    `json:"name" help:"the name whose validation failed too often"`
	Since   time.Time `json:"since" help:"when that happened"`
	Until   time.Time `json:"until" help:"when the account may try again"`
}

type acmePauseList []acmePauseResult

func (l acmePauseList) Text() string {
	var rows [][]string
	for _, p := range l {
		rows = append(rows, []string{p.Account, printable(p.Name), p.Since.Format(time.RFC3339), p.Until.Format(time.RFC3339)})
	}
	return columns("Account|Name|Since|Until", rows)
}

// shownPauses is how many of them a list shows at most.
const shownPauses = 10000

func caACMEPauseList() *command {
	var f eabFlags
	return &command{
		short: "list the names that ACME accounts have to wait with",
		long: `Lists the names whose validation failed too often within an hour (limits.failedValidationsPerHour of the provisioner):
			the account that asked gets no further try for an hour. ca acme order show says why they failed.`,
		args:     []arg{need("provisioner", "name of the ACME provisioner")},
		examples: []example{{"List all pauses", "signet ca acme pause list acme"}},
		flags:    f.register,
		result:   acmePauseList{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			list := acmePauseList{}
			err := f.with(ctx, env, args[0], func(s *store.Store, provisionerID string) error {
				return s.View(ctx, func(tx *store.Tx) error {
					all, err := tx.ACMEPauses(provisionerID, env.Now(), shownPauses)
					for _, p := range all {
						list = append(list, acmePauseResult{p.AccountID, p.Value, p.CreatedAt, p.ExpiresAt})
					}
					return err
				})
			})
			return list, err
		},
	}
}

func caACMEPauseLift() *command {
	var f eabFlags
	return &command{
		short: "let an ACME account try a name again",
		long:  `Ends the pause of one name, or of all names of an account, before its time. Servers know within five seconds.`,
		args: []arg{need("provisioner", "name of the ACME provisioner"), need("account-id", "ID of the account"),
			may("name", "the name; without it all names of the account")},
		examples: []example{{"Lift the pause of one name", "signet ca acme pause lift acme 0VcSwR3XsVUSfrhDPBcWSW2H77laL7W7 web.internal"}},
		flags:    f.register,
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			name := ""
			if len(args) > 2 {
				name = args[2]
			}
			err := f.with(ctx, env, args[0], func(s *store.Store, provisionerID string) error {
				return s.Update(ctx, func(tx *store.Tx) error {
					if err := tx.LiftACMEPauses(provisionerID, args[1], name); err != nil {
						return err
					}
					return tx.AddAudit(store.Audit{At: env.Now(), Act: "acme.pause-lift", Provisioner: args[0], Subject: args[1], Detail: name})
				})
			})
			if errors.Is(err, store.ErrNotFound) {
				err = fmt.Errorf("nothing of that kind is paused; `%s ca acme pause list %s` shows what is", env.Name, args[0])
			}
			return nil, err
		},
	}
}
