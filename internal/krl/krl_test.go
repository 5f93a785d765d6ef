package krl_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/krl"
)

func signer(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// certificate writes a certificate to a file.
func certificate(t *testing.T, ca ssh.Signer, key ssh.PublicKey, serial uint64, id string) string {
	t.Helper()
	c := &ssh.Certificate{Key: key, Serial: serial, CertType: ssh.UserCert, KeyId: id, ValidPrincipals: []string{"u"}, ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return file(t, ssh.MarshalAuthorizedKey(c))
}

func file(t *testing.T, data []byte) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	name := f.Name()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// revoked asks OpenSSH.
func revoked(t *testing.T, list, key string) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-Q", "-f", list, key).CombinedOutput()
	switch {
	case err == nil && strings.Contains(string(out), ": ok"):
		return false
	case err != nil && strings.Contains(string(out), "REVOKED"):
		return true
	}
	t.Fatalf("ssh-keygen -Q: %v: %s", err, out)
	return false
}

func TestOpenSSHReadsOurLists(t *testing.T) {
	t.Parallel()
	ours, other := signer(t), signer(t)
	key, lost := signer(t).PublicKey(), signer(t).PublicKey()
	dense := []uint64{1 << 40}
	for i := range uint64(300) {
		if i%3 != 1 {
			dense = append(dense, 1<<40+i)
		}
	}
	list := &krl.List{Version: 7, Generated: time.Unix(1.8e9, 0), Comment: "test", Keys: [][32]byte{sha256.Sum256(lost.Marshal())},
		CAs: []krl.Certificates{
			{CA: ours.PublicKey(), Serials: append(slices.Concat([]uint64{0, 5, 1<<64 - 1, 1 << 63, 5}, sequence(1000, 2000)), dense...), KeyIDs: []string{"mallory", "eve"}},
			{Serials: []uint64{77}}, // of any CA
			{CA: other.PublicKey()}, // nothing
		}}
	name := file(t, list.Marshal())
	for _, c := range []struct {
		name   string
		by     ssh.Signer
		key    ssh.PublicKey
		serial uint64
		id     string
		want   bool
	}{
		{"a number of its own", ours, key, 5, "a", true},
		{"its neighbour", ours, key, 6, "a", false},
		{"the largest number", ours, key, 1<<64 - 1, "a", true},
		{"beside the largest number", ours, key, 1<<64 - 2, "a", false},
		{"the sign bit alone", ours, key, 1 << 63, "a", true},
		{"the begin of a range", ours, key, 1000, "a", true},
		{"inside a range", ours, key, 1500, "a", true},
		{"the end of a range", ours, key, 2000, "a", true},
		{"before a range", ours, key, 999, "a", false},
		{"after a range", ours, key, 2001, "a", false},
		{"the begin of a bitmap", ours, key, 1 << 40, "a", true},
		{"a hole in a bitmap", ours, key, 1<<40 + 1, "a", false},
		{"inside a bitmap", ours, key, 1<<40 + 2, "a", true},
		{"the end of a bitmap", ours, key, 1<<40 + 299, "a", true},
		{"after a bitmap", ours, key, 1<<40 + 300, "a", false},
		{"the number of another CA", other, key, 5, "a", false},
		{"a number of any CA", other, key, 77, "a", true},
		{"no number is not named", ours, key, 0, "a", false},
		{"a key ID", ours, key, 0, "eve", true},
		{"another key ID", ours, key, 0, "ev", false},
		{"a key, in a certificate", other, lost, 3, "a", true},
	} {
		if got := revoked(t, name, certificate(t, c.by, c.key, c.serial, c.id)); got != c.want {
			t.Errorf("%s: revoked is %v", c.name, got)
		}
	}
	if !revoked(t, name, file(t, ssh.MarshalAuthorizedKey(lost))) || revoked(t, name, file(t, ssh.MarshalAuthorizedKey(key))) {
		t.Error("plain keys are not told apart")
	}
}

// Every shape of cluster is read back by OpenSSH as it was meant.
func TestEveryLengthOfBitmapIsReadBack(t *testing.T) {
	t.Parallel()
	ca := signer(t)
	key := signer(t).PublicKey()
	for last := uint64(120); last < 129; last++ {
		serials := []uint64{100, 100 + last}
		for i := uint64(2); i < last; i += 2 {
			serials = append(serials, 100+i)
		}
		list := file(t, (&krl.List{CAs: []krl.Certificates{{CA: ca.PublicKey(), Serials: serials}}}).Marshal())
		for serial, want := range map[uint64]bool{99: false, 100: true, 101: false, 102: true, 100 + last: true, 101 + last: false} {
			if got := revoked(t, list, certificate(t, ca, key, serial, "x")); got != want {
				t.Errorf("up to %d: %d is revoked: %v", last, serial, got)
			}
		}
	}
}

func TestAppendKeepsWhatWasThere(t *testing.T) {
	t.Parallel()
	ca := signer(t)
	key := signer(t).PublicKey()
	first := (&krl.List{Version: 3, Generated: time.Unix(9, 0), Comment: "c", CAs: []krl.Certificates{{CA: ca.PublicKey(), Serials: []uint64{1}}}}).Marshal()
	both, err := krl.Append(first, &krl.List{CAs: []krl.Certificates{{KeyIDs: []string{"id"}}}})
	if err != nil {
		t.Fatal(err)
	}
	name := file(t, both)
	if !revoked(t, name, certificate(t, ca, key, 1, "x")) || !revoked(t, name, certificate(t, ca, key, 2, "id")) || revoked(t, name, certificate(t, ca, key, 2, "x")) {
		t.Error("the lists did not grow together")
	}
	if h, err := krl.Parse(both); err != nil || h.Version != 3 || h.Comment != "c" || !h.Generated.Equal(time.Unix(9, 0)) {
		t.Errorf("got %+v, %v", h, err)
	}
	if _, err := krl.Append([]byte("none"), new(krl.List)); err == nil {
		t.Error("something was appended to what is no list")
	}
}

func TestAnEmptyListRevokesNothing(t *testing.T) {
	t.Parallel()
	if revoked(t, file(t, new(krl.List).Marshal()), file(t, ssh.MarshalAuthorizedKey(signer(t).PublicKey()))) {
		t.Error("it does")
	}
}

// A hundred thousand serial numbers drawn at random, as ours are, are taken by OpenSSH.
func TestAHundredThousandSerials(t *testing.T) {
	t.Parallel()
	ca := signer(t)
	serials := random(100_000)
	data := (&krl.List{CAs: []krl.Certificates{{CA: ca.PublicKey(), Serials: serials}}}).Marshal()
	list := file(t, data)
	if !revoked(t, list, certificate(t, ca, signer(t).PublicKey(), serials[99_999], "x")) {
		t.Error("the last one is not on the list")
	}
	if h, err := krl.Parse(data); err != nil || h.Version != 0 || len(data) > 900_000 {
		t.Errorf("got %+v, %v, %d bytes", h, err, len(data))
	}
}

func BenchmarkMarshal100k(b *testing.B) {
	ca := signer(b)
	serials := random(100_000)
	for b.Loop() {
		(&krl.List{CAs: []krl.Certificates{{CA: ca.PublicKey(), Serials: serials}}}).Marshal()
	}
}

func FuzzParse(f *testing.F) {
	whole := (&krl.List{Version: 1, Comment: "c", Keys: [][32]byte{{1}}, CAs: []krl.Certificates{{Serials: sequence(1, 50), KeyIDs: []string{"a"}}}}).Marshal()
	f.Add(whole)
	for _, n := range []int{0, 7, 12, 44, len(whole) - 1} {
		f.Add(whole[:n])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := krl.Parse(data)
		if err == nil && (h == nil || !bytes.HasPrefix(data, []byte("SSHKRL\n\x00"))) {
			t.Errorf("%x was read as a list", data)
		}
	})
}

func TestACutOffListIsRefused(t *testing.T) {
	t.Parallel()
	whole := (&krl.List{Keys: [][32]byte{{1}}}).Marshal()
	for n := range whole {
		if _, err := krl.Parse(whole[:n]); err == nil && n != 44 { // without any section it is whole again
			t.Errorf("%d of %d bytes were taken", n, len(whole))
		}
	}
}

func sequence(from, to uint64) (all []uint64) {
	for s := from; s <= to; s++ {
		all = append(all, s)
	}
	return all
}

func random(n int) []uint64 {
	all := make([]uint64, n)
	buf := make([]byte, 8*n)
	rand.Read(buf)
	for i := range all {
		all[i] = binary.BigEndian.Uint64(buf[8*i:])
	}
	return all
}
