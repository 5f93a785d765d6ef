package strict_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/strict"
)

var seeds = []string{
	`{"csr":"a","CSR":"b"}`, `{"a":1,"a":2}`, `[[[]]]`, `{"inner":{"Key":"x"}} x`, `"\ud800"`, `{"csr":1}`,
	`{"csr":"a\"b\\","x":[1,{"y":-1.5e3}]} tail`, ` null `, `123abc`, `truefalse`, `{"a":tru}`, `{"a":1,}`, `{"map":{"A":{"Key":1}},"raw":{"Z":1}}`,
	`{"list":[{"key":"a","Key":"b"}]}`, `{"Based":1,"based":"x"}`, `{"é":1,"é":2}`, "{\"a\x00\":1}", `{"a" :1 , "b": [ ] }`,
}

// The fast way takes nothing that the other one refuses, and finds the same in what it takes.
func FuzzScan(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, typ := range []reflect.Type{reflect.TypeFor[*target](), reflect.TypeFor[*json.RawMessage](), reflect.TypeFor[*map[string]inner]()} {
			fast, slow := strict.Scan(data, typ), strict.Walk(data, typ)
			if fast == nil {
				continue
			}
			if !json.Valid([]byte(fast.First)) { // encoding/json will refuse it
				if slow != nil && json.Valid([]byte(slow.First)) {
					t.Fatalf("%q: the fast way ends at %q, the other one at %q", data, fast.First, slow.First)
				}
				continue
			}
			if diff := cmp.Diff(slow, fast); diff != "" {
				t.Fatalf("%q as %v (-walker +scan):\n%s", data, typ, diff)
			}
		}
	})
}

// What servers are sent takes the fast way.
func TestPlainObjectsAreScanned(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		`{"csr":"-----BEGIN\nX\n-----END-----\n","ott":"a.b.c","Unknown":[1,2,{"x":null}]}`,
		" {\"inner\": {\"key\": \"k\"},\n\t\"list\": [{\"key\": \"\\u00e9\"}], \"num\": -1.5e+3}\n",
		`[]`, `{}`, `"text"`, `[1, true]`,
	} {
		if strict.Scan([]byte(s), reflect.TypeFor[*target]()) == nil {
			t.Errorf("%s is left to the slow way", s)
		}
	}
	if s := `{` + strings.Repeat(`"a":{`, 40) + strings.Repeat(`}`, 41); strict.Scan([]byte(s), reflect.TypeFor[*target]()) != nil {
		t.Error("what nests too deep is taken")
	}
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"csr":"` + strings.Repeat("x", 500) + `","ott":"` + strings.Repeat("y", 600) + `"}`)
	for b.Loop() {
		var v target
		if err := strict.Decode(body, &v); err != nil {
			b.Fatal(err)
		}
	}
}
