package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/signet-ca/signet/internal/fault"
)

// Exported is a configuration together with the files it names, to be taken elsewhere.
type Exported struct {
	Config json.RawMessage   // as it stands in the file, as standard JSON
	Files  map[string][]byte // by the name that stands in the configuration
}

// Export reads the configuration at path and every file it names, for another server to be
// set up from. Members this version cannot serve are no obstacle; a file that is missing is.
func (o Options) Export(path string) (*Exported, error) {
	data, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	s := newSource(path, data)
	tree, ok := s.tree()
	if !ok {
		_, err := s.report(false)
		return nil, err
	}
	if _, isObject := tree.Value.(*hujson.Object); !isObject {
		return nil, fault.New(fault.Invalid, "%s: an object is expected", path)
	}
	s.walk(tree, configType, "")
	if len(s.errors) > 0 {
		_, err := s.report(false)
		return nil, err
	}
	c, text := new(Config), standard(tree)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	x := &Exported{Config: text, Files: map[string][]byte{}}
	for _, name := range slices.Sorted(maps.Keys(namedFiles(c, tree))) {
		if err := x.embed(name, o.Home); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// namedFiles are the files a configuration needs, without names of keys in key managers.
func namedFiles(c *Config, tree *hujson.Value) map[string]bool {
	all := append(append([]string{c.Certificate, c.Key}, c.Root...), c.FederatedRoots...)
	if c.SSH != nil {
		all = append(all, c.SSH.HostKey, c.SSH.UserKey)
	}
	if a := c.Authority; a != nil {
		all = append(append(all, a.CredentialsFile), a.PreviousIssuers...)
		if a.CertificateIssuer != nil {
			all = append(all, a.CertificateIssuer.Certificate, a.CertificateIssuer.Key)
		}
	}
	if c.KMS != nil {
		all = append(all, c.KMS.CredentialsFile)
	}
	if c.Templates != nil && c.Templates.SSH != nil {
		for _, t := range slices.Concat(c.Templates.SSH.User, c.Templates.SSH.Host) {
			all = append(all, t.Template)
		}
	}
	eachText(tree, "", func(member, text string) {
		file, isReference := strings.CutPrefix(text, "file:")
		switch {
		case member == "templateFile": // of a provisioner
			all = append(all, text)
		case isReference: // to a secret
			all = append(all, file)
		}
	})
	names := map[string]bool{}
	for _, name := range all {
		if scheme := keyScheme(name); name != "" && (scheme == "" || scheme == "softkms") {
			names[name] = true
		}
	}
	return names
}

// eachText calls do with every text below v and the name of the member that holds it. Some
// members are known to nobody but their provisioner, so types are of no help.
func eachText(v *hujson.Value, member string, do func(member, text string)) {
	switch value := v.Value.(type) {
	case *hujson.Object:
		for i := range value.Members {
			m := &value.Members[i]
			eachText(&m.Value, m.Name.Value.(hujson.Literal).String(), do)
		}
	case *hujson.Array:
		for i := range value.Elements {
			eachText(&value.Elements[i], member, do)
		}
	case hujson.Literal:
		if value.Kind() == '"' {
			do(member, value.String())
		}
	}
}

// embed reads a file; a relative name is looked for in the working directory, then below home,
// where templates are.
func (x *Exported) embed(name, home string) error {
	path := strings.TrimPrefix(name, "softkms:")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(path) {
		f, err = os.Open(filepath.Join(home, path))
	}
	if err != nil {
		return fmt.Errorf("embed what the configuration names: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return fmt.Errorf("embed %s: %w", path, err)
	}
	if len(data) > maxFile {
		return fault.New(fault.TooLarge, "%s is larger than %d MiB", path, maxFile>>20)
	}
	x.Files[name] = data
	return nil
}
