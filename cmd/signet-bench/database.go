package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/signet-ca/signet/internal/keys"
)

// database is the one beside a server: nothing for SQLite, else a private instance in a
// temporary folder, with flushes on. One that runs on the machine is never touched.
type database struct {
	kind     string
	dir      string
	uid, gid int // who runs it; neither server runs as root
	port     string
	password string
	cmd      *exec.Cmd
	count    int
}

func startDatabase(ctx context.Context, kind string) (*database, error) {
	d := &database{kind: kind, password: keys.RandomAlphanumeric(24)}
	if kind == "sqlite" {
		return d, nil
	}
	var err error
	if d.dir, err = os.MkdirTemp("", "signet-bench-db"); err != nil {
		return nil, err
	}
	if d.port, err = freePort(); err == nil {
		err = d.own(map[string]string{"postgres": "postgres", "mariadb": "mysql"}[kind])
	}
	if err == nil {
		err = map[string]func(context.Context) error{"postgres": d.startPostgres, "mariadb": d.startMariaDB}[kind](ctx)
	}
	if err != nil {
		d.stop()
		return nil, fmt.Errorf("start a private instance: %w", err)
	}
	return d, nil
}

// own gives the folder to an account that Debian's package made, if we are root.
func (d *database) own(account string) error {
	d.uid, d.gid = os.Getuid(), os.Getgid()
	if d.uid != 0 {
		return nil
	}
	u, err := user.Lookup(account)
	if err != nil {
		return err
	}
	d.uid, err = strconv.Atoi(u.Uid)
	if err == nil {
		d.gid, err = strconv.Atoi(u.Gid)
	}
	return errors.Join(err, os.Chown(d.dir, d.uid, d.gid))
}

func (d *database) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = d.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin", "LC_ALL=C", "TZ=UTC", "HOME=" + d.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(d.uid), Gid: uint32(d.gid)}
	}
	return cmd
}

func (d *database) run(name string, args ...string) error {
	if out, err := d.command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// newest is a program in the folder of the newest version that Debian installed.
func newest(pattern string) (string, error) {
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		return "", fmt.Errorf("%s is not there", pattern)
	}
	return found[len(found)-1], nil
}

func (d *database) startPostgres(ctx context.Context) error {
	initdb, err := newest("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return err
	}
	secret, data := filepath.Join(d.dir, "password"), filepath.Join(d.dir, "data")
	if err := errors.Join(os.WriteFile(secret, []byte(d.password), 0o600), os.Chown(secret, d.uid, d.gid)); err != nil {
		return err
	}
	if err := d.run(initdb, "-D", data, "-U", "signet", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8"); err != nil {
		return err
	}
	d.cmd = d.command(filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-k", d.dir, "-p", d.port, "-c", "listen_addresses=127.0.0.1")
	return d.start(ctx, "pgx", d.postgresSource("postgres"))
}

func (d *database) postgresSource(name string) string {
	return (&url.URL{Scheme: "postgresql", User: url.UserPassword("signet", d.password), Host: "127.0.0.1:" + d.port,
		Path: "/" + name, RawQuery: "sslmode=disable"}).String()
}

func (d *database) startMariaDB(ctx context.Context) error {
	data := filepath.Join(d.dir, "data")
	if err := d.run("mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db"); err != nil {
		return err
	}
	d.cmd = d.command("/usr/sbin/mariadbd", "--no-defaults", "--datadir="+data, "--socket="+d.dir+"/sock", "--bind-address=127.0.0.1",
		"--port="+d.port, "--pid-file="+d.dir+"/pid")
	root := "root@unix(" + d.dir + "/sock)/"
	if err := d.start(ctx, "mysql", root); err != nil {
		return err
	}
	db, err := sql.Open("mysql", root)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, account := range []string{"signet@localhost", "signet@'127.0.0.1'"} {
		for _, statement := range []string{"CREATE USER " + account + " IDENTIFIED BY '" + d.password + "'", "GRANT ALL ON *.* TO " + account} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// start runs the database and waits until it answers.
func (d *database) start(ctx context.Context, driver, source string) error {
	log, err := os.Create(filepath.Join(d.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("it does not answer: %w\n%s", err, said[max(0, len(said)-2000):])
		}
	}
}

// settings are those of a server that uses the database, under a name of its own; nil leaves
// what ca init wrote.
func (d *database) settings() map[string]any {
	d.count++
	name := "signet" + strconv.Itoa(d.count)
	switch d.kind {
	case "postgres":
		return map[string]any{"type": "postgresql", "dataSource": d.postgresSource(name), "database": name}
	case "mariadb":
		return map[string]any{"type": "mysql", "dataSource": "signet:" + d.password + "@tcp(127.0.0.1:" + d.port + ")/", "database": name}
	}
	return nil
}

// cpu is the processor time that the database's processes have used.
func (d *database) cpu() time.Duration {
	if d == nil || d.cmd == nil {
		return 0
	}
	return treeCPU(d.cmd.Process.Pid)
}

func (d *database) stop() {
	if d.cmd != nil && d.cmd.Process != nil {
		_ = d.cmd.Process.Signal(syscall.SIGINT) // PostgreSQL: end all connections and stop
		if d.kind != "postgres" {
			_ = d.cmd.Process.Signal(syscall.SIGTERM)
		}
		_ = d.cmd.Wait()
	}
	if d.dir != "" {
		_ = os.RemoveAll(d.dir)
	}
}
