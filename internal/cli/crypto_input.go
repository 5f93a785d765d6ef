package cli

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/keys"
)

// unlock runs read with a source of passwords. A wrong password that was typed is asked
// again; one from a file is not going to change.
func (e *Env) unlock(ctx context.Context, file string, read func(keys.Password) error) error {
	asked := false
	password := func(what string) ([]byte, error) {
		asked = true
		return e.password(ctx, file, "password-file")(what)
	}
	for try := 1; ; try++ {
		err := read(password)
		if file != "" || !asked || try == passwordTries || !errors.Is(err, keys.ErrPassword) {
			return err
		}
		e.Note("That password is wrong; %d of %d tries are left.", passwordTries-try, passwordTries)
	}
}

// someKey is a key in one of its two halves, with how it was stored.
type someKey struct {
	private  crypto.Signer // nil if only the public half was given
	public   crypto.PublicKey
	password []byte // it was encrypted under; nil if it was not
}

// parseKey reads a private or public key in any form.
func (e *Env) parseKey(ctx context.Context, data []byte, what, passwordFile string) (*someKey, error) {
	k := new(someKey)
	err := e.unlock(ctx, passwordFile, func(pw keys.Password) (err error) {
		k.private, err = keys.ParsePrivate(data, what, func(what string) ([]byte, error) {
			password, err := pw(what)
			k.password = password
			return password, err
		})
		return err
	})
	if err == nil {
		k.public = k.private.Public()
		return k, nil
	}
	public, perr := keys.ParsePublic(data)
	if perr == nil {
		k.public, k.password = public, nil
		return k, nil
	}
	if block, _ := pem.Decode(data); block != nil && !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, fmt.Errorf("key %s: %w", what, perr)
	}
	return nil, err
}

// inputName is how messages call the input that is positional argument i.
func inputName(args []string, i int) string {
	if i < len(args) && args[i] != "-" {
		return args[i]
	}
	return "standard input"
}

// joseKey are the flags that choose the key of a JOSE command.
type joseKey struct {
	key, jwks, kid, passwordFile string
}

func (k *joseKey) register(fs *flags, whose string, aliases ...string) {
	fs.String(&k.key, "key", "file", whose+": JWK, encrypted JWK or PEM, from a `file` or an https URL").Alias(aliases...)
	fs.String(&k.jwks, "jwks", "file", "JWK set with "+whose+", from a `file` or an https URL")
	fs.String(&k.kid, "kid", "id", "ID of the key, which chooses it in --jwks")
	fs.String(&k.passwordFile, "password-file", "file", "`file` with the password of an encrypted key")
	fs.Exclusive("key", "jwks")
}

// open reads the key. fallback is the kid that a message itself names, for --jwks without
// --kid. With a secret algorithm, a file in no known form is the secret.
func (k *joseKey) open(ctx context.Context, env *Env, fallback string, secret bool) (*jose.JSONWebKey, error) {
	name := k.key
	if name == "" {
		name = k.jwks
	}
	data, err := env.readSource(ctx, name)
	if err != nil {
		return nil, err
	}
	if k.jwks != "" {
		return k.find(data, fallback)
	}
	var jwk *jose.JSONWebKey
	err = env.unlock(ctx, k.passwordFile, func(pw keys.Password) (err error) {
		jwk, err = keys.ParseAsJWK(data, name, pw)
		return err
	})
	if err != nil && secret && !errors.Is(err, keys.ErrPassword) && len(data) > 0 {
		return &jose.JSONWebKey{Key: data}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	if k.kid != "" && jwk.KeyID != "" && k.kid != jwk.KeyID {
		return nil, fmt.Errorf("the key in %s has the ID %q and not %q", name, jwk.KeyID, k.kid)
	}
	return jwk, nil
}

func (k *joseKey) find(data []byte, fallback string) (*jose.JSONWebKey, error) {
	set, err := keys.ParseJWKSet(data)
	if err != nil {
		return nil, fmt.Errorf("read key set %s: %w", k.jwks, err)
	}
	kid := k.kid
	if kid == "" {
		kid = fallback
	}
	if kid == "" {
		return nil, errRequires("jwks", "kid")
	}
	jwk, err := set.Find(kid)
	if err != nil {
		return nil, fmt.Errorf("find key in %s: %w", k.jwks, err)
	}
	return jwk, nil
}

// maxFetched bounds what is read from a URL.
const maxFetched = 4 << 20

// readSource reads a file or an https URL; plain http would let anybody choose the key.
func (e *Env) readSource(ctx context.Context, name string) ([]byte, error) {
	scheme, _, isURL := strings.Cut(name, "://")
	switch {
	case isURL && strings.EqualFold(scheme, "https"):
		return fetchKey(ctx, name)
	case isURL && strings.EqualFold(scheme, "http"):
		return nil, fmt.Errorf("read %s: keys are read over https only", name)
	}
	return e.readFile(name)
}

func fetchKey(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	client := &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != "https" || len(via) > 5 {
				return errors.New("the server redirects too often, or away from https")
			}
			return nil
		},
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read %s: the server answers %s", url, answer.Status)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxFetched+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", url, err)
	}
	if len(data) > maxFetched {
		return nil, fmt.Errorf("read %s: the answer is larger than %d MiB", url, maxFetched>>20)
	}
	return data, nil
}

// hasData reports whether standard input is a file or a pipe, and so perhaps carries data;
// a terminal is never waited for.
func (e *Env) hasData() bool {
	f, ok := e.Stdin.(*os.File)
	if !ok {
		return e.Stdin != nil
	}
	info, err := f.Stat()
	return err == nil && (info.Mode().IsRegular() || info.Mode()&os.ModeNamedPipe != 0)
}

// orError is what run returns of a value and an error: no value beside an error.
func orError[T any](value *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return value, nil
}

// bytesResult is written as it is, without a line end; in JSON it is base64.
type bytesResult struct {
	Data []byte `json:"data" help:"the bytes, base64"`
}

func (b *bytesResult) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.Data)
	return int64(n), err
}

// indented is JSON as it stands in key files: two blanks, no line end after it.
func indented(compact []byte) ([]byte, error) {
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func jwkFile(k *jose.JSONWebKey) ([]byte, error) {
	compact, err := keys.MarshalJWK(k)
	if err != nil {
		return nil, err
	}
	return indented(compact)
}
