package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet"
)

// sshLogoutResult is what an agent no longer has.
type sshLogoutResult struct {
	Removed []string `json:"removed" help:"comments of the keys that were removed"`
	text    string
}

func (r *sshLogoutResult) Text() string { return r.text }

func sshLogout() *command {
	f := struct {
		ca  caFlags
		all bool
	}{}
	return &command{
		short: "remove SSH certificates from the ssh-agent",
		long: `Removes the keys with a certificate of this CA from the ssh-agent: those of an identity, or without one all
			of them. Where the CA cannot be asked for its keys, certificates of any CA count.

			With --all and no identity the agent is emptied, of other keys too.`,
		args: []arg{may("identity", "whose keys to remove: their comment")},
		examples: []example{
			{"Log out", "signet ssh logout ann@example.com"},
			{"Remove every key from the ssh-agent", "signet ssh logout --all"},
		},
		flags: func(fs *flags) {
			fs.Bool(&f.all, "all", "remove all keys of the identity; without an identity every key, of whatever origin")
			f.ca.register(fs)
		},
		result: &sshLogoutResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			agent, err := env.openAgent()
			if err != nil {
				return nil, err
			}
			defer agent.close()
			if len(args) == 0 && f.all {
				if err := agent.RemoveAll(); err != nil {
					return nil, fmt.Errorf("empty the ssh-agent: %w", err)
				}
				return &sshLogoutResult{text: "All identities removed."}, nil
			}
			var roots []ssh.PublicKey
			if client, err := f.ca.client(env); err == nil {
				roots = userRoots(ctx, &authority{client: client})
			}
			return logout(agent, roots, args)
		},
	}
}

func logout(agent *sshAgent, roots []ssh.PublicKey, identity []string) (any, error) {
	held, err := agent.certificates(roots)
	if err != nil {
		return nil, err
	}
	result := &sshLogoutResult{text: "Identity not found", Removed: []string{}}
	var lines []string
	for _, c := range held {
		if len(identity) > 0 && c.comment != identity[0] {
			continue
		}
		if err := agent.Remove(c.key); err != nil {
			return nil, fmt.Errorf("remove %s from the ssh-agent: %w", c.comment, err)
		}
		result.Removed = append(result.Removed, c.comment)
		lines = append(lines, "Identity removed: "+printable(c.comment))
	}
	if len(lines) > 0 {
		result.text = strings.Join(lines, "\n")
	}
	return result, nil
}

type sshListResult struct {
	Keys []sshListed `json:"keys" help:"keys of the ssh-agent"`
	raw  bool
}

type sshListed struct {
	Fingerprint string `json:"fingerprint" help:"SHA-256 of the key, as ssh-keygen shows it"`
	Bits        int    `json:"bits" help:"size of the key"`
	Type        string `json:"type" help:"kind of key or certificate"`
	Comment     string `json:"comment" help:"comment of the key"`
	Line        string `json:"line" help:"the key as a line of authorized_keys"`
}

func (r *sshListResult) Text() string {
	var b strings.Builder
	for _, k := range r.Keys {
		if r.raw {
			b.WriteString(k.Line + "\n")
		} else {
			fmt.Fprintf(&b, "%d %s %s (%s)\n", k.Bits, k.Fingerprint, printable(k.Comment), k.Type)
		}
	}
	return b.String()
}

func sshList() *command {
	raw := false
	return &command{
		short: "list the keys of the ssh-agent",
		long:  "Lists the keys and certificates that the ssh-agent holds, or those with one comment.",
		args:  []arg{may("subject", "list only keys with this comment")},
		examples: []example{
			{"List all keys", "signet ssh list"},
			{"As lines of authorized_keys", "signet ssh list --raw ann@example.com"},
		},
		flags:  func(fs *flags) { fs.Bool(&raw, "raw", "print lines of authorized_keys") },
		result: &sshListResult{},
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			agent, err := env.openAgent()
			if err != nil {
				return nil, err
			}
			defer agent.close()
			held, err := agent.List()
			if err != nil {
				return nil, fmt.Errorf("ask the ssh-agent: %w", err)
			}
			result := &sshListResult{raw: raw, Keys: []sshListed{}}
			for _, k := range held {
				if len(args) > 0 && k.Comment != args[0] {
					continue
				}
				key, err := ssh.ParsePublicKey(k.Blob)
				if err != nil {
					continue // of a kind not known here
				}
				result.Keys = append(result.Keys, sshListed{Fingerprint: sshFingerprintOf(key), Bits: sshBits(key),
					Type: sshTypeName(key), Comment: k.Comment, Line: strings.TrimSpace(string(sshLine(key, k.Comment)))})
			}
			return result, nil
		},
	}
}

type sshHostsResult struct {
	Hosts []sshHostListed `json:"hosts" help:"hosts with a valid certificate"`
}

type sshHostListed struct {
	Name string   `json:"hostname" help:"name of the host"`
	ID   string   `json:"id" help:"ID of the host, where an inventory has one"`
	Tags []string `json:"tags" help:"what an inventory says about it, as name=value"`
}

func (r *sshHostsResult) Text() string {
	width := len("HOSTNAME")
	for _, h := range r.Hosts {
		width = max(width, len(h.Name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s  %s  %s\n", width, "HOSTNAME", "ID", "TAGS")
	for _, h := range r.Hosts {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-*s  %s  %s", width, printable(h.Name), printable(h.ID), printable(strings.Join(h.Tags, ","))), " ") + "\n")
	}
	return b.String()
}

func sshHosts() *command {
	f := new(sshLoginFlags)
	return &command{
		short:    "list the hosts that have an SSH certificate",
		long:     "Lists the names in host certificates of the CA that are neither expired nor revoked.",
		examples: []example{{"List all hosts", "signet ssh hosts"}},
		flags:    f.registerLogin,
		context:  contextMust,
		result:   &sshHostsResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			var hosts []signet.SSHHost
			err := f.introduced(ctx, env, func(client *signet.Client) (err error) {
				hosts, err = client.SSHHosts(ctx)
				return err
			})
			if err != nil {
				return nil, err
			}
			result := &sshHostsResult{Hosts: []sshHostListed{}}
			for _, h := range hosts {
				listed := sshHostListed{Name: h.Name, ID: h.ID, Tags: []string{}}
				for _, tag := range h.Tags {
					listed.Tags = append(listed.Tags, tag.Name+"="+tag.Value)
				}
				result.Hosts = append(result.Hosts, listed)
			}
			return result, nil
		},
	}
}

type sshCheckHostResult struct {
	Exists  bool `json:"exists" help:"whether the host has a certificate"`
	verbose bool
}

func (r *sshCheckHostResult) Text() string {
	if !r.verbose {
		return ""
	}
	return fmt.Sprint(r.Exists)
}

func sshCheckHost() *command {
	f := struct {
		sshLoginFlags
		verbose bool
	}{}
	return &command{
		short: "tell whether a host has an SSH certificate",
		long: `Exits with 0 if the CA has certified the host and the certificate is valid, else with 1. ssh asks this to
			know for which hosts it should use the CA's settings.`,
		args:     []arg{need("host", "name of the host")},
		examples: []example{{"Ask about a host", "signet ssh check-host db1.example.com --verbose"}},
		flags: func(fs *flags) {
			fs.Bool(&f.verbose, "verbose", "print true or false too").Alias("v")
			f.registerLogin(fs)
		},
		context: contextMust,
		result:  &sshCheckHostResult{},
		exits:   []exitNote{{0, "the host has a certificate"}, {1, "it has none, or it can't be told"}},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			exists := false
			err := f.introduced(ctx, env, func(client *signet.Client) (err error) {
				exists, err = client.SSHCheckHost(ctx, args[0], env.checkHostToken(ctx, client, args[0]))
				return err
			})
			if err != nil {
				return nil, err
			}
			result := &sshCheckHostResult{exists, f.verbose}
			if !exists {
				return result, exitWith(exitFailure, nil)
			}
			return result, nil
		},
	}
}

// errNotHost is what commands about hosts say of users' certificates.
var errNotHost = errors.New("only host certificates are renewed; get a new user certificate with 'ssh certificate' or 'ssh login'")
