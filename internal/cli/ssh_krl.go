package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/krl"
)

// sshKRLFlags are the flags of ssh krl.
type sshKRLFlags struct {
	ca       caFlags
	watch    bool
	interval time.Duration
	keys     []string
	keyIDs   []string
}

// sshKRLResult is a list as it is.
type sshKRLResult struct {
	Version uint64    `json:"version" help:"number of the list, which grows with new revocations"`
	Latest  time.Time `json:"generated" help:"when the latest revocation on the list was made, RFC 3339"`
	File    string    `json:"file,omitempty" help:"file it was written to"`
	data    []byte
}

func (r *sshKRLResult) WriteTo(w io.Writer) (int64, error) {
	if r.File != "" {
		return 0, nil
	}
	n, err := w.Write(r.data)
	return int64(n), err
}

func sshKRL() *command {
	f := &sshKRLFlags{interval: time.Minute}
	return &command{
		short: "fetch the list of revoked SSH certificates",
		long: `Fetches the list of revoked SSH certificates in OpenSSH's format, for RevokedKeys in sshd_config and
			RevokedHostKeys in ssh_config. The file is replaced in one step and only by a list that is whole; while the CA cannot be
			reached the old one stays. sshd refuses everybody when the file of RevokedKeys is missing, so fetch it once before
			sshd is told of it.

			With --watch the list is kept up to date until the command is ended. Keys and key IDs of your own choice can be added,
			for hosts that lock out somebody before the CA does.`,
		args: []arg{may("file", "file to write; standard output without it")},
		examples: []example{
			{"Fetch the list once", "signet ssh krl /etc/ssh/revoked_keys"},
			{"Keep it up to date beside sshd", "signet ssh krl --watch /etc/ssh/revoked_keys"},
			{"Lock somebody out on this host", "signet ssh krl /etc/ssh/revoked_keys --key-id ann@example.com"},
		},
		flags: func(fs *flags) {
			fs.Bool(&f.watch, "watch", "keep the file up to date")
			fs.Duration(&f.interval, "interval", "how often to look, with --watch")
			fs.Strings(&f.keys, "key", "file", "also revoke this SSH public key")
			fs.Strings(&f.keyIDs, "key-id", "id", "also revoke all certificates with this key ID, of any CA")
			f.ca.register(fs)
			fs.Requires("interval", "watch")
		},
		context: contextMust,
		result:  &sshKRLResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			if f.watch && len(args) == 0 {
				return nil, usagef("flag --watch needs a file to write")
			}
			if f.interval < time.Second {
				return nil, errValue("interval", f.interval.String(), "1s or more")
			}
			client, err := f.ca.client(env)
			if err != nil {
				return nil, err
			}
			own, err := f.own(env)
			if err != nil {
				return nil, err
			}
			result, err := fetchKRL(ctx, client, own, append(args, "")[0])
			if f.watch {
				return nil, f.keep(ctx, env, func() (*sshKRLResult, error) { return fetchKRL(ctx, client, own, args[0]) }, err)
			}
			if err != nil {
				return nil, err
			}
			if result.File != "" {
				env.Done("Revoked Keys", "%s", result.File)
			}
			return result, nil
		},
	}
}

// own is what the flags add.
func (f *sshKRLFlags) own(env *Env) (*krl.List, error) {
	list := new(krl.List)
	if len(f.keyIDs) > 0 {
		list.CAs = []krl.Certificates{{KeyIDs: f.keyIDs}}
	}
	for _, file := range f.keys {
		key, _, err := env.readSSHKey(file)
		if err != nil {
			return nil, err
		}
		if cert, ok := key.(*ssh.Certificate); ok {
			key = cert.Key
		}
		list.Keys = append(list.Keys, sha256.Sum256(key.Marshal()))
	}
	return list, nil
}

// krlMode: sshd runs with the rights of several users, and the list is no secret.
const krlMode = 0o644

func fetchKRL(ctx context.Context, client *signet.Client, own *krl.List, file string) (*sshKRLResult, error) {
	data, err := client.SSHKRL(ctx)
	if err != nil {
		return nil, notForSSH(err)
	}
	data, err = krl.Append(data, own)
	if err != nil {
		return nil, fmt.Errorf("read the CA's list of revoked keys: %w", err)
	}
	header, err := krl.Parse(data)
	if err != nil {
		return nil, err
	}
	result := &sshKRLResult{Version: header.Version, Latest: header.Generated, File: file, data: data}
	if file == "" {
		return result, nil
	}
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, data) {
		return result, nil
	}
	return result, durable.WriteFile(file, data, krlMode)
}

// keep fetches again and again. What fails is told and tried again: the list in place is
// older, but better than none.
func (f *sshKRLFlags) keep(ctx context.Context, env *Env, fetch func() (*sshKRLResult, error), err error) error {
	tick := time.NewTicker(f.interval)
	defer tick.Stop()
	for {
		if err != nil && ctx.Err() == nil {
			env.Warn("the list of revoked keys is not up to date: %v", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_, err = fetch()
		}
	}
}
