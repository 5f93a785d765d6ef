package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"

	"github.com/signet-ca/signet"
)

// sshProxyFlags are the flags of ssh proxycommand: those of the login it may need.
type sshProxyFlags struct{ login sshLoginFlags }

func sshProxycommand() *command {
	f := new(sshProxyFlags)
	return &command{
		short: "connect ssh to a host, logging in first",
		long: `What ssh runs as its ProxyCommand, as 'ssh config' sets it up: gets a certificate into the ssh-agent if there is
			none that is valid, then connects to the host, through the CA's bastion if there is one.`,
		args: []arg{need("user", "account on the host"), need("host", "name of the host"), need("port", "port of its sshd")},
		examples: []example{
			{"In ~/.ssh/config", "ProxyCommand signet ssh proxycommand %r %h %p"},
		},
		flags: func(fs *flags) {
			f.login.register(fs)
		},
		context: contextMust,
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return nil, f.run(ctx, env, args[0], args[1], args[2])
		},
	}
}

func (f *sshProxyFlags) run(ctx context.Context, env *Env, user, host, port string) error {
	client, err := f.login.ca.client(env)
	if err != nil {
		return err
	}
	if err := f.ensureLogin(ctx, env, client, user); err != nil {
		return err
	}
	var bastion *signet.SSHBastion
	err = f.login.introduced(ctx, env, func(client *signet.Client) (err error) {
		bastion, err = client.SSHBastion(ctx, user, host)
		return err
	})
	if err != nil {
		return err
	}
	if bastion != nil && bastion.Hostname != "" {
		return throughBastion(ctx, env, bastion, [3]string{user, host, port})
	}
	return pipe(ctx, env, net.JoinHostPort(host, port))
}

// ensureLogin gets a certificate into the ssh-agent unless a valid one is there.
func (f *sshProxyFlags) ensureLogin(ctx context.Context, env *Env, client *signet.Client, user string) error {
	agent, err := env.openAgent()
	if err != nil {
		return err
	}
	defer agent.close()
	if roots := userRoots(ctx, &authority{client: client}); len(roots) > 0 {
		held, err := agent.valid(roots, env.Now())
		if err != nil || len(held) > 0 {
			return err
		}
	}
	f.login.identity = user
	source, err := f.login.authority(ctx, env)
	if err != nil {
		return err
	}
	_, err = f.login.login(ctx, env, source, agent)
	return err
}

// throughBastion lets ssh connect by way of a jump host.
func throughBastion(ctx context.Context, env *Env, b *signet.SSHBastion, to [3]string) error {
	// The command runs in a shell over there.
	for _, word := range append(to[:], b.Hostname) {
		if word == "" || strings.HasPrefix(word, "-") || strings.ContainsFunc(word, unsafeInShell) {
			return fmt.Errorf("%q cannot be passed on to the bastion %s", word, printable(b.Hostname))
		}
	}
	var args []string
	if b.User != "" {
		args = append(args, "-l", b.User)
	}
	if b.Port != "" {
		args = append(args, "-p", b.Port)
	}
	args = append(append(args, strings.Fields(b.Flags)...), b.Hostname)
	if b.Command == "" {
		args = append(args, "nc "+to[1]+" "+to[2])
	} else {
		args = append(args, strings.NewReplacer("%%", "%", "%r", to[0], "%h", to[1], "%p", to[2]).Replace(b.Command))
	}
	run := exec.CommandContext(ctx, "ssh", args...)
	run.Stdin, run.Stdout, run.Stderr = env.Stdin, env.Stdout, env.Stderr
	if err := run.Run(); err != nil {
		return fmt.Errorf("ssh to the bastion %s: %w", printable(b.Hostname), err)
	}
	return nil
}

func unsafeInShell(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-:@+%[]", r))
}

// pipe connects standard input and output with a server. The end of the input is passed on,
// and what the server still has to say after it is awaited.
func pipe(ctx context.Context, env *Env, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	go func() {
		if _, err := io.Copy(conn, env.Stdin); err != nil {
			return // the other direction ends too, and tells
		}
		if half, ok := conn.(*net.TCPConn); ok {
			_ = half.CloseWrite() // the server may have gone first
		}
	}()
	if _, err := io.Copy(env.Stdout, conn); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read from %s: %w", address, err)
	}
	return nil
}
