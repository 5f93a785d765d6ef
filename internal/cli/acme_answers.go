package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/signet-ca/signet/internal/challenge"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/strict"
)

// acmeAnswers answers the challenges of one order. What was put up is taken down at the end,
// whatever the server says in between.
type acmeAnswers struct {
	flags      *acmeWays
	env        *Env
	account    acme.Account
	thumbprint string
	asked      []acme.Identifier // without "*."
	wildcards  []string          // of them, those that were asked for with it
	failed     error             // why an answer could not be given

	mu     sync.Mutex
	site   *acmeSite   // http-01 by this command
	alpn   *acmeSocket // tls-alpn-01
	undo   []func(context.Context) error
	waited bool
}

func (s *acmeServer) newAnswers(names []acme.Identifier) (*acmeAnswers, error) {
	thumbprint, err := keys.Thumbprint(s.account.PrivateKey.Public())
	if err != nil {
		return nil, err
	}
	a := &acmeAnswers{flags: s.flags, env: s.env, account: s.account, thumbprint: thumbprint}
	for _, n := range names {
		bare, wildcard := strings.CutPrefix(n.Value, "*.")
		if wildcard && !s.flags.byDNS() {
			return nil, usagef("the wildcard name %s can be proved by DNS only: give --dns-hook", n.Value)
		}
		if wildcard {
			a.wildcards = append(a.wildcards, bare)
		}
		a.asked = append(a.asked, acme.Identifier{Type: n.Type, Value: bare})
	}
	if s.flags.webroot != "" {
		if !isDir(s.flags.webroot) {
			return nil, fmt.Errorf("the directory %s of --webroot does not exist", s.flags.webroot)
		}
	}
	return a, nil
}

// solvers are the ways to answer that the flags allow.
func (a *acmeAnswers) solvers() map[string]acmez.Solver {
	all := map[string]acmez.Solver{}
	if a.flags.webroot != "" {
		all["http-01"] = &acmeAnswer{a, a.putFile}
	}
	if a.flags.tlsALPN {
		all["tls-alpn-01"] = &acmeAnswer{a, a.listenTLS}
	}
	switch {
	case a.flags.dnsType == dnsPersist:
		all[dnsPersist] = &acmeAnswer{a, a.putLasting}
	case a.flags.dnsHook != "":
		all[a.flags.dnsType] = &acmeAnswer{a, a.putRecord}
	}
	if a.flags.standalone || len(all) == 0 {
		all["http-01"] = &acmeAnswer{a, a.listenHTTP}
	}
	return all
}

// acmeAnswer answers one type of challenge, as the library wants it.
type acmeAnswer struct {
	*acmeAnswers
	put func(context.Context, acme.Challenge) error
}

// Present puts the answer up.
func (a *acmeAnswer) Present(ctx context.Context, c acme.Challenge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.check(c)
	if err == nil {
		a.env.Note("Proving %s by %s.", c.Identifier.Value, c.Type)
		err = a.put(ctx, c)
	}
	if err != nil && a.failed == nil {
		a.failed = err
	}
	return err
}

// Wait gives DNS servers time to learn of the records, once for all of them.
func (a *acmeAnswer) Wait(ctx context.Context, c acme.Challenge) error {
	if a.waited || a.flags.dnsWait <= 0 || !strings.HasPrefix(c.Type, "dns-") {
		return nil
	}
	a.waited = true
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(a.flags.dnsWait):
		return nil
	}
}

// CleanUp leaves the answer up; everything goes at the end of the order.
func (a *acmeAnswer) CleanUp(context.Context, acme.Challenge) error { return nil }

// acmeToken is what RFC 8555, Section 8.1, allows: nothing that could be a path.
var acmeToken = strict.Pattern(`^[A-Za-z0-9_-]{1,256}$`)

// check refuses a challenge that a well-behaved server would not make, before anything of it
// becomes a file, a record or an environment variable.
func (a *acmeAnswers) check(c acme.Challenge) error {
	if !slices.Contains(a.asked, c.Identifier) {
		return fmt.Errorf("the ACME server asks for a proof of %q, which is not in the order", cut(c.Identifier.Value))
	}
	if c.Type == dnsPersist {
		return a.checkLasting(c)
	}
	if !acmeToken().MatchString(c.Token) || c.KeyAuthorization != c.Token+"."+a.thumbprint {
		return fmt.Errorf("the ACME server's challenge for %s is not one of RFC 8555", c.Identifier.Value)
	}
	return nil
}

// close takes down what was put up, even where the order was given up.
func (a *acmeAnswers) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookTimeout)
	defer cancel()
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []error
	for _, undo := range slices.Backward(a.undo) {
		all = append(all, undo(ctx))
	}
	return errors.Join(all...)
}

// putFile answers http-01 by a file that another web server serves.
func (a *acmeAnswers) putFile(_ context.Context, c acme.Challenge) error {
	// A root, since what lies below a web server's directory may belong to others.
	root, err := os.OpenRoot(a.flags.webroot)
	if err != nil {
		return err
	}
	defer root.Close()
	const dir = ".well-known/acme-challenge"
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory for the challenge: %w", err)
	}
	file := dir + "/" + c.Token
	if err := root.WriteFile(file, []byte(c.KeyAuthorization), 0o644); err != nil {
		return fmt.Errorf("write the challenge: %w", err)
	}
	a.undo = append(a.undo, func(context.Context) error {
		root, err := os.OpenRoot(a.flags.webroot)
		if err != nil {
			return err
		}
		defer root.Close()
		return root.Remove(file)
	})
	return nil
}

// acmeSite answers http-01 itself.
type acmeSite struct {
	mu      sync.Mutex
	answers map[string]string
}

func (s *acmeSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	answer, ok := s.answers[r.URL.Path]
	s.mu.Unlock()
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	fmt.Fprint(w, answer)
}

func (a *acmeAnswers) listenHTTP(ctx context.Context, c acme.Challenge) error {
	if a.site == nil {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.flags.httpListen)
		if err != nil {
			return fmt.Errorf("listen for the ACME server (choose another place with --http-listen, or use --webroot): %w", err)
		}
		a.site = &acmeSite{answers: map[string]string{}}
		server := &http.Server{Handler: a.site, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
		go func() { _ = server.Serve(l) }()
		a.undo = append(a.undo, func(context.Context) error { return server.Close() })
	}
	a.site.mu.Lock()
	defer a.site.mu.Unlock()
	a.site.answers[c.HTTP01ResourcePath()] = c.KeyAuthorization
	return nil
}

// putRecord answers dns-01 and dns-account-01 by a program.
func (a *acmeAnswers) putRecord(ctx context.Context, c acme.Challenge) error {
	record := c.DNS01TXTRecordName()
	if c.Type == "dns-account-01" {
		record = challenge.AccountLabel(a.account.Location) + "." + record
	}
	run := func(ctx context.Context, action string) error {
		return a.tellHook(ctx, action, record, c.DNS01KeyAuthorization(), c.Identifier.Value)
	}
	// Even a program that fails may have done half of its work.
	a.undo = append(a.undo, func(ctx context.Context) error { return run(ctx, "cleanup") })
	return run(ctx, "present")
}

// tellHook has a record added or removed.
func (a *acmeAnswers) tellHook(ctx context.Context, action, record, value, name string) error {
	return a.runHook(ctx, "SIGNET_ACME_ACTION="+action, "SIGNET_ACME_RECORD="+record, "SIGNET_ACME_VALUE="+value, "SIGNET_ACME_NAME="+name)
}

// runHook runs the program of --dns-hook. What the server sent reaches it as variables only:
// there is no shell that could take it for a command.
func (a *acmeAnswers) runHook(ctx context.Context, variables ...string) error {
	words, err := splitCommand(a.flags.dnsHook)
	if err != nil || len(words) == 0 {
		return usagef("flag --dns-hook names no command")
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasSuffix(name, "_EAB_HMAC_KEY") || strings.HasPrefix(name, "SIGNET_ACME_")
	}), variables...)
	cmd.Stdout, cmd.Stderr = a.env.Stderr, a.env.Stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %q: %w", a.flags.dnsHook, err)
	}
	return nil
}
