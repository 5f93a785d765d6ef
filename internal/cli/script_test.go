package cli_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-ca/signet/internal/cli"
	"github.com/signet-ca/signet/internal/testidp"
)

// TestMain makes the binary available to scripts under its three names.
func TestMain(m *testing.M) {
	run := func() { os.Exit(cli.Main(os.Args)) }
	testscript.Main(m, map[string]func(){"signet": run, "step": run, "step-ca": run})
}

// TestScripts runs the stories in testdata/script, each with a home of its own.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			if err := os.Mkdir(home, 0o700); err != nil {
				return err
			}
			env.Setenv("HOME", home)
			env.Setenv("USERPROFILE", home)
			env.Setenv("NO_PROXY", "*")
			env.Values[idpKey{}] = map[string]*testidp.Provider{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport":  freePort,
			"idp":       startIDP,
			"cloud":     fakeCloud,
			"quickca":   quickCA,
			"waitready": waitReady,
			"mode":      mode,
			"setfile":   setFile,
		},
	})
}

// freePort sets the variables named by its arguments to free TCP ports of the loopback.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: freeport VARIABLE...")
	}
	var open []net.Listener
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		open = append(open, l)
		ts.Setenv(name, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	}
	for _, l := range open {
		l.Close()
	}
}

// waitReady waits until a server accepts connections at a port, host:port or file path,
// which comes to exist.
func waitReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitready port|host:port|http://url|file")
	}
	target := args[0]
	ready := func() bool {
		_, err := os.Stat(ts.MkAbs(target))
		return err == nil
	}
	switch {
	case strings.HasPrefix(target, "http://"):
		ready = func() bool {
			answer, err := http.Get(target)
			if err != nil {
				return false
			}
			answer.Body.Close()
			return answer.StatusCode == http.StatusOK
		}
	case strings.Trim(target, "0123456789") == "", strings.Contains(target, ":"):
		if !strings.Contains(target, ":") {
			target = "127.0.0.1:" + target
		}
		ready = func() bool {
			conn, err := net.DialTimeout("tcp", target, time.Second)
			if err != nil {
				return false
			}
			conn.Close()
			return true
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for !ready() {
		if time.Now().After(deadline) {
			ts.Fatalf("%s is not ready after 30 seconds", args[0])
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// mode checks the permission bits of files: mode 600 file...
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode octal file...")
	}
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
		}
	}
}

// setFile sets a variable to the content of a file, or of the last stdout, without the
// white space around it: setfile NAME file|stdout.
func setFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setfile NAME file|stdout")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}
