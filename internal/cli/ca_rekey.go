package cli

import (
	"cmp"
	"context"
	"crypto"
	"fmt"

	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
)

// rekeyFlags are the flags of ca rekey.
type rekeyFlags struct {
	freshFlags
	outCert, outKey, private string
	alg                      keyFlags
}

func caRekey() *command {
	f := new(rekeyFlags)
	return &command{
		short: "renew a certificate with a new key",
		long: `Gets the successor of a certificate for a new key: same names, as long valid, from now on. The certificate
			and its old key are the proof, shown to the CA in TLS, so they must not have expired.

			Certificate and key replace the old ones unless --out-cert and --out-key say otherwise. If the command is interrupted between the
			two, the next 'ca rekey' or 'ca renew' of the same files finishes its work. A key that was encrypted stays so, under the
			same password.

			With --daemon the command stays and does so whenever it is time, with a new key each time; see 'ca renew'.`,
		args: []arg{
			need("crt-file", "certificate to rekey, with its chain"),
			need("key-file", "its private key"),
		},
		examples: []example{
			{"New key and certificate in the old place", "signet ca rekey internal.crt internal.key --force"},
			{"Elsewhere, with an RSA key", "signet ca rekey internal.crt internal.key --out-cert new.crt --out-key new.key --kty RSA"},
			{"A new key every day", "signet ca rekey internal.crt internal.key --daemon --rekey-period 23h --exec \"systemctl reload web\""},
		},
		flags: func(fs *flags) {
			fs.String(&f.outCert, "out-cert", "file", "file to write the new certificate to").Preset("crt-file")
			fs.String(&f.outKey, "out-key", "file", "file to write the new key to").Preset("key-file")
			fs.String(&f.private, "private-key", "file", "use this key instead of making one; it is written nowhere, except to --out-key")
			f.alg.register(fs)
			f.register(fs, "rekey-period", "rekey")
			fs.Incompatible("private-key", "daemon", "kty", "curve", "size")
		},
		context: contextMust,
		result:  &freshResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return f.run(ctx, env, args[0], args[1])
		},
	}
}

// rekeying is one certificate and how it gets a new key.
type rekeying struct {
	*rekeyFlags
	env    *Env
	source *authority
	pair   *pair
}

func (f *rekeyFlags) run(ctx context.Context, env *Env, crtFile, keyFile string) (any, error) {
	p, err := f.readPair(ctx, env, crtFile, keyFile)
	if err != nil {
		return nil, err
	}
	switch {
	case p.kept && f.private == "" && f.outKey == "":
		return nil, usagef("the old key stays where it is, so say where the new one is or goes: --private-key or --out-key")
	case f.kept(f.private) && f.outKey != "":
		return nil, usagef("the key of --private-key stays where it is, so there is none to write to --out-key")
	}
	source, err := f.reach(ctx, env)
	if err != nil {
		return nil, err
	}
	r := &rekeying{rekeyFlags: f, env: env, source: source, pair: p}
	if f.outCert == "" {
		f.outCert = crtFile
	}
	files := []string{f.outCert}
	if f.private == "" || f.outKey != "" {
		f.outKey = cmp.Or(f.outKey, keyFile)
		files = append(files, f.outKey)
	}
	if f.outCert == f.outKey {
		return nil, usagef("certificate and key can't be the same file, %s", f.outKey)
	}
	j := &job{freshFlags: &f.freshFlags, env: env, act: "rekey", done: "rekeyed", files: files,
		pair: func() *pair { return r.pair }, replace: r.replace}
	return j.run(ctx, source, func() *freshResult {
		env.Note("The certificate has been saved in %s.", f.outCert)
		if f.outKey != "" {
			env.Note("The private key has been saved in %s.", f.outKey)
		}
		return &freshResult{certificateResult: *newCertificateResult(source, r.pair.chain, f.outCert, cmp.Or(f.outKey, f.private))}
	})
}

// replace gets a certificate for the next key and stores both.
func (r *rekeying) replace(ctx context.Context) error {
	if leaf := r.pair.chain[0]; r.env.Now().After(leaf.NotAfter) {
		return fmt.Errorf("the certificate expired at %s, so it can't get a new key; get a new certificate", When{Time: leaf.NotAfter})
	}
	key, err := r.nextKey(ctx)
	if err != nil {
		return err
	}
	csr, err := newRequest(key, "", nil)
	if err != nil {
		return err
	}
	chain, err := r.source.rekey(ctx, r.pair, csr)
	if err != nil {
		return err
	}
	next := &pair{crtFile: r.outCert, keyFile: r.outKey, chain: chain, key: key, password: r.pair.password}
	if r.outKey == "" {
		err = durable.WriteFile(r.outCert, keys.EncodeCertificates(chain...), pairMode)
	} else {
		err = next.store()
	}
	if err == nil {
		r.pair = next
	}
	return err
}

func (r *rekeying) nextKey(ctx context.Context) (crypto.Signer, error) {
	if r.private == "" {
		return r.alg.alg().Generate()
	}
	return r.openKey(ctx, r.env, r.private, r.env.password(ctx, r.passwordFile, "password-file"))
}
