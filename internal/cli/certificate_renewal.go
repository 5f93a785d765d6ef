package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// Exit codes of needs-renewal that other commands don't have.
const (
	exitNoFile = 2
	exitBroken = 255
)

type needsRenewalResult struct {
	Due      bool      `json:"needsRenewal" help:"whether renewal is due"`
	DueAt    time.Time `json:"renewAt" help:"when it is due, RFC 3339"`
	NotAfter time.Time `json:"notAfter" help:"when the certificate expires, RFC 3339"`
	Subject  string    `json:"subject" help:"subject of the certificate that is due first"`
	verbose  bool
}

func (r *needsRenewalResult) Text() string {
	switch {
	case !r.verbose:
		return ""
	case r.Due:
		return "certificate needs renewal"
	}
	return "certificate does not need renewal"
}

func certificateNeedsRenewal() *command {
	f := struct {
		expiresIn       string
		bundle, verbose bool
		server          serverFlags
	}{}
	return &command{
		short: "tell whether a certificate should be renewed",
		long: `Exits with 0 if a certificate is due for renewal and with 1 if it is not. It is due when
			66% of its lifetime have passed, or as --expires-in says.`,
		args: []arg{need("file", "file or URL; - is standard input")},
		examples: []example{
			{"Renew a certificate when two thirds of its life are over", "signet certificate needs-renewal site.crt && signet ca renew --force site.crt site.key"},
			{"Tell whether a server's certificate expires within a month", "signet certificate needs-renewal https://example.com --expires-in 720h"},
		},
		flags: func(fs *flags) {
			fs.String(&f.expiresIn, "expires-in", "percent|duration", "due when so much of the lifetime has passed (such as 75%), or when no more than a duration is left").Preset("66%")
			fs.Bool(&f.bundle, "bundle", "look at all certificates; one that is due is enough")
			fs.Bool(&f.verbose, "verbose", "print the answer as text too").Alias("v")
			f.server.register(fs)
		},
		result: &needsRenewalResult{},
		exits: []exitNote{
			{0, "renewal is due"}, {1, "it is not due"}, {exitNoFile, "the file does not exist"}, {exitBroken, "it can't be told"},
		},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			rule, err := parseRenewalRule(f.expiresIn)
			if err != nil {
				return nil, exitWith(exitBroken, err)
			}
			f.server.expired = true
			certs, err := env.certificates(ctx, args[0], f.server)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, exitWith(exitNoFile, err)
			}
			if err != nil {
				return nil, exitWith(exitBroken, err)
			}
			if !f.bundle {
				certs = certs[:1]
			}
			result := rule.first(certs, env.Now())
			result.verbose = f.verbose
			if result.Due {
				return result, nil
			}
			return result, exitWith(exitFailure, nil)
		},
	}
}

// renewalRule says when a certificate is due: after a part of its lifetime, or a duration
// before its end.
type renewalRule struct {
	part float64 // 0 to 1, unless left
	left time.Duration
	abs  bool
}

func parseRenewalRule(s string) (renewalRule, error) {
	if s == "" {
		return renewalRule{part: 0.66}, nil
	}
	if number, ok := strings.CutSuffix(s, "%"); ok {
		percent, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return renewalRule{}, usagef("invalid value %q for flag --expires-in: 0%% to 100%% are possible", s)
		}
		return renewalRule{part: percent / 100}, nil
	}
	left, err := time.ParseDuration(s)
	if err != nil {
		return renewalRule{}, usagef("invalid value %q for flag --expires-in: a percentage such as 75%% or a duration such as 24h is needed", s)
	}
	return renewalRule{left: left, abs: true}, nil
}

// dueAt is when a certificate becomes due.
func (r renewalRule) dueAt(c *x509.Certificate) time.Time {
	if r.abs {
		return c.NotAfter.Add(-r.left)
	}
	// In seconds: a lifetime of centuries overflows a Duration.
	length := float64(c.NotAfter.Unix() - c.NotBefore.Unix())
	return time.Unix(c.NotBefore.Unix()+int64(length*r.part), 0).UTC()
}

// first is about the certificate that becomes due first.
func (r renewalRule) first(certs []*x509.Certificate, now time.Time) *needsRenewalResult {
	var result *needsRenewalResult
	for _, c := range certs {
		if at := r.dueAt(c); result == nil || at.Before(result.DueAt) {
			result = &needsRenewalResult{DueAt: at, NotAfter: c.NotAfter.UTC(), Subject: c.Subject.String()}
		}
	}
	result.Due = !now.Before(result.DueAt)
	return result
}
