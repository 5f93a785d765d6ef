package cli

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mholt/acmez/v3/acme"

	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
)

// An account lives in a directory of the home that is named by the hash of the address of
// the ACME directory, so that no address of a server becomes a path. Its key is in
// account.key; account.json says for people what it belongs to.
const (
	acmeAccountKey  = "account.key"
	acmeAccountFile = "account.json"
)

func (s *acmeServer) accountDir() string {
	sum := sha256.Sum256([]byte(s.client.Directory))
	return s.env.Home.Path("acme", hex.EncodeToString(sum[:8]))
}

// accountKey is the key of the account, made if there is none.
func (s *acmeServer) accountKey() (key crypto.Signer, fresh bool, err error) {
	file := filepath.Join(s.accountDir(), acmeAccountKey)
	key, err = keys.ReadPrivate(file, keys.NoPassword)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	if key, err = (keys.Alg{Kty: "EC", Crv: "P-256"}).Generate(); err != nil {
		return nil, false, err
	}
	pem, err := keys.EncodePrivate(key)
	if err != nil {
		return nil, false, err
	}
	defer clear(pem)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, false, fmt.Errorf("make directory: %w", err)
	}
	// Of two commands that start at once, the one whose key arrives first makes the account.
	draft := fmt.Sprintf("%s.%d", file, os.Getpid())
	if err := durable.WriteFile(draft, pem, pairMode); err != nil {
		return nil, false, err
	}
	defer os.Remove(draft)
	err = os.Link(draft, file)
	if errors.Is(err, fs.ErrExist) {
		key, err = keys.ReadPrivate(file, keys.NoPassword)
		return key, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("store the key of the ACME account: %w", err)
	}
	return key, true, nil
}

// register finds the account of our key at the server, or makes one.
func (s *acmeServer) register(ctx context.Context) error {
	key, fresh, err := s.accountKey()
	if err != nil {
		return err
	}
	s.account = acme.Account{PrivateKey: key}
	if !fresh {
		found, err := s.client.GetAccount(ctx, s.account)
		if err == nil {
			s.account = found
			return errors.Join(s.placed(), s.keepContacts(ctx))
		}
		if p, ok := errors.AsType[acme.Problem](err); !ok || p.Type != acme.ProblemTypeAccountDoesNotExist {
			return err
		}
	}
	s.account.Contact = s.contacts()
	if err := s.introduce(ctx); err != nil {
		return err
	}
	made, err := s.client.NewAccount(ctx, s.account)
	if err != nil {
		return err
	}
	s.account = made
	if err := s.placed(); err != nil {
		return err
	}
	s.env.Done("ACME account", "%s", cut(made.Location))
	return s.remember()
}

// placed makes sure that the server said where the account is: every later request names it.
func (s *acmeServer) placed() error {
	if !strings.HasPrefix(s.account.Location, "https://") {
		return fmt.Errorf("the server does not say where the account is, but %q", s.account.Location)
	}
	return nil
}

// introduce adds to a new account what the server asks for: agreement, and the binding to an
// account elsewhere.
func (s *acmeServer) introduce(ctx context.Context) error {
	d, err := s.client.GetDirectory(ctx)
	if err != nil {
		return err
	}
	if d.Meta != nil && d.Meta.TermsOfService != "" {
		s.env.Note("This agrees to the terms of service at %s.", cut(d.Meta.TermsOfService))
		s.account.TermsOfServiceAgreed = true
	}
	id, key, ok, err := s.flags.eab()
	if err != nil {
		return err
	}
	if ok {
		return s.account.SetExternalAccountBinding(ctx, s.client, acme.EAB{KeyID: id, MACKey: key})
	}
	if d.Meta != nil && d.Meta.ExternalAccountRequired {
		return usagef("the ACME server wants its accounts bound to one elsewhere: give --eab-key-id and --eab-hmac-key, which its operator hands out")
	}
	return nil
}

func (s *acmeServer) contacts() []string {
	var all []string
	for _, c := range s.flags.contacts {
		if !strings.Contains(c, ":") {
			c = "mailto:" + c
		}
		all = append(all, c)
	}
	return all
}

// keepContacts tells the server of other contacts than it knows, if any are given.
func (s *acmeServer) keepContacts(ctx context.Context) error {
	want := s.contacts()
	if len(want) == 0 || slices.Equal(want, s.account.Contact) {
		return nil
	}
	ask := acme.Account{PrivateKey: s.account.PrivateKey, Location: s.account.Location, Contact: want}
	_, err := s.client.UpdateAccount(ctx, ask)
	return err
}

// remember writes down what the key beside it belongs to.
func (s *acmeServer) remember() error {
	data, err := json.MarshalIndent(map[string]any{
		"directory": s.client.Directory, "account": s.account.Location, "contact": s.account.Contact,
	}, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(s.accountDir(), acmeAccountFile), append(data, '\n'), pairMode)
}
