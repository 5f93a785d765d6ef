package store_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/signet-ca/signet/internal/store"
)

// password of the servers that these tests start; no error may show it.
const password = "canary-Pa55%word"

// server is a database server of these tests' own: in a temporary folder, on a socket in
// it, stopped at their end. One that runs on the machine is never touched.
type server struct {
	dir      string
	uid, gid uint32
	port     int      // on loopback, with TLS by certificates that ca.pem in dir signed
	command  []string // program and arguments that serve in the foreground
	ready    func(ctx context.Context) error
	process  *exec.Cmd
	log      bytes.Buffer
	count    atomic.Int64
}

// The servers are started by the first test that needs them.
var (
	postgresOnce = sync.OnceValues(startPostgres)
	mariadbOnce  = sync.OnceValues(startMariaDB)
	mysqlOnce    = sync.OnceValues(func() (*server, error) { return startMariaDBWith("--version=8.0.36") })
	running      struct {
		sync.Mutex
		servers []*server
	}
)

func stopServers() {
	running.Lock()
	defer running.Unlock()
	for _, s := range running.servers {
		s.stop()
		os.RemoveAll(s.dir)
	}
}

func postgres(t testing.TB) *server {
	s, err := postgresOnce()
	if err != nil {
		t.Fatalf("start PostgreSQL, which Debian's package postgresql brings: %v", err)
	}
	return s
}

func mariadb(t testing.TB) *server {
	s, err := mariadbOnce()
	if err != nil {
		t.Fatalf("start MariaDB, which Debian's package mariadb-server brings: %v", err)
	}
	return s
}

// mysql is a MariaDB that says it is MySQL 8, whose SQL has no IF EXISTS for an index.
func mysql(t testing.TB) *server {
	s, err := mysqlOnce()
	if err != nil {
		t.Fatalf("start MariaDB, which Debian's package mariadb-server brings: %v", err)
	}
	return s
}

// newServer makes the folder of a server. As root it belongs to an ordinary user, since
// neither server runs as root.
func newServer(account string) (*server, error) {
	dir, err := os.MkdirTemp("", "signet-db")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if s.uid != 0 {
		return s, s.certify()
	}
	u, err := user.Lookup(account)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	s.uid, s.gid = uint32(uid), uint32(gid)
	return s, errors.Join(s.certify(), os.Chown(dir, int(uid), int(gid)))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// certify gives the server a certificate for localhost by a root of its own.
func (s *server) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	self := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test database"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, self, self, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		path := filepath.Join(s.dir, name)
		err = errors.Join(err, os.WriteFile(path, pem.EncodeToMemory(block), 0o600), os.Chown(path, int(s.uid), int(s.gid)))
	}
	return err
}

func (s *server) cmd(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + s.dir}
	// A test binary that is killed takes its servers with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: s.uid, Gid: s.gid}
	}
	return cmd
}

func (s *server) run(args ...string) error {
	if out, err := s.cmd(args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, out)
	}
	return nil
}

// start runs the server and waits until it answers.
func (s *server) start() error {
	s.process = s.cmd(s.command...)
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	if err := s.process.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			s.stop()
			return fmt.Errorf("it does not answer: %w: %s", err, &s.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stop kills the server, as a crash would.
func (s *server) stop() {
	s.process.Process.Signal(syscall.SIGQUIT) // PostgreSQL: leave at once, and take the children along
	if s.process.Args[0] != "" && !strings.HasSuffix(s.process.Args[0], "postgres") {
		s.process.Process.Kill()
	}
	s.process.Wait()
}

func (s *server) started() (*server, error) {
	running.Lock()
	running.servers = append(running.servers, s)
	running.Unlock()
	return s, nil
}

// program finds a server's program where Debian puts it, or on the path.
func program(name string, folders ...string) (string, error) {
	for _, pattern := range folders {
		found, _ := filepath.Glob(filepath.Join(pattern, name))
		slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) | strings.Compare(a, b) })
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return exec.LookPath(name)
}

func startPostgres() (*server, error) {
	initdb, err := program("initdb", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	serve, err := program("postgres", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	s, err := newServer("postgres")
	if err != nil {
		return nil, err
	}
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o644); err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, "data")
	err = s.run(initdb, "-D", data, "-U", "signet", "-A", "scram-sha-256", "--pwfile", secret, "--no-sync", "-E", "UTF8")
	if err != nil {
		return nil, err
	}
	// No test cuts the power, so nothing is lost by not flushing.
	s.command = []string{serve, "-D", data, "-k", s.dir, "-c", "listen_addresses=127.0.0.1", "-p", strconv.Itoa(s.port),
		"-c", "ssl=on", "-c", "ssl_cert_file=" + s.dir + "/ca.pem", "-c", "ssl_key_file=" + s.dir + "/key.pem", "-c", "fsync=off",
		"-c", "max_connections=300", "-c", "shared_buffers=32MB"}
	s.ready = func(ctx context.Context) error { return reach(ctx, "pgx", s.postgresSource("postgres")) }
	if err := s.start(); err != nil {
		return nil, err
	}
	return s.started()
}

func (s *server) postgresSource(name string) string {
	return (&url.URL{Scheme: "postgresql", User: url.UserPassword("signet", password), Path: "/" + name,
		RawQuery: url.Values{"host": {s.dir}, "port": {strconv.Itoa(s.port)}}.Encode()}).String()
}

func startMariaDB() (*server, error) { return startMariaDBWith() }

func startMariaDBWith(options ...string) (*server, error) {
	install, err := program("mariadb-install-db", "/usr/bin")
	if err != nil {
		return nil, err
	}
	serve, err := program("mariadbd", "/usr/sbin")
	if err != nil {
		return nil, err
	}
	s, err := newServer("mysql")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, "data")
	err = s.run(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db",
		"--innodb-flush-log-at-trx-commit=0")
	if err != nil {
		return nil, err
	}
	s.command = []string{serve, "--no-defaults", "--datadir=" + data, "--socket=" + s.dir + "/sock", "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(s.port),
		"--ssl-ca=" + s.dir + "/ca.pem", "--ssl-cert=" + s.dir + "/ca.pem", "--ssl-key=" + s.dir + "/key.pem",
		"--pid-file=" + s.dir + "/pid", "--max-connections=300", "--innodb-flush-method=nosync", "--innodb-buffer-pool-size=64M"}
	s.command = append(s.command, options...)
	root := "root@unix(" + s.dir + "/sock)/"
	s.ready = func(ctx context.Context) error { return reach(ctx, "mysql", root) }
	if err := s.start(); err != nil {
		return nil, err
	}
	db, err := sql.Open("mysql", root)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	for _, statement := range []string{
		"CREATE USER signet@localhost IDENTIFIED BY '" + password + "'", "GRANT ALL ON *.* TO signet@localhost",
	} {
		if _, err := db.Exec(statement); err != nil {
			return nil, err
		}
	}
	return s.started()
}

func (s *server) mariadbSource(name string) string {
	return "signet:" + password + "@unix(" + s.dir + "/sock)/" + name
}

func reach(ctx context.Context, driver, source string) error {
	db, err := sql.Open(driver, source)
	if err != nil {
		return err
	}
	return errors.Join(db.PingContext(ctx), db.Close())
}

// database is the name of a database that nobody has used yet.
func (s *server) database() string { return fmt.Sprintf("Signet test \"%d\"`", s.count.Add(1)) }

// remote are the kinds with a server behind them.
func remote() []backend {
	return []backend{
		{"postgresql", func(t testing.TB) store.Config {
			s := postgres(t)
			return store.Config{Type: "postgresql", DataSource: s.postgresSource("ignored"), Database: s.database()}
		}},
		{"mysql", func(t testing.TB) store.Config {
			s := mariadb(t)
			return store.Config{Type: "mysql", DataSource: s.mariadbSource("ignored"), Database: s.database()}
		}},
	}
}

// executeRemote does to a server's database what no exported verb does.
func executeRemote(t *testing.T, c store.Config, statement string) {
	t.Helper()
	driver, source := "mysql", strings.Replace(c.DataSource, "/ignored", "/"+url.PathEscape(c.Database), 1)
	if c.Type == "postgresql" {
		driver = "pgx"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// ownCPU is the processor time that this process has used.
func ownCPU(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// servedCPU is the processor time of the database servers that these tests run, with
// their children of now.
func servedCPU(t testing.TB) time.Duration {
	running.Lock()
	defer running.Unlock()
	mine := map[int]bool{}
	for _, s := range running.servers {
		mine[s.process.Process.Pid] = true
	}
	ticks := 0
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		_, rest, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		parent, _ := strconv.Atoi(fields[1])
		if mine[pid] || mine[parent] {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			ticks += user + system
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
