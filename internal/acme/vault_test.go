package acme_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// sealedBy gives a CA secrets of its database; the first one seals.
func sealedBy(t testing.TB, secrets ...string) func(*testca.Setup) {
	t.Helper()
	var all [][]byte
	for _, s := range secrets {
		all = append(all, []byte(s))
	}
	v, err := keys.NewVault(all...)
	if err != nil {
		t.Fatal(err)
	}
	return func(s *testca.Setup) { s.State = func(state *ca.State) { state.Vault = v } }
}

// bindable reports whether an account can be made with a key.
func (w *world) bindable(id string, secret []byte) *reply {
	c := &client{world: w, key: newKey(w.t)}
	return c.register(bind(c, id, secret, nil))
}

// Whoever reads the database gets neither the secrets of external account binding keys nor
// what nonces are made with.
func TestDatabaseHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"requireEAB": true}, durable)
	id, secret := w.eabKey("acme/acme", "")
	w.nonce()
	err := w.ca.Store.View(t.Context(), func(tx *store.Tx) error {
		days, err := tx.ACMENonceKeys()
		if len(days) > 0 {
			t.Errorf("%d keys of nonces in the database", len(days))
		}
		k, also := tx.ACMEKey(id)
		if also == nil && (len(k.Secret) == 0 || bytes.Contains(k.Secret, secret)) {
			t.Errorf("the row says %q", k.Secret)
		}
		if also != nil {
			return also
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(w.ca.File() + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	seen := false
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen = seen || bytes.Contains(data, []byte(id))
		for _, form := range [][]byte{secret, []byte(hex.EncodeToString(secret)), []byte(base64.RawURLEncoding.EncodeToString(secret))} {
			if bytes.Contains(data, form) {
				t.Errorf("%s holds the secret", file)
			}
		}
	}
	if !seen {
		t.Error("the database was not looked at")
	}
	w.bindable(id, secret).want(201)
}

// Rows that a release before wrote in clear work, and are sealed.
func TestClearRowsAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"requireEAB": true})
	clear := []byte("clear text of thirty-two bytes..")
	first := &store.ACMEKey{ID: "first", ProvisionerID: "acme/acme", Secret: clear, CreatedAt: time.Now()}
	second := &store.ACMEKey{ID: "second", ProvisionerID: "acme/acme", Secret: clear, CreatedAt: time.Now()}
	w.addKey(first)
	w.addKey(second)
	w.bindable("first", clear).want(201)
	w.reseal()
	err := w.ca.Store.View(t.Context(), func(tx *store.Tx) error {
		k, err := tx.ACMEKey("second")
		if err == nil && bytes.Contains(k.Secret, clear) {
			t.Error("the row is in clear still")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.bindable("second", clear).want(201)
	w.bindable("second", clear).refused(403, "unauthorized")
}

// restarted is the server after another start, on the same database.
func (w *world) restarted(bend ...func(*testca.Setup)) *world {
	other := *w
	other.ca = w.ca.Sibling(bend...)
	other.options.CA = other.ca.Office
	other.open()
	return &other
}

func (w *world) reseal() {
	w.t.Helper()
	if err := w.ca.Office.Reseal(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// The secret of the CA changes: what was sealed before opens, nonces made before are good,
// also when the server was down in between; and then the old secret is needed no more.
func TestSecretChanges(t *testing.T) {
	t.Parallel()
	const old, next = "the first secret of the CA", "the second secret of the CA"
	w := newWorld(t, map[string]any{"requireEAB": true}, durable, sealedBy(t, old))
	id, secret := w.eabKey("acme/acme", "")
	again, _ := w.eabKey("acme/acme", "")
	nonce := w.nonce()
	w.ca.Reload(sealedBy(t, next)) // a reload: the process knows the earlier one
	c := &client{world: w, key: newKey(t)}
	url := w.url("new-account")
	c.raw(url, sign(t, c.key, map[string]any{"alg": "ES256", "jwk": c.jwk(), "url": url, "nonce": nonce}, `{"onlyReturnExisting":true}`)).refused(400, "accountDoesNotExist")
	w.bindable(id, secret).want(201)
	w.reseal()
	other := w.restarted(sealedBy(t, next)) // a start: it does not
	other.bindable(again, secret).want(201)
}

// With another secret than the one that sealed the CA works, but for the keys it can't open,
// and says what is wrong.
func TestWrongSecret(t *testing.T) {
	t.Parallel()
	const old, wrong = "the first secret of the CA", "some other secret of the CA"
	w := newWorld(t, map[string]any{"requireEAB": true}, durable, sealedBy(t, old))
	id, secret := w.eabKey("acme/acme", "")
	other := w.restarted(sealedBy(t, wrong))
	other.reseal() // leaves alone what it can't open
	r := other.bindable(id, secret).refused(500, "serverInternal")
	if p := r.problem(); !strings.Contains(p.Detail, id) || !strings.Contains(p.Detail, "operator") {
		t.Errorf("%q", p.Detail)
	}
	if log := other.ca.Log.String(); !strings.Contains(log, "signet.previousDatabaseSecrets") || strings.Contains(log, wrong) || strings.Contains(log, string(secret)) {
		t.Errorf("the log says %s", log)
	}
	fresh, also := other.eabKey("acme/acme", "")
	other.bindable(fresh, also).want(201)
	w.restarted(sealedBy(t, old)).bindable(id, secret).want(201) // nothing is lost
}

// A CA whose key is elsewhere, and that has no secret, works as before.
func TestNothingToSealWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"requireEAB": true}, func(s *testca.Setup) { s.State = func(state *ca.State) { state.Vault = nil } })
	id, secret := w.eabKey("acme/acme", "")
	w.reseal()
	w.bindable(id, secret).want(201)
	// Another server of the database takes the nonces, and both do when there is a secret.
	c := &client{world: w, key: newKey(t)}
	url := w.url("new-account")
	nonce := w.nonce()
	w.ca.Reload(sealedBy(t, "the first secret of the CA"))
	c.raw(url, sign(t, c.key, map[string]any{"alg": "ES256", "jwk": c.jwk(), "url": url, "nonce": nonce}, `{"onlyReturnExisting":true}`)).refused(400, "accountDoesNotExist")
}
