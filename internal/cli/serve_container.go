package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
)

// containerPassword is the length of a password that is made for a container: 238 bits.
const containerPassword = 40

// unfinished is the file that exists while the CA of a container is being made. It tells a
// start after a crash that the files beside it are nobody's.
const unfinished = ".init-unfinished"

// containerValues are the variables that become a flag of ca init when they are set, or by
// their preset.
var containerValues = []struct{ variable, preset, flag string }{
	{"NAME", "", "name"},
	{"DNS_NAMES", "", "dns"},
	{"PROVISIONER_NAME", "admin", "provisioner"},
	{"ADDRESS", ":9000", "address"},
	{"DEPLOYMENT_TYPE", "", "deployment-type"},
	{"WITH_CA_URL", "", "with-ca-url"},
}

// containerFiles are the variables that become a flag of ca init if the file exists.
var containerFiles = []struct{ variable, preset, flag string }{
	{"ROOT_FILE", "/run/secrets/root_ca.crt", "root"},
	{"KEY_FILE", "/run/secrets/root_ca_key", "key"},
	{"KEY_PASSWORD_FILE", "/run/secrets/root_ca_key_password", "key-password-file"},
}

// container makes a CA from the variables of a container, as the entry point of step-ca's
// image does, and without a shell.
type container struct {
	env      *Env
	password string // file where the password of the keys comes to lie
}

// inContainer makes the CA of a container if there is none yet, and completes what the
// server is started with from the variables of the image.
func (f *serveFlags) inContainer(ctx context.Context, env *Env, args []string) ([]string, error) {
	c := &container{env: env, password: cmp.Or(env.Getenv("PWDPATH"), f.passwordFile, env.Home.Path("secrets", "password"))}
	if err := c.prepare(ctx); err != nil {
		return nil, exitWith(exitStart, fmt.Errorf("make the CA of the container: %w", err))
	}
	if name := env.Getenv("CONFIGPATH"); len(args) == 0 && name != "" {
		args = []string{name}
	}
	if f.passwordFile == "" && exists(c.password) {
		f.passwordFile = c.password
	}
	return args, nil
}

func (c *container) variable(name string) string { return c.env.Getenv("DOCKER_STEPCA_INIT_" + name) }

// prepare makes the CA once. Two containers on one volume are kept apart by a lock; the one
// that comes late fails, and finds the CA when it is started again.
func (c *container) prepare(ctx context.Context) error {
	config := c.env.Home.CAConfig()
	if exists(config) {
		return nil
	}
	if c.variable("NAME") == "" || c.variable("DNS_NAMES") == "" {
		c.env.Note("there is no configuration at %s; set DOCKER_STEPCA_INIT_NAME and DOCKER_STEPCA_INIT_DNS_NAMES to have a CA made", config)
		return nil
	}
	marker := c.env.Home.Path(unfinished)
	if err := makeDirs(marker); err != nil {
		return err
	}
	again := exists(marker)
	lock, err := os.OpenFile(marker, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	switch err := lockFile(lock); {
	case errors.Is(err, errLocked):
		return errors.New("another process is making it; start again when it is done")
	case err != nil:
		return fmt.Errorf("lock %s: %w", marker, err)
	case exists(config):
		return nil
	}
	if !again {
		if err := c.refuseLeftovers(); err != nil {
			return errors.Join(err, os.Remove(marker))
		}
	}
	if err := c.init(ctx); err != nil {
		return err
	}
	return os.Remove(marker)
}

// refuseLeftovers protects the keys of a CA whose configuration was lost: making a new one
// would overwrite them.
func (c *container) refuseLeftovers() error {
	home := c.env.Home
	for _, file := range []string{home.Path("secrets", "root_ca_key"), home.Path("secrets", "intermediate_ca_key"), home.RootFile()} {
		given := slices.Contains([]string{c.variable("ROOT_FILE"), c.variable("KEY_FILE")}, file)
		if !given && exists(file) {
			return fmt.Errorf("%s exists, but %s does not: bring the configuration back, or move the files of the old CA away", file, home.CAConfig())
		}
	}
	return nil
}

// init runs `ca init` with the flags that the variables stand for, so that a container obeys
// the same rules as everybody.
func (c *container) init(ctx context.Context) error {
	password, provisioner, err := c.passwords(ctx)
	if err != nil {
		return err
	}
	if err := c.keepPassword(password); err != nil {
		return err
	}
	args := append([]string{"ca", "init", "--force", "--password-file=" + c.password}, c.flags()...)
	env := *c.env
	if provisioner != "" {
		// Standard input, since the password of the provisioner is to lie in no file.
		args = append(args, "--provisioner-password-file=-")
		env.Stdin = strings.NewReader(provisioner)
	}
	call, err := resolve(tree(env.Name), args)
	if err != nil {
		return err
	}
	if err := call.execute(ctx, &env); err != nil {
		return err
	}
	if provisioner != "" {
		c.tell(provisioner)
	}
	return nil
}

// flags are the flags of ca init that the variables ask for.
func (c *container) flags() []string {
	var args []string
	for _, v := range containerValues {
		if value := cmp.Or(c.variable(v.variable), v.preset); value != "" {
			args = append(args, "--"+v.flag+"="+value)
		}
	}
	for _, v := range containerFiles {
		file := cmp.Or(c.variable(v.variable), v.preset)
		switch {
		case exists(file):
			args = append(args, "--"+v.flag+"="+file)
		case c.variable(v.variable) != "":
			c.env.Warn("%s, which DOCKER_STEPCA_INIT_%s names, does not exist: the CA is made without it", file, v.variable)
		}
	}
	for _, v := range []struct{ variable, flag string }{{"SSH", "ssh"}, {"ACME", "acme"}, {"REMOTE_MANAGEMENT", "remote-management"}} {
		if c.variable(v.variable) == "true" {
			args = append(args, "--"+v.flag)
		}
	}
	if c.variable("REMOTE_MANAGEMENT") == "true" {
		args = append(args, "--admin-subject="+c.subject())
	}
	return args
}

func (c *container) subject() string { return cmp.Or(c.variable("ADMIN_SUBJECT"), "step") }

// passwords gives the password of the keys, and that of the provisioner if it is another one,
// which nobody knows yet.
func (c *container) passwords(ctx context.Context) (password, provisioner string, err error) {
	if file := c.variable("PASSWORD_FILE"); file != "" {
		data, err := c.env.readPassword(ctx, file, question{})
		if err == nil && len(data) == 0 {
			err = fmt.Errorf("the password in %s is empty", file)
		}
		return string(data), "", err
	}
	if value := c.variable("PASSWORD"); value != "" {
		// The file that keeps it loses white space at its end, too.
		if value = strings.TrimRight(value, " \t\r\n"); value == "" {
			return "", "", errors.New("DOCKER_STEPCA_INIT_PASSWORD is blank")
		}
		return value, "", nil
	}
	return keys.RandomAlphanumeric(containerPassword), keys.RandomAlphanumeric(containerPassword), nil
}

// keepPassword writes the password where the server reads it. A file that holds it already,
// such as a mounted secret, stays untouched.
func (c *container) keepPassword(password string) error {
	if old, err := keys.ReadPasswordFile(c.password); err == nil && string(old) == password {
		return nil
	}
	if err := makeDirs(c.password); err != nil {
		return err
	}
	return durable.WriteFile(c.password, []byte(password+"\n"), 0o600)
}

// tell shows the password of the provisioner, this one time. It goes to standard output,
// where scripts that read a container's log look for it.
func (c *container) tell(password string) {
	out := c.env.Stdout
	fmt.Fprintf(out, "Provisioner: %s\n", cmp.Or(c.variable("PROVISIONER_NAME"), "admin"))
	if c.variable("REMOTE_MANAGEMENT") == "true" {
		fmt.Fprintf(out, "CA administrative username: %s\n", c.subject())
	}
	fmt.Fprintf(out, "CA administrative password: %s\n", password)
	c.env.Note("Write this password down: it is shown only now. The password of the keys is in %s.", c.password)
}

// exists reports whether there is something at a path. What cannot be looked at exists, so
// that nothing is made over it.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
