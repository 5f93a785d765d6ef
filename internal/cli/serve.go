package cli

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/server"
)

// exitStart is the exit code of a server that could not start.
const exitStart = 2

type serveFlags struct {
	passwordFile, sshHostPasswordFile, sshUserPasswordFile, issuerPasswordFile string
	resolver, token, pidFile                                                   string
	acmeHTTPPort, acmeTLSPort                                                  int
	acmeStrictFQDN, insecure, strict, noMigrate, container                     bool
}

func (f *serveFlags) register(fs *flags) {
	fs.String(&f.passwordFile, "password-file", "file", "read the password of the issuing key (and of the SSH keys) from `file`")
	fs.String(&f.sshHostPasswordFile, "ssh-host-password-file", "file", "read the password of the SSH host key from `file`")
	fs.String(&f.sshUserPasswordFile, "ssh-user-password-file", "file", "read the password of the SSH user key from `file`")
	fs.String(&f.issuerPasswordFile, "issuer-password-file", "file", "read the password of the issuer key of a registration authority from `file`")
	fs.String(&f.resolver, "resolver", "address", "ask the DNS server at `address` (host:port) for every name")
	fs.String(&f.token, "token", "token", "token of a linked authority").Env("CA_TOKEN")
	fs.String(&f.pidFile, "pidfile", "file", "write the process ID to `file` while serving")
	fs.Int(&f.acmeHTTPPort, "acme-http-port", "port", "port for http-01 validation instead of 80")
	fs.Int(&f.acmeTLSPort, "acme-tls-port", "port", "port for tls-alpn-01 validation instead of 443")
	fs.Bool(&f.acmeStrictFQDN, "acme-strict-fqdn", "resolve names of ACME challenges as absolute names")
	fs.Bool(&f.insecure, "insecure", "allow the flags that weaken validation")
	fs.Bool(&f.strict, "strict", "refuse to start over unknown members and disabled provisioners")
	fs.Bool(&f.noMigrate, "no-migrate", "refuse to start, instead of changing it, if the database's schema is older than this program's")
	fs.Bool(&f.container, "container", "make a CA from the DOCKER_STEPCA_INIT variables first if there is none")
	fs.Insecure("acme-http-port", "acme-tls-port")
}

func serve() *command {
	f := new(serveFlags)
	return &command{
		short: "run the certificate authority",
		long: `Serves the CA that a configuration file describes until SIGTERM or SIGINT, then lets requests under
			way finish. SIGHUP reloads the configuration: the new one is built and checked before it is swapped in, and no
			connection is dropped; if it is not right the old one goes on.

			Without an argument the file is config/ca.json below the home directory.

			With --container the command is all that a container image needs. A CA is made first, if there is no
			configuration and the variables DOCKER_STEPCA_INIT_NAME and DOCKER_STEPCA_INIT_DNS_NAMES are set.
			CONFIGPATH and PWDPATH name the configuration and the password file, unless the command line does.`,
		args: []arg{may("config", "configuration file (ca.json)")},
		examples: []example{
			{"Serve the CA of the home directory", "signet serve --password-file password.txt"},
			{"Serve another configuration and refuse to start over any warning", "signet serve /etc/signet/ca.json --strict"},
		},
		exits: []exitNote{{1, "a mistake in the command line, or there is no configuration"}, {exitStart, "the configuration is wrong, or the server could not start"}},
		flags: f.register,
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			if f.container {
				var err error
				if args, err = f.inContainer(ctx, env, args); err != nil {
					return nil, err
				}
			}
			return nil, runServer(ctx, env, f, args)
		},
	}
}

func runServer(ctx context.Context, env *Env, f *serveFlags, args []string) error {
	file := env.Home.CAConfig()
	if len(args) > 0 {
		file = args[0]
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return exitWith(exitFailure, errors.New("there is no configuration at "+file+"; make a CA with `"+env.Name+" ca init`, or name the file"))
	}
	if f.token != "" {
		return exitWith(exitStart, errors.New("--token links the CA to a vendor's service, which this version does not do; leave it out"))
	}
	level := slog.LevelInfo
	if env.Log.Enabled(ctx, slog.LevelDebug) {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level}))
	if f.resolver != "" {
		if err := resolveWith(f.resolver); err != nil {
			return err
		}
	}
	password, err := env.serverPassword(f.passwordFile)
	if err != nil {
		return exitWith(exitStart, err)
	}
	var sshUser, sshHost []byte
	for _, p := range []struct {
		file string
		to   *[]byte
	}{{f.sshUserPasswordFile, &sshUser}, {f.sshHostPasswordFile, &sshHost}} {
		if p.file == "" {
			continue
		}
		if *p.to, err = keys.ReadPasswordFile(p.file); err != nil {
			return exitWith(exitStart, err)
		}
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	context := ""
	if c := env.Home.Context(); c != nil {
		context = c.Name
	}
	err = server.Run(ctx, server.Options{
		ConfigFile: file, Home: env.Home.Path(), Password: password, SSHUserPassword: sshUser, SSHHostPassword: sshHost, Prompt: env.password(ctx, "", "password-file"),
		Strict: f.strict, NoMigrate: f.noMigrate, Quiet: env.quiet, PIDFile: f.pidFile, Version: Version(),
		Context: context, Stderr: env.Stderr, Log: log, Getenv: env.Getenv, Reload: reload,
		ACMEHTTPPort: f.acmeHTTPPort, ACMETLSPort: f.acmeTLSPort, ACMEStrictFQDN: f.acmeStrictFQDN, Resolver: f.resolver,
	})
	if err != nil {
		return exitWith(exitStart, err)
	}
	return nil
}

// serverPassword reads the password given for the keys: from the flag's file, else from the
// service manager's credential of that name; nil if there is neither.
func (e *Env) serverPassword(file string) ([]byte, error) {
	if file == "" {
		dir := e.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, nil
		}
		file = filepath.Join(dir, "password")
		if _, err := os.Stat(file); err != nil {
			return nil, nil
		}
	}
	return keys.ReadPasswordFile(file)
}

// resolveWith sends every name lookup of the process to one DNS server.
func resolveWith(address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return errValue("resolver", address, "a host and port such as 10.0.0.53:53")
	}
	dialer := new(net.Dialer)
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}}
	return nil
}
