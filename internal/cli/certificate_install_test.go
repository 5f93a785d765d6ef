package cli_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/keys"
)

// TestInstall proves what goes into and out of the system's store of a machine below a
// directory.
func TestInstall(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leaf, _ := ca.make(&x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}})
	w := newWorld(t)
	root := w.file("root.crt", string(keys.EncodeCertificates(ca.cert)))
	chain := w.file("chain.crt", string(keys.EncodeCertificates(leaf, ca.cert)))
	held := func() int {
		found, err := filepath.Glob(filepath.Join(w.home, "machine", "usr", "local", "share", "ca-certificates", "*.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	step := func(proves string, code, left int, stderr string, args ...string) {
		t.Helper()
		if got := w.run(t.Context(), append([]string{"certificate"}, args...)...); got != code {
			t.Errorf("%s: exit code %d, want %d", proves, got, code)
		}
		if held() != left || !strings.Contains(w.stderr.String(), stderr) {
			t.Errorf("%s: %d held, want %d; stderr %q, want %q in it", proves, held(), left, &w.stderr, stderr)
		}
	}
	step("a machine of an unknown family", 1, 0, "not known", "install", root)
	if err := os.MkdirAll(filepath.Join(w.home, "machine", "usr", "local", "share", "ca-certificates"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.vars["JAVA_HOME"] = "/no/java"
	step("a root is installed", 0, 1, "Installed in the system", "install", root)
	step("twice is as good as once", 0, 1, "Installed in the system", "install", root)
	step("whatever the prefix, it is found", 0, 0, "Removed from the system", "uninstall", root)
	step("what is not there can't be removed", 1, 0, "find certificate", "uninstall", root)
	step("everywhere means wherever there is a store", 0, 1, "java: passed over", "install", root, "--all", "--prefix", "corp-")
	step("a store that is named must be there", 1, 1, "/no/java", "install", root, "--java")
	step("nor is Firefox", 1, 1, "firefox", "uninstall", root, "--firefox", "--no-system")
	step("out of all", 0, 0, "Removed from the system", "uninstall", root, "--all")
	step("out of none", 1, 0, "no trust store was changed", "uninstall", root, "--all")
	step("a leaf is no anchor, and the first of two is taken", 0, 1, "is not a CA", "install", chain)
	step("something must be done", 1, 1, "nothing to do", "install", root, "--no-system")
	step("the result as JSON", 0, 2, "", "install", root, "--json")
	if !strings.Contains(w.stdout.String(), `"system"`) {
		t.Errorf("JSON: %s", &w.stdout)
	}
}
