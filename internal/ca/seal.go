package ca

import (
	"context"
	"errors"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/store"
)

// sealPage is how many secrets one commit seals anew.
const sealPage = 100

// SealedKey is what the secret of an external account binding key is sealed about.
func SealedKey(k *store.ACMEKey) string { return "acme_eab_keys/" + k.ProvisionerID + "/" + k.ID }

// keepSealed seals what stands in the database in clear, or sealed with an earlier secret:
// at the start, and after each reload.
func (c *CA) keepSealed(ctx context.Context) {
	for {
		if err := c.Reseal(ctx); err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "seal secrets in the database", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.sealKick:
		}
	}
}

// Reseal seals the unused secrets of external account binding keys with the current secret
// of the CA. Those that it can't open stay as they are, and are logged.
func (c *CA) Reseal(ctx context.Context) error {
	v := c.state.Load().Vault
	if v == nil {
		return nil
	}
	sealed, lost := 0, 0
	var why error
	for after := ""; ; {
		var page []*store.ACMEKey
		err := c.store.View(ctx, func(tx *store.Tx) (err error) {
			page, err = tx.UnusedACMEKeys(after, sealPage)
			return err
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].ID
		n, failed, err := c.resealPage(ctx, v, page)
		if sealed, lost = sealed+n, lost+failed; failed > 0 {
			why = err
		} else if err != nil {
			return err
		}
	}
	if sealed > 0 {
		c.log.InfoContext(ctx, "secrets of external account binding keys sealed", "act", "seal", "count", sealed)
	}
	if lost > 0 {
		c.log.ErrorContext(ctx, "secrets of external account binding keys cannot be opened, so nobody can use these keys; put the earlier secret into signet.previousDatabaseSecrets, or make new keys",
			"act", "seal", "count", lost, "err", why)
	}
	return nil
}

// resealPage seals some of them. It tells how many it sealed, how many it could not open,
// and why.
func (c *CA) resealPage(ctx context.Context, v *keys.Vault, page []*store.ACMEKey) (sealed, lost int, why error) {
	next := map[*store.ACMEKey][]byte{}
	for _, k := range page {
		if v.Current(k.Secret) {
			continue
		}
		secret, err := v.Open(k.Secret, SealedKey(k))
		if err != nil {
			lost, why = lost+1, err
			continue
		}
		next[k] = v.Seal(secret, SealedKey(k))
	}
	if len(next) == 0 {
		return 0, lost, why
	}
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		for k, secret := range next {
			// One that was used or removed meanwhile needs nothing any more.
			if err := tx.ResealACMEKey(k, secret); err != nil && !errors.Is(err, store.ErrStale) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return len(next), lost, why
}
