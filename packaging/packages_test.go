// Package packaging_test holds what is shipped beside the program against the program.
package packaging_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// content is a line of the description of a package.
type content struct{ Src, Dst, Type, Packager, Mode string }

var (
	contentLine = regexp.MustCompile(`(?m)^  - \{(.*)\}$`)
	member      = regexp.MustCompile(`(\w+): ("[^"]*"|[^,{}]+)`)
	scriptLine  = regexp.MustCompile(`(?m)^  (p\w+): (\S+)$`)
)

// readPackage reads a description, whose contents stand in one line each.
func readPackage(t *testing.T, file string) (text string, contents []content) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range contentLine.FindAllStringSubmatch(string(data), -1) {
		m := map[string]string{}
		for _, x := range member.FindAllStringSubmatch(line[1], -1) {
			m[x[1]] = strings.Trim(x[2], `"`)
		}
		contents = append(contents, content{m["src"], m["dst"], m["type"], m["packager"], m["mode"]})
	}
	if n := strings.Count(string(data), "src:"); n == 0 || n != len(contents) {
		t.Fatalf("%s: %d of %d contents understood", file, len(contents), n)
	}
	return string(data), contents
}

// The description says the same as the list that `make packages` compares with the finished
// package.
func TestPackageLists(t *testing.T) {
	t.Parallel()
	for file, name := range map[string]string{"nfpm.yaml": "signet", "nfpm-step.yaml": "signet-step"} {
		_, contents := readPackage(t, file)
		var got []string
		for _, c := range contents {
			if c.Type != "symlink" && !strings.HasPrefix(c.Src, "dist/") {
				if _, err := os.Stat(filepath.Join("..", c.Src)); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
			switch {
			case c.Packager == "rpm":
			case c.Type == "symlink":
				got = append(got, "lrwxrwxrwx root/root "+c.Dst+" -> "+c.Src)
			case strings.Contains(c.Src, "*"):
				for _, page := range []string{"signet.1.gz", "signet-*.1.gz"} {
					got = append(got, c.mode(t)+" root/root "+path.Join(c.Dst, page))
				}
			default:
				got = append(got, c.mode(t)+" root/root "+c.Dst)
			}
		}
		slices.Sort(got)
		want, err := os.ReadFile("testdata/" + name + ".files")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), strings.Join(got, "\n")+"\n"); diff != "" {
			t.Errorf("%s (-list +description):\n%s", file, diff)
		}
	}
}

// mode is the mode as a listing writes it.
func (c content) mode(t *testing.T) string {
	t.Helper()
	bits, err := strconv.ParseUint(c.Mode, 8, 32)
	if err != nil {
		t.Errorf("%s: mode %q", c.Dst, c.Mode)
	}
	return os.FileMode(bits).String()
}

// No file of one package may be one of the other, or of step-cli and step-ca: signet alone
// fights with nobody.
func TestPackagesDoNotFight(t *testing.T) {
	t.Parallel()
	_, own := readPackage(t, "nfpm.yaml")
	_, step := readPackage(t, "nfpm-step.yaml")
	for _, c := range own {
		if base := path.Base(c.Dst); base == "step" || base == "step-ca" || base == "step-ca.service" || base == "_step" {
			t.Errorf("the package signet takes the name %s", c.Dst)
		}
		for _, other := range step {
			if c.Dst == other.Dst {
				t.Errorf("both packages hold %s", c.Dst)
			}
		}
	}
}

func TestPackageScripts(t *testing.T) {
	t.Parallel()
	text, _ := readPackage(t, "nfpm.yaml")
	scripts := scriptLine.FindAllStringSubmatch(text, -1)
	if len(scripts) != 3 {
		t.Errorf("%d scripts found", len(scripts))
	}
	for _, script := range scripts {
		if out, err := exec.Command("sh", "-n", filepath.Join("..", script[2])).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script[1], err, out)
		}
	}
}
