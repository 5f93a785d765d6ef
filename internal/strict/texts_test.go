package strict_test

import (
	"encoding/json"
	"testing"

	"github.com/signet-ca/signet/internal/strict"
)

var textSeeds = []struct {
	data string
	ok   bool
}{
	{`{"a":"x","b":"y"}`, true},
	{" { \"b\" : \"y\" ,\n\t\"a\":\"\" } ", true},
	{`{}`, true},
	{` { } `, true},
	{`{"a":"x","a":"y"}`, false},
	{`{"A":"x"}`, false},
	{`{"a":"x","c":"y"}`, false},
	{`{"a":"x",}`, false},
	{`{,"a":"x"}`, false},
	{`{"a":"x"}}`, false},
	{`{"a":"x"} {}`, false},
	{"{\"a\":\"x\"}\x00", false},
	{`{"a":"\u0041"}`, false},
	{`{"a":"ä"}`, false},
	{"{\"a\":\"\x7f\"}", false},
	{`{"a":null}`, false},
	{`{"a":1}`, false},
	{`{"a":["x"]}`, false},
	{`{"a" "x"}`, false},
	{`{"a":"x"`, false},
	{`{"a":"x`, false},
	{`{`, false},
	{`"a"`, false},
	{``, false},
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for _, seed := range textSeeds {
		if _, ok := strict.Texts([]byte(seed.data), []string{"a", "b"}, make([]string, 2)); ok != seed.ok {
			t.Errorf("%q: %v, want %v", seed.data, ok, seed.ok)
		}
	}
}

// What Texts reads, Decode reads in the same way.
func FuzzTexts(f *testing.F) {
	for _, seed := range textSeeds {
		f.Add([]byte(seed.data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var into [2]string
		found, ok := strict.Texts(data, []string{"a", "b"}, into[:])
		if !ok {
			return
		}
		var v struct {
			A *string `json:"a"`
			B *string `json:"b"`
		}
		if err := strict.Decode(data, &v); err != nil || !json.Valid(data) {
			t.Fatalf("%q is read, and refused by Decode: %v", data, err)
		}
		for i, p := range []*string{v.A, v.B} {
			if there := found&(1<<i) != 0; there != (p != nil) || there && *p != into[i] {
				t.Errorf("%q: member %d is %q", data, i, into[i])
			}
		}
	})
}
