package cli

import (
	"context"
	"crypto/x509"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
)

// freshFlags are what the commands share that replace a certificate by its successor.
type freshFlags struct {
	siteFlags
	schedule schedule
	daemon   bool
	hook     hookFlags
	force    bool
}

func (f *freshFlags) register(fs *flags, period, act string) {
	fs.Duration(&f.schedule.expiresIn, "expires-in", act+" only when less than this is left; a random twentieth is added")
	fs.Duration(&f.schedule.period, period, "with --daemon, "+act+" this often instead of when a third of the validity is left")
	fs.Bool(&f.daemon, "daemon", "keep running and "+act+" whenever it is time; implies --force")
	f.hook.register(fs)
	f.siteFlags.register(fs, "the private key; with --offline of the CA's key")
	fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
	fs.Incompatible("expires-in", period)
	fs.Requires(period, "daemon")
	fs.Check(func(given func(string) bool) error {
		for name, d := range map[string]time.Duration{"expires-in": f.schedule.expiresIn, period: f.schedule.period} {
			if given(name) && d <= 0 {
				return errValue(name, d.String())
			}
		}
		return nil
	})
}

// freshResult is the outcome of a renewal.
type freshResult struct {
	certificateResult
	Done      bool   `json:"renewed" help:"whether there is a new certificate; if not, the members describe the old one"`
	ExpiresIn string `json:"expiresIn,omitempty" help:"time left, if there is no new certificate"`

	text string
}

func (r *freshResult) Text() string { return r.text }

// renewFlags are the flags of ca renew.
type renewFlags struct {
	freshFlags
	mtls    bool
	outFile string
	acme    acmeWays
}

func caRenew() *command {
	f := &renewFlags{mtls: true}
	return &command{
		short: "renew a certificate",
		long: `Gets the successor of a certificate: same key, same names, as long valid, from now on. The certificate itself
			is the proof, shown to the CA as TLS client certificate. One that has expired is shown in a token signed by its key,
			if its provisioner allows renewal after expiry; so is any with --mtls=false.

			With --daemon the command stays and renews whenever it is time: when a third of the validity is left, or as
			--expires-in or --renew-period say, less a random share, so that many machines do not come at once. If the CA can't be reached it
			tries again, first after seconds, then after up to five minutes. SIGHUP renews now, SIGINT and SIGTERM end the command.
			The file is replaced in one step: readers find the old certificate or the new one, never half of one.

			If the certificate came by ACME the CA is asked when it wants the renewal (RFC 9773), and that decides where neither
			--expires-in nor --renew-period is given; it can bring the renewal forward in any case. With --acme the successor
			comes from that server by a new order, and the names are proved again.

			After each renewal the process in --pid or --pid-file gets a signal, and then the command in --exec is run.`,
		args: []arg{
			need("crt-file", "certificate to renew, with its chain"),
			need("key-file", "its private key"),
		},
		examples: []example{
			{"Renew a certificate in its place", "signet ca renew internal.crt internal.key --force"},
			{"From cron: renew when less than eight hours are left", "signet ca renew internal.crt internal.key --expires-in 8h --force"},
			{"Keep a certificate fresh and let nginx know", "signet ca renew internal.crt internal.key --daemon --exec \"nginx -s reload\""},
			{"Keep a certificate of an ACME server fresh", "signet ca renew web.crt web.key --daemon --acme https://acme.example.net/directory --webroot /var/www/html"},
			{"Write the new certificate elsewhere", "signet ca renew internal.crt internal.key --out renewed.crt"},
		},
		flags: func(fs *flags) {
			fs.Bool(&f.mtls, "mtls", "show the certificate in TLS; with --mtls=false in a token")
			fs.String(&f.outFile, "out", "file", "file to write the new certificate to").Alias("output-file").Preset("crt-file")
			f.register(fs, "renew-period", "renew")
			f.acme.register(fs)
			for _, name := range acmeOwn[1:] {
				fs.Requires(name, "acme")
			}
		},
		context: contextMust,
		result:  &freshResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return f.run(ctx, env, args[0], args[1])
		},
	}
}

// renewing is one certificate and how it is renewed.
type renewing struct {
	*renewFlags
	env    *Env
	source *authority
	server *acmeServer // of --acme, or nil
	pair   *pair
}

func (f *renewFlags) run(ctx context.Context, env *Env, crtFile, keyFile string) (any, error) {
	if f.outFile == "" {
		f.outFile = crtFile
	}
	p, err := f.readPair(ctx, env, crtFile, keyFile)
	if err != nil {
		return nil, err
	}
	r := &renewing{renewFlags: f, env: env, pair: p}
	if f.acme.directory != "" {
		if r.server, err = f.acme.acmeByURL(env, &f.ca); err == nil {
			r.source = &authority{site: f.acme.directory}
		}
	} else {
		r.source, err = f.reach(ctx, env)
	}
	if err != nil {
		return nil, err
	}
	source := r.source
	adviser, err := f.adviserFor(env, source, p.chain[0])
	if err != nil {
		return nil, err
	}
	j := &job{freshFlags: &f.freshFlags, env: env, act: "renewal", done: "renewed", files: []string{f.outFile},
		pair: func() *pair { return r.pair }, replace: r.replace}
	if adviser != nil {
		j.advise = func(ctx context.Context) (*advice, error) { return adviser.ask(ctx, r.pair.chain[0], env.Now()) }
	}
	return j.run(ctx, source, func() *freshResult {
		env.Note("The certificate has been saved in %s.", f.outFile)
		return &freshResult{certificateResult: *newCertificateResult(source, r.pair.chain, f.outFile, keyFile)}
	})
}

// replace gets the successor and stores it.
func (r *renewing) replace(ctx context.Context) error {
	r.reread()
	chain, err := r.successor(ctx)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(r.outFile, keys.EncodeCertificates(chain...), pairMode); err != nil {
		return err
	}
	r.pair.chain = chain
	return nil
}

func (r *renewing) successor(ctx context.Context) ([]*x509.Certificate, error) {
	if r.server != nil {
		return r.server.renewal(ctx, r.pair)
	}
	return r.source.renew(ctx, r.pair, r.mtls, r.env.Now())
}

// reread takes up what somebody else put in the files since the last time. What can't be
// read, or asks for a password nobody is there to give, is no reason to stop.
func (r *renewing) reread() {
	if r.outFile != r.pair.crtFile {
		return // the certificate in force is not the one in the file
	}
	if r.pair.kept { // whose key does not change
		if chain, err := keys.ReadCertificates(r.pair.crtFile); err == nil && keys.SamePublicKey(chain[0].PublicKey, r.pair.key.Public()) {
			r.pair.chain = chain
		}
		return
	}
	password := keys.NoPassword
	if r.pair.password != nil {
		password = keys.FixedPassword(r.pair.password)
	}
	if p, err := readPair(r.pair.crtFile, r.pair.keyFile, password); err == nil {
		r.pair = p
	}
}

// job is the part that renewal and rekey share: now if it is due, or as a daemon.
type job struct {
	*freshFlags
	env       *Env
	act, done string
	files     []string // written, so asked about
	pair      func() *pair
	replace   func(context.Context) error
	advise    func(context.Context) (*advice, error) // when the CA wants it; nil: nobody says
}

// wanted reports whether the CA wants it now, whatever the schedule says.
func (j *job) wanted(ctx context.Context) bool {
	if j.advise == nil {
		return false
	}
	a, err := j.advise(ctx)
	if err != nil {
		j.env.Log.Warn("the CA does not say when it wants the certificate renewed", "err", err)
		return false
	}
	return !a.due.IsZero() && !a.due.After(j.env.Now())
}

func (j *job) run(ctx context.Context, source *authority, result func() *freshResult) (any, error) {
	leaf := j.pair().chain[0]
	if err := j.schedule.check(leaf.NotAfter.Sub(leaf.NotBefore)); err != nil {
		return nil, usagef("%v", err)
	}
	if j.daemon {
		j.keep(ctx)
		return nil, nil
	}
	if !j.schedule.due(leaf.NotAfter, j.env.Now(), randomSpread) && !j.wanted(ctx) {
		left := round(leaf.NotAfter.Sub(j.env.Now())).String()
		r := &freshResult{ExpiresIn: left, text: "certificate not " + j.done + ": expires in " + left}
		r.certificateResult = *newCertificateResult(source, j.pair().chain, j.pair().crtFile, j.pair().keyFile)
		return r, nil
	}
	if err := j.env.confirmOverwrite(ctx, j.force, j.files...); err != nil {
		return nil, err
	}
	if err := j.replace(ctx); err != nil {
		return nil, err
	}
	r := result()
	r.Done = true
	return r, j.hook.run(ctx, j.env)
}

// keep is the daemon. It ends with ctx, which is how it is meant to end.
func (j *job) keep(ctx context.Context) {
	hurry := make(chan os.Signal, 1)
	signal.Notify(hurry, syscall.SIGHUP)
	defer signal.Stop(hurry)
	now := func() fresh {
		leaf := j.pair().chain[0]
		return fresh{name: leaf.Subject.CommonName, notBefore: leaf.NotBefore, notAfter: leaf.NotAfter}
	}
	d := newDaemon(j.env.Stdout, j.env.Stderr)
	d.act, d.done, d.schedule, d.now, d.hurry = j.act, j.done, j.schedule, j.env.Now, hurry
	d.replace = func(ctx context.Context) (fresh, error) {
		err := j.replace(ctx)
		return now(), err
	}
	d.advise = j.advise
	d.after = func(ctx context.Context) error { return j.hook.run(ctx, j.env) }
	d.run(ctx, now())
}
