package cli

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var digests = map[string]func() hash.Hash{
	"sha256": sha256.New, "sha224": sha256.New224, "sha384": sha512.New384, "sha512": sha512.New,
	"sha512-224": sha512.New512_224, "sha512-256": sha512.New512_256, "sha1": sha1.New, "md5": md5.New,
}

// hashFlags are the flags of the commands that digest.
type hashFlags struct {
	alg      string
	insecure bool
}

func (f *hashFlags) register(fs *flags) {
	f.alg = "sha256"
	options := []string{"sha256", "sha224", "sha384", "sha512", "sha512-224", "sha512-256", "sha1", "md5"}
	fs.Enum(&f.alg, "alg", options, "digest; sha1 and md5 require --insecure").Alias("algorithm")
	fs.Bool(&f.insecure, "insecure", "allow broken digests").NoEnv().Hidden()
	fs.Check(func(func(string) bool) error {
		if (f.alg == "sha1" || f.alg == "md5") && !f.insecure {
			return usagef("--alg %s requires --insecure: that digest is broken", f.alg)
		}
		return nil
	})
}

// digestResult is the digest of each file asked for.
type digestResult struct {
	Digests []fileDigest `json:"digests" help:"one for each file"`
}

type fileDigest struct {
	Digest string `json:"digest" help:"hex"`
	File   string `json:"file,omitempty" help:"name of the file; none for standard input"`
}

func (d *digestResult) Text() string {
	var b strings.Builder
	for _, f := range d.Digests {
		b.WriteString(f.Digest)
		if f.File != "" {
			b.WriteString("  " + printable(f.File))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func cryptoHashDigest() *command {
	var f hashFlags
	return &command{
		short: "print the digest of files",
		long: `Prints the digest of each file or directory, or of standard input.

			The digest of a directory is that of a list: one line for each file below it, in the order of
			their names, with digest, two blanks, and the name with slashes. Links and empty directories are
			left out.`,
		args: []arg{rest("file", "file or directory; standard input without any")},
		examples: []example{
			{"Digest a file", "signet crypto hash digest message.txt"},
			{"Digest standard input", "echo -n hello | signet crypto hash digest --alg sha512"},
		},
		flags:  f.register,
		result: &digestResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			result := &digestResult{}
			if len(args) == 0 {
				args = []string{"-"}
			}
			for _, name := range args {
				sum, err := f.digest(ctx, env, name)
				if err != nil {
					return nil, err
				}
				if name == "-" {
					name = ""
				}
				result.Digests = append(result.Digests, fileDigest{hex.EncodeToString(sum), name})
			}
			return result, nil
		},
	}
}

// digest reads as it goes: files may be larger than memory.
func (f *hashFlags) digest(ctx context.Context, env *Env, name string) ([]byte, error) {
	if name == "-" {
		return f.stream(ctx, env.Stdin)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("look at %w", err)
	}
	if !info.IsDir() {
		return f.file(ctx, name)
	}
	list := digests[f.alg]()
	err = filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		sum, err := f.file(ctx, path)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(name, path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(list, "%x  %s\n", sum, filepath.ToSlash(below))
		return err
	})
	if err != nil {
		return nil, err
	}
	return list.Sum(nil), nil
}

func (f *hashFlags) file(ctx context.Context, name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	defer file.Close()
	return f.stream(ctx, file)
}

func (f *hashFlags) stream(ctx context.Context, r io.Reader) ([]byte, error) {
	h := digests[f.alg]()
	if _, err := io.Copy(h, untilDone{ctx, r}); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// untilDone ends a long read when the user gives up.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

// comparison says whether a digest is that of a file.
type comparison struct {
	Match bool `json:"match" help:"whether the digest is that of the file"`
}

func (c *comparison) Text() string {
	if c.Match {
		return "ok"
	}
	return "fail"
}

func cryptoHashCompare() *command {
	var f hashFlags
	return &command{
		short:    "compare a digest with that of a file",
		long:     "Digests a file, a directory or standard input as 'crypto hash digest' does, compares, and prints ok or fail.",
		args:     []arg{need("digest", "expected digest, hex"), may("file", "file or directory; standard input without it")},
		examples: []example{{"Check a download", "signet crypto hash compare 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 hello.txt"}},
		exits:    []exitNote{{1, "the digest is another one"}},
		flags:    f.register,
		result:   &comparison{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			want, err := hex.DecodeString(strings.TrimSpace(args[0]))
			if err != nil || len(want) != digests[f.alg]().Size() {
				return nil, usagef("%q is no %s digest in hex", args[0], f.alg)
			}
			name := "-"
			if len(args) > 1 {
				name = args[1]
			}
			got, err := f.digest(ctx, env, name)
			if err != nil {
				return nil, err
			}
			result := &comparison{subtle.ConstantTimeCompare(got, want) == 1}
			if !result.Match {
				return result, exitWith(exitFailure, nil)
			}
			return result, nil
		},
	}
}
