package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/fault"
)

const commented = `{
  // the roots
  "root": "r.crt", "crt": "i.crt", /* pair */ "key": "i.key",
  "unknown": {"kept": [1,2 , 3]},
  "Authority": {
    "provisioners": [
      // the first
      {
        "type": "ACME", // kind
        "name": "acme",
        "homegrown": true
      }, // after the first
      // the second
      {"type": "SSHPOP", "name": "pop"} // after the second
    ],
    "backdate": "1m"
  }
}
`

func TestEdits(t *testing.T) {
	t.Parallel()
	oneLine := `{"root":"r","authority":{"provisioners":[{"type":"ACME","name":"acme"}]}}`
	for name, c := range map[string]struct {
		text string
		edit func(path string) error
		want string // "" for the text with the replacements below
		from string
		to   string
	}{
		"add keeps style and comments": {
			text: commented,
			edit: func(p string) error { return config.AddProvisioner(p, []byte(`{"type":"ACME","name":"b"}`)) },
			from: `"name": "pop"} // after the second` + "\n",
			to:   `"name": "pop"}, // after the second` + "\n      {\n        \"type\": \"ACME\",\n        \"name\": \"b\"\n      }\n",
		},
		"remove the first": {
			text: commented,
			edit: func(p string) error { return config.RemoveProvisioner(p, "acme") },
			from: commented[strings.Index(commented, "\n      // the first"):strings.Index(commented, "\n      // the second")],
			to:   "",
		},
		"remove the last": {
			text: commented,
			edit: func(p string) error { return config.RemoveProvisioner(p, "pop") },
			from: commented[strings.Index(commented, ", // after the first"):strings.Index(commented, "\n    ],")],
			to:   " // after the first",
		},
		"replace touches the changed member alone": {
			text: commented,
			edit: func(p string) error {
				return config.ReplaceProvisioner(p, "acme", []byte(`{"name":"acme2","type":"ACME","homegrown":true}`))
			},
			from: `"name": "acme",`, to: `"name": "acme2",`,
		},
		"replace drops and adds": {
			text: commented,
			edit: func(p string) error {
				return config.ReplaceProvisioner(p, "acme", []byte(`{"type":"ACME","name":"acme","claims":{"disableRenewal":true}}`))
			},
			from: "\"homegrown\": true\n", to: "\"claims\": {\n          \"disableRenewal\": true\n        }\n",
		},
		"replace with the same changes nothing": {
			text: commented,
			edit: func(p string) error {
				return config.ReplaceProvisioner(p, "pop", []byte(`{"name":"pop","type":"SSHPOP"}`))
			},
		},
		"add on one line": {
			text: oneLine,
			edit: func(p string) error { return config.AddProvisioner(p, []byte(`{"type": "ACME", "name": "b"}`)) },
			want: `{"root":"r","authority":{"provisioners":[{"type":"ACME","name":"acme"}, {"type":"ACME","name":"b"}]}}`,
		},
		"remove the only one": {
			text: oneLine,
			edit: func(p string) error { return config.RemoveProvisioner(p, "acme") },
			want: `{"root":"r","authority":{"provisioners":[]}}`,
		},
		"add where there is no list": {
			text: "{\n\t\"root\": \"r\",\n\t\"authority\": {}\n}\n",
			edit: func(p string) error { return config.AddProvisioner(p, []byte(`{"type":"ACME","name":"b"}`)) },
			want: "{\n\t\"root\": \"r\",\n\t\"authority\": {\n\t\t\"provisioners\": [\n\t\t\t{\n\t\t\t\t\"type\": \"ACME\",\n\t\t\t\t\"name\": \"b\"\n\t\t\t}\n\t\t]\n\t}\n}\n",
		},
		"add where there is null": {
			text: "{\n\t\"authority\": {\n\t\t\"provisioners\": null\n\t}\n}",
			edit: func(p string) error { return config.AddProvisioner(p, []byte(`{"type":"ACME","name":"b"}`)) },
			want: "{\n\t\"authority\": {\n\t\t\"provisioners\": [\n\t\t\t{\n\t\t\t\t\"type\": \"ACME\",\n\t\t\t\t\"name\": \"b\"\n\t\t\t}\n\t\t]\n\t}\n}",
		},
		"add where there is nothing": {
			text: "{}",
			edit: func(p string) error { return config.AddProvisioner(p, []byte(`{"type":"ACME","name":"b"}`)) },
			want: "{\n\t\"authority\": {\n\t\t\"provisioners\": [\n\t\t\t{\n\t\t\t\t\"type\": \"ACME\",\n\t\t\t\t\"name\": \"b\"\n\t\t\t}\n\t\t]\n\t}\n}",
		},
		"add with the line ends of Windows": {
			text: "{\r\n  \"authority\": {\r\n    \"provisioners\": []\r\n  }\r\n}\r\n",
			edit: func(p string) error { return config.AddProvisioner(p, []byte(`{"type":"ACME","name":"b"}`)) },
			want: "{\r\n  \"authority\": {\r\n    \"provisioners\": [\r\n      {\r\n        \"type\": \"ACME\",\r\n        \"name\": \"b\"\r\n      }\r\n    ]\r\n  }\r\n}\r\n",
		},
		"add after a trailing comma": {
			text: "{\"authority\": {\"provisioners\": [{\"type\": \"ACME\", \"name\": \"a\"},]}}",
			edit: func(p string) error { return config.AddProvisioner(p, []byte(`{"type":"ACME","name":"b"}`)) },
			want: "{\"authority\": {\"provisioners\": [{\"type\": \"ACME\", \"name\": \"a\"}, {\"type\":\"ACME\",\"name\":\"b\"},]}}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ca.json")
			write(t, path, c.text, 0o640)
			if err := c.edit(path); err != nil {
				t.Fatal(err)
			}
			want := c.want
			if want == "" {
				want = strings.Replace(c.text, c.from, c.to, 1)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("the file differs (-want +got):\n%s", diff)
			}
			if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
				t.Errorf("the mode became %v", info.Mode())
			}
		})
	}
}

func TestRefusedEdits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		edit func(path string) error
		kind fault.Kind
	}{
		"add a name that is taken": {commented, func(p string) error { return config.AddProvisioner(p, []byte(`{"type":"ACME","name":"pop"}`)) }, fault.Conflict},
		"replace with a taken name": {commented, func(p string) error {
			return config.ReplaceProvisioner(p, "acme", []byte(`{"type":"ACME","name":"pop"}`))
		}, fault.Conflict},
		"replace what is not there":   {commented, func(p string) error { return config.ReplaceProvisioner(p, "x", []byte(`{"type":"ACME","name":"x"}`)) }, fault.Missing},
		"remove what is not there":    {commented, func(p string) error { return config.RemoveProvisioner(p, "x") }, fault.Missing},
		"remove where there is none":  {`{}`, func(p string) error { return config.RemoveProvisioner(p, "x") }, fault.Missing},
		"add something without name":  {commented, func(p string) error { return config.AddProvisioner(p, []byte(`{"type":"ACME"}`)) }, fault.Invalid},
		"a list that is none":         {`{"authority": {"provisioners": 5}}`, func(p string) error { return config.RemoveProvisioner(p, "x") }, fault.Invalid},
		"a file with something after": {commented + "x", func(p string) error { return config.RemoveProvisioner(p, "acme") }, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ca.json")
			write(t, path, c.text, 0o600)
			if err := c.edit(path); !fault.Is(err, c.kind) {
				t.Errorf("got %v, want a fault that says %v", err, c.kind)
			}
			if got, _ := os.ReadFile(path); string(got) != c.text {
				t.Error("the file was changed all the same")
			}
		})
	}
}

func TestWritersDoNotUndoEachOther(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ca.json")
	write(t, path, "{}", 0o600)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := config.AddProvisioner(path, fmt.Appendf(nil, `{"type":"ACME","name":"p%d"}`, i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := config.FileProvisioners(path)
	if err != nil || len(list) != 8 {
		t.Errorf("%d provisioners are left of 8, %v", len(list), err)
	}
}

// FuzzEdit adds a provisioner to any text and takes it out again: whatever is a
// configuration stays one, and says the same at the end.
func FuzzEdit(f *testing.F) {
	for _, seed := range []string{
		commented, "{}", `{"authority":{"provisioners":[{"type":"ACME","name":"a"},]}}`, `{"authority":null/**/}`,
		"{\"authority\":{//\n\"provisioners\":[/* a\nb */{}//\n]}}", "{\r\n\"Authority\":{\"provisioners\":[ ]}}", `{"authority":{},"authority":{"a":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "ca.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := config.FileProvisioners(path)
		if err != nil {
			return
		}
		const name = "the one added by this test"
		if config.AddProvisioner(path, []byte(`{"type":"ACME","name":"`+name+`"}`)) != nil {
			return
		}
		if after, err := config.FileProvisioners(path); err != nil || len(after) != len(before)+1 {
			got, _ := os.ReadFile(path)
			t.Fatalf("%d provisioners became %d (%v):\n%s", len(before), len(after), err, got)
		}
		if err := config.RemoveProvisioner(path, name); err != nil {
			t.Fatal(err)
		}
		after, err := config.FileProvisioners(path)
		if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
	})
}
