package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// generatedPassword is the length of a password nobody thought of: 190 bits.
const generatedPassword = 32

// initResult says where the new CA lies.
type initResult struct {
	Home            string   `json:"home" help:"folder of all files"`
	Root            string   `json:"root" help:"file of the root certificate"`
	RootKey         string   `json:"rootKey,omitempty" help:"file of the root's private key; not set for an existing root"`
	Fingerprint     string   `json:"fingerprint" help:"SHA-256 of the root certificate, hex; clients need it to trust the CA"`
	Intermediate    string   `json:"intermediate" help:"file of the issuing certificate"`
	IntermediateKey string   `json:"intermediateKey" help:"file of its private key"`
	Config          string   `json:"config,omitempty" help:"configuration of the server"`
	Defaults        string   `json:"defaults,omitempty" help:"defaults of the commands"`
	URL             string   `json:"caURL,omitempty" help:"address told to clients"`
	Provisioner     string   `json:"provisioner,omitempty" help:"name of the first provisioner"`
	Context         *Context `json:"context,omitempty" help:"the context made for the CA"`
}

func (*initResult) Text() string { return "" } // the notes say it all

type initFlags struct {
	root, key, keyPasswordFile                                      string
	name, address, provisioner                                      string
	dns                                                             []string
	passwordFile, provisionerPasswordFile                           string
	caURL, deployment, adminSubject, db, dbSource                   string
	context, authority, profile                                     string
	pki, ssh, helm, acme, remoteManagement, noDB, force             bool
	rootNotAfter, intermediateNotAfter                              When
	made                                                            keyFlags
	ra, kms, kmsRoot, kmsIntermediate, kmsHost, kmsUser             string
	issuer, issuerFingerprint, issuerProvisioner, issuerCredentials string
}

func (f *initFlags) register(fs *flags) {
	fs.String(&f.name, "name", "name", "name of the PKI, such as that of the organization")
	fs.Strings(&f.dns, "dns", "name", "host name or IP address of the CA, without port; several are separated by commas")
	fs.String(&f.address, "address", "address", "where the CA listens: host:port or :port")
	fs.String(&f.provisioner, "provisioner", "name", "name of the first provisioner, such as an email address")
	fs.String(&f.passwordFile, "password-file", "file", "read the password of the keys from `file`")
	fs.String(&f.provisionerPasswordFile, "provisioner-password-file", "file", "read the password of the provisioner's key from `file`").Preset("that of --password-file")
	fs.URL(&f.caURL, "with-ca-url", "address told to clients, if it is not the first DNS name with the port of --address")
	fs.String(&f.root, "root", "file", "use the existing root certificate in `file`").NoEnv()
	fs.String(&f.key, "key", "file", "private key of --root, which signs the intermediate and is not copied").NoEnv()
	fs.String(&f.keyPasswordFile, "key-password-file", "file", "read the password of --key from `file`")
	f.made.register(fs)
	fs.Time(&f.rootNotAfter, "root-not-after", "when the root certificate ends").Preset("87600h")
	fs.Time(&f.intermediateNotAfter, "intermediate-not-after", "when the intermediate certificate ends; never after the root").Preset("87600h")
	fs.Bool(&f.pki, "pki", "make keys and certificates only, no configuration")
	fs.Bool(&f.ssh, "ssh", "make the keys of an SSH certificate authority, too")
	fs.Bool(&f.acme, "acme", "add an ACME provisioner")
	fs.Bool(&f.remoteManagement, "remote-management", "administer provisioners over the network")
	fs.String(&f.adminSubject, "admin-subject", "name", "the first administrator, with --remote-management").Alias("admin-name").Preset("step")
	fs.Enum(&f.db, "db", []string{"sqlite", "postgresql", "mysql"}, "kind of database that keeps the records").Preset("sqlite")
	fs.String(&f.dbSource, "db-source", "source", "data source name of the database; file:PATH and env:NAME say where it stands").Preset("the folder db, for sqlite")
	fs.Bool(&f.noDB, "no-db", "keep records in memory; they end with the server")
	fs.Bool(&f.helm, "helm", "print values for the Helm chart instead of writing files")
	fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
	fs.String(&f.context, "context", "name", "make the CA in this context and select it")
	fs.String(&f.authority, "authority", "name", "directory of the CA's files in the new context").Preset("the context's name")
	fs.String(&f.profile, "profile", "name", "directory of the user's defaults in the new context").Preset("the context's name")
	fs.Enum(&f.deployment, "deployment-type", []string{"standalone", "linked", "hosted"}, "kind of deployment; only standalone is possible").Preset("standalone")
	f.registerForeign(fs)
	f.registerRules(fs)
}

// registerForeign knows the flags for vendors' services, to say that they are not served.
func (f *initFlags) registerForeign(fs *flags) {
	fs.Enum(&f.ra, "ra", []string{"StepCAS", "CloudCAS"}, "be the registration authority of another CA").Hidden()
	fs.Enum(&f.kms, "kms", []string{"azurekms"}, "make the keys in a key management service").Hidden()
	for name, dst := range map[string]*string{
		"kms-root": &f.kmsRoot, "kms-intermediate": &f.kmsIntermediate, "kms-ssh-host": &f.kmsHost, "kms-ssh-user": &f.kmsUser,
		"issuer": &f.issuer, "issuer-fingerprint": &f.issuerFingerprint, "issuer-provisioner": &f.issuerProvisioner, "credentials-file": &f.issuerCredentials,
	} {
		fs.String(dst, name, "value", "setting of --ra or --kms").Hidden()
	}
	fs.Exclusive("ra", "kms")
	fs.Check(func(given func(string) bool) error {
		switch {
		case given("ra"):
			return errors.New("flag --ra: this version cannot be the registration authority of another CA; leave the flag out to make a CA with its own keys")
		case given("kms"):
			return errors.New("flag --kms: this version keeps keys in files, not in a key management service; leave the flag out")
		case f.deployment == "linked" || f.deployment == "hosted":
			return fmt.Errorf("flag --deployment-type: %s deployments need a vendor's service, which this CA does not use; only standalone is possible", f.deployment)
		}
		return nil
	})
}

func (f *initFlags) registerRules(fs *flags) {
	fs.Together("root", "key")
	fs.Requires("key-password-file", "key")
	fs.Incompatible("pki", "no-db", "helm", "acme", "remote-management", "with-ca-url")
	fs.Incompatible("no-db", "db")
	fs.Incompatible("pki", "db")
	fs.Requires("db-source", "db")
	fs.Incompatible("remote-management", "no-db")
	fs.Incompatible("acme", "no-db")
	fs.Incompatible("admin-subject", "helm")
	fs.Requires("admin-subject", "remote-management")
	fs.Incompatible("root", "root-not-after")
	fs.Incompatible("helm", "context", "authority", "profile")
	fs.Check(func(func(string) bool) error {
		if f.db != "" && f.db != "sqlite" && f.dbSource == "" {
			return errRequires("db "+f.db, "db-source")
		}
		if f.address != "" {
			if err := config.CheckAddress(f.address); err != nil {
				return usagef("invalid value %q for flag --address: %v", f.address, err)
			}
		}
		for _, name := range splitNames(f.dns) {
			if err := checkHost(name); err != nil {
				return usagef("invalid value %q for flag --dns: %v", name, err)
			}
		}
		return nil
	})
}

func caInit() *command {
	f := new(initFlags)
	return &command{
		short: "make a certificate authority",
		long: `Makes a root certificate, an intermediate certificate that issues, their encrypted private keys, a
			first provisioner, and the configuration of the server. What no flag answers is asked.

			The root key is not needed to run the CA: move it to a safe place. The fingerprint of the root is
			what clients need to trust the CA.

			Under the name step the database section is the one that step-ca reads, so that either server
			starts from the result.`,
		examples: []example{
			{"Make a CA, answering questions", "signet ca init"},
			{"Make a CA without questions", "signet ca init --name Lab --dns ca.lab.example --address :443 --provisioner admin --password-file password.txt"},
			{"Make a CA below a root that exists already", "signet ca init --root root.crt --key root.key"},
			{"Make stronger keys that last longer", "signet ca init --kty EC --curve P-384 --root-not-after 175200h"},
			{"Make keys and certificates only", "signet ca init --pki --name Lab --password-file password.txt"},
		},
		flags:   f.register,
		context: contextOwn,
		result:  &initResult{},
		run:     func(ctx context.Context, env *Env, _ []string) (any, error) { return f.run(ctx, env) },
	}
}

func (f *initFlags) run(ctx context.Context, env *Env) (any, error) {
	o, err := f.options(ctx, env)
	if err != nil {
		return nil, err
	}
	home, err := f.home(env)
	if err != nil {
		return nil, err
	}
	o.Home = home.Path()
	if f.helm {
		return f.chart(ctx, env, o)
	}
	if err := env.confirmOverwrite(ctx, f.force, f.targets(home)...); err != nil {
		return nil, err
	}
	made, shown, err := f.make(ctx, env, o)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(o.Home, "db", "signet.db")); err == nil && made.DBDir != "" {
		env.Warn("%s holds the records of an earlier CA; the new one goes on with them", made.DBDir)
	}
	if err := made.Write(); err != nil {
		return nil, err
	}
	if c := home.Context(); c != nil {
		if _, err := addContext(env.Home, c); err != nil {
			return nil, err
		}
	}
	f.tell(env, home, made, shown)
	return f.result(home, made), nil
}

// make reads the passwords and makes the CA, in memory.
func (f *initFlags) make(ctx context.Context, env *Env, o *config.CreateOptions) (*config.Created, string, error) {
	shown, err := f.passwords(ctx, env, o)
	if err != nil {
		return nil, "", err
	}
	made, err := config.Create(*o, env.Now())
	clear(o.Password)
	clear(o.ProvisionerPassword)
	return made, shown, err
}

// chart makes the CA for a container and prints it as values of the Helm chart.
func (f *initFlags) chart(ctx context.Context, env *Env, o *config.CreateOptions) (any, error) {
	o.Home, o.LogFormat = config.HelmHome, "json"
	made, shown, err := f.make(ctx, env, o)
	if err != nil {
		return nil, err
	}
	env.Done("Root fingerprint", "%s", keys.CertificateFingerprint(made.Root))
	tellPassword(env, shown)
	return made.HelmValues()
}

// home is where the CA comes to lie: in a context of its own if contexts are in use.
func (f *initFlags) home(env *Env) (Home, error) {
	if f.pki && f.context == "" || f.helm {
		return env.Home, nil
	}
	host := "localhost"
	if names := splitNames(f.dns); len(names) > 0 {
		host = names[0]
	}
	url, err := NormalizeURL(host)
	if err != nil {
		return env.Home, err
	}
	c, err := (&bootstrapFlags{url: url, context: f.context, authority: f.authority, profile: f.profile}).newContext(env.Home)
	if err != nil || c == nil {
		return env.Home, err
	}
	return env.Home.In(c), nil
}

// options asks for what no flag says. Passwords come later, after the last refusal.
func (f *initFlags) options(ctx context.Context, env *Env) (*config.CreateOptions, error) {
	if err := f.askMissing(ctx, env); err != nil {
		return nil, err
	}
	o := &config.CreateOptions{
		Name: f.name, DNSNames: splitNames(f.dns), Address: f.address, Provisioner: f.provisioner, URL: f.caURL,
		Alg: f.made.alg(), RootNotAfter: moment(f.rootNotAfter, env), IntermediateNotAfter: moment(f.intermediateNotAfter, env),
		PKIOnly: f.pki, SSH: f.ssh, ACME: f.acme, RemoteManagement: f.remoteManagement, NoDB: f.noDB,
		Reference: env.Name != "signet",
	}
	if f.db != "" {
		o.DB = &config.DB{Type: f.db, DataSource: config.Secret(f.dbSource)}
	}
	if f.root == "" {
		return o, nil
	}
	certs, err := keys.ReadCertificates(f.root)
	if err != nil {
		return nil, err
	}
	if len(certs) != 1 {
		return nil, fmt.Errorf("%s holds %d certificates; the root alone is expected there", f.root, len(certs))
	}
	key, err := keys.ReadPrivate(f.key, env.password(ctx, f.keyPasswordFile, "key-password-file"))
	if err != nil {
		return nil, err
	}
	o.Root, o.RootKey = certs[0], key
	return o, issue.CheckRoot(certs[0], key.Public(), env.Now())
}

func moment(w When, env *Env) issue.Moment {
	if w.IsZero() {
		return issue.Moment{}
	}
	return issue.Moment{At: w.At(env.Now())}
}

func (f *initFlags) askMissing(ctx context.Context, env *Env) error {
	var names string
	questions := []struct {
		dst *string
		q   question
		all bool // asked for keys and certificates alone, too
	}{
		{&f.name, question{label: "Name of the PKI (for example Lab)", flag: "name"}, true},
		{&names, question{label: "DNS names and IP addresses of the CA, separated by commas", flag: "dns", preset: "localhost", check: checkHosts}, false},
		{&f.address, question{label: "Address to listen on (:port or host:port)", flag: "address", preset: ":9000", check: config.CheckAddress}, false},
		{&f.provisioner, question{label: "Name of the first provisioner (for example you@example.com)", flag: "provisioner", preset: "admin"}, false},
	}
	for _, ask := range questions {
		given := *ask.dst != "" || ask.dst == &names && len(splitNames(f.dns)) > 0
		if given || f.pki && !ask.all {
			continue
		}
		answer, err := env.ask(ctx, ask.q)
		if err != nil {
			return err
		}
		*ask.dst = answer
	}
	if names != "" {
		f.dns = []string{names}
	}
	return nil
}

// passwords reads or asks the passwords. One that nobody thinks of is made, and returned to
// be shown.
func (f *initFlags) passwords(ctx context.Context, env *Env, o *config.CreateOptions) (made string, err error) {
	o.Password, err = env.readPassword(ctx, f.passwordFile, question{
		label: "Password for the keys (empty: one is made and shown)", flag: "password-file", empty: true})
	if err != nil {
		return "", err
	}
	if len(o.Password) == 0 {
		if f.passwordFile != "" {
			return "", fmt.Errorf("the password in %s is empty", f.passwordFile)
		}
		made = keys.RandomAlphanumeric(generatedPassword)
		o.Password = []byte(made)
	}
	o.ProvisionerPassword = o.Password
	if f.provisionerPasswordFile == "" {
		return made, nil
	}
	o.ProvisionerPassword, err = env.readPassword(ctx, f.provisionerPasswordFile, question{})
	if err == nil && len(o.ProvisionerPassword) == 0 {
		err = fmt.Errorf("the password in %s is empty", f.provisionerPasswordFile)
	}
	return made, err
}

// targets are the files that would be overwritten.
func (f *initFlags) targets(home Home) []string {
	all := []string{home.RootFile(), home.Path("certs", "intermediate_ca.crt"), home.Path("secrets", "intermediate_ca_key")}
	if f.root == "" {
		all = append(all, home.Path("secrets", "root_ca_key"))
	}
	if f.ssh {
		all = append(all, home.Path("secrets", "ssh_host_ca_key"), home.Path("secrets", "ssh_user_ca_key"))
	}
	if !f.pki {
		all = append(all, home.CAConfig(), home.Path("config", "defaults.json"))
	}
	return all
}

func (f *initFlags) result(home Home, made *config.Created) *initResult {
	r := &initResult{
		Home: home.Path(), Root: home.RootFile(), Fingerprint: keys.CertificateFingerprint(made.Root),
		Intermediate: home.Path("certs", "intermediate_ca.crt"), IntermediateKey: home.Path("secrets", "intermediate_ca_key"),
		URL: made.URL, Provisioner: f.provisioner, Context: home.Context(),
	}
	if f.root == "" {
		r.RootKey = home.Path("secrets", "root_ca_key")
	}
	if made.Config != nil {
		r.Config, r.Defaults = home.CAConfig(), home.Path("config", "defaults.json")
	}
	return r
}

// tell lists what was made, and what the server will say about it.
func (f *initFlags) tell(env *Env, home Home, made *config.Created, password string) {
	for _, file := range made.Files {
		if file.What == "" {
			continue
		}
		if file.What == "Default configuration" {
			f.tellFolders(env, made)
		}
		env.Done(file.What, "%s", file.Path)
		if file.What == "Root private key" || file.What == "Root certificate" && f.root != "" {
			env.Done("Root fingerprint", "%s", keys.CertificateFingerprint(made.Root))
		}
		if file.What == "Default configuration" && home.Context() != nil {
			env.Done("Profile configuration", "%s", home.Profile("config", "defaults.json"))
		}
	}
	if made.Config != nil {
		env.Done("Admin provisioner", "%s (JWK)", f.provisioner)
	}
	if f.remoteManagement {
		env.Done("Super admin subject", "%s", cmp.Or(f.adminSubject, "step"))
	}
	tellPassword(env, password)
	f.tellServer(env, home, made)
}

// tellPassword shows a password that was made here, --quiet or not: nobody has it otherwise.
func tellPassword(env *Env, password string) {
	if password == "" {
		return
	}
	fmt.Fprintf(env.Stderr, "%s %s: %s\n", env.paint(green, "✔"), env.paint(bold, "Password"), password)
	env.Note("Write the password down: it is shown only now.")
}

func (f *initFlags) tellFolders(env *Env, made *config.Created) {
	if made.DBDir != "" {
		env.Done("Database folder", "%s", made.DBDir)
	}
	if made.TemplateDir != "" {
		env.Done("Templates folder", "%s", made.TemplateDir)
	}
}

// tellServer reads the configuration as the server will, so that what it cannot serve yet
// is no surprise at its start.
func (f *initFlags) tellServer(env *Env, home Home, made *config.Created) {
	if made.Config == nil {
		env.Note("The PKI is ready.")
		return
	}
	_, report, err := config.Options{Home: home.Path()}.Parse(home.CAConfig(), made.File("config/ca.json").Data)
	if report != nil && env.Name == "signet" {
		for _, w := range report.Warnings {
			env.Warn("%s", w.Message)
		}
	}
	if err != nil && env.Name == "signet" {
		for _, line := range strings.Split(err.Error(), "\n") {
			env.Warn("%s", strings.TrimPrefix(line, home.CAConfig()+":"))
		}
		env.Note("The PKI is ready, but the server will not start from this configuration until the members above are taken out.")
		return
	}
	env.Note("The PKI is ready. Start the CA with: %s", startLine(env, home))
}

func startLine(env *Env, home Home) string {
	if env.Name == "signet" {
		return "signet serve"
	}
	return "step-ca " + home.CAConfig()
}

// splitNames takes host names apart that stand in one value, with commas or blanks between.
func splitNames(values []string) []string {
	return strings.FieldsFunc(strings.Join(values, ","), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

func checkHosts(answer string) error {
	for _, name := range splitNames([]string{answer}) {
		if err := checkHost(name); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}

// checkHost wants a host name or an IP address and nothing around it.
func checkHost(name string) error {
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return nil
	}
	if strings.ContainsAny(name, ":/@[]") {
		return errors.New("a host name or an IP address is needed, without scheme and port")
	}
	return nil
}
