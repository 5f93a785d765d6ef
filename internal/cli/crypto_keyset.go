package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
)

// changeKeySet lets change work on the set in a file that nobody else may touch meanwhile.
func changeKeySet(name string, create bool, change func(*keys.JWKSet) error) error {
	mode := os.O_RDWR
	if create {
		mode |= os.O_CREATE
	}
	f, err := os.OpenFile(name, mode, 0o600)
	if err != nil {
		return fmt.Errorf("open key set: %w", err)
	}
	defer f.Close()
	if err := lockFile(f); err != nil {
		return fmt.Errorf("lock key set %s: %w", name, err)
	}
	set, err := readKeySet(f, name)
	if err != nil {
		return err
	}
	if err := change(set); err != nil {
		return err
	}
	data, err := set.Marshal()
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// The lock hangs on the file that stands at the name: another process may have replaced
	// it between our opening and our locking.
	if now, err := os.Stat(name); err != nil || !os.SameFile(info, now) {
		return fmt.Errorf("key set %s was changed by another process; try again", name)
	}
	return durable.WriteFile(name, data, info.Mode().Perm())
}

func readKeySet(r io.Reader, name string) (*keys.JWKSet, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInput))
	if err != nil {
		return nil, fmt.Errorf("read key set %s: %w", name, err)
	}
	set, err := keys.ParseJWKSet(data)
	if err != nil {
		return nil, fmt.Errorf("read key set %s: %w", name, err)
	}
	return set, nil
}

// openKeySet reads a set under the lock, for those who only look.
func openKeySet(name string) (*keys.JWKSet, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open key set: %w", err)
	}
	defer f.Close()
	if err := lockFile(f); err != nil {
		return nil, fmt.Errorf("lock key set %s: %w", name, err)
	}
	return readKeySet(f, name)
}

var errLocked = errors.New("another process uses it; try again when that is done")

func cryptoKeysetAdd() *command {
	return &command{
		short:    "add a key to a JWK set",
		long:     "Reads a JWK from standard input and adds it to the set. The file is made if it is missing.",
		args:     []arg{need("jwks-file", "file with the JWK set")},
		examples: []example{{"Publish a key", "signet crypto jwk keyset add jwks.json < jwk.pub.json"}},
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			data, err := env.readFile("-")
			if err != nil {
				return nil, err
			}
			return nil, changeKeySet(args[0], true, func(set *keys.JWKSet) error { return set.Add(data) })
		},
	}
}

func cryptoKeysetRemove() *command {
	var kid string
	return &command{
		short:    "remove a key from a JWK set",
		long:     "Removes the key with this ID from the set.",
		args:     []arg{need("jwks-file", "file with the JWK set")},
		examples: []example{{"Withdraw a key", "signet crypto jwk keyset remove jwks.json --kid 2030-01"}},
		flags: func(fs *flags) {
			fs.String(&kid, "kid", "id", "ID of the key")
			fs.Required("kid")
		},
		run: func(_ context.Context, _ *Env, args []string) (any, error) {
			return nil, changeKeySet(args[0], false, func(set *keys.JWKSet) error {
				if !set.Remove(kid) {
					return fmt.Errorf("key set %s has no key %q", args[0], kid)
				}
				return nil
			})
		},
	}
}

// keyIDs is the list of a set's keys.
type keyIDs struct {
	KeyIDs []string `json:"keyIDs" help:"ID of each key, empty for a key without one"`
}

func (k *keyIDs) Text() string { return strings.Join(k.KeyIDs, "\n") }

func cryptoKeysetList() *command {
	return &command{
		short:    "list the keys of a JWK set",
		long:     "Prints the ID of every key in the set, one a line.",
		args:     []arg{need("jwks-file", "file with the JWK set")},
		examples: []example{{"Which keys are published", "signet crypto jwk keyset list jwks.json"}},
		result:   &keyIDs{},
		run: func(_ context.Context, _ *Env, args []string) (any, error) {
			set, err := openKeySet(args[0])
			if err != nil {
				return nil, err
			}
			list := &keyIDs{KeyIDs: []string{}}
			for _, kid := range set.KeyIDs() {
				list.KeyIDs = append(list.KeyIDs, printable(kid))
			}
			return list, nil
		},
	}
}

func cryptoKeysetFind() *command {
	var kid string
	return &command{
		short:    "print one key of a JWK set",
		long:     "Finds the key with this ID in the set and prints it.",
		args:     []arg{need("jwks-file", "file with the JWK set")},
		examples: []example{{"Take a key out of a set", "signet crypto jwk keyset find jwks.json --kid 2030-01"}},
		flags: func(fs *flags) {
			fs.String(&kid, "kid", "id", "ID of the key")
			fs.Required("kid")
		},
		result: &jwkResult{},
		run: func(_ context.Context, _ *Env, args []string) (any, error) {
			set, err := openKeySet(args[0])
			if err != nil {
				return nil, err
			}
			jwk, err := set.Find(kid)
			if err != nil {
				return nil, err
			}
			return orError(newJWKResult(jwk))
		},
	}
}
