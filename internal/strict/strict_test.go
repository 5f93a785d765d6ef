package strict_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/strict"
)

type inner struct {
	Key string `json:"key"`
}

type base struct {
	Based string `json:"based"`
}

type target struct {
	base
	CSR   string            `json:"csr"`
	OTT   *string           `json:"ott,omitempty"`
	Inner *inner            `json:"inner"`
	List  []inner           `json:"list"`
	Map   map[string]inner  `json:"map"`
	Any   any               `json:"any"`
	Raw   json.RawMessage   `json:"raw"`
	When  *time.Time        `json:"when"`
	Plain map[string]string `json:"plain"`
	Num   int               `json:"num"`
	NoTag string
	Out   string `json:"-"`
}

func TestDecodeAccepts(t *testing.T) {
	t.Parallel()
	ott := "t"
	cases := []struct {
		name, in string
		want     target
	}{
		{"exact names", `{"csr":"a","ott":"t","inner":{"key":"k"}}`, target{CSR: "a", OTT: &ott, Inner: &inner{"k"}}},
		{"unknown members are ignored", `{"x":{"csr":"no"},"csr":"a","y":[1,{"z":2}]}`, target{CSR: "a"}},
		{"other case is unknown", `{"CSR":"evil","csr":"a","Csr":"evil"}`, target{CSR: "a"}},
		{"other case alone fills nothing", `{"CSR":"evil","noTag":"evil"}`, target{}},
		{"long s folds nowhere", `{"cſr":"evil"}`, target{}},
		{"an escaped name is the name", `{"\u0063sr":"a"}`, target{CSR: "a"}},
		{"an escaped name of other case is unknown", `{"\u0043sr":"evil"}`, target{}},
		{"other case inside an object", `{"inner":{"KEY":"evil"}}`, target{Inner: &inner{}}},
		{"other case inside a list", `{"list":[{"Key":"evil"},{"key":"k"}]}`, target{List: []inner{{}, {"k"}}}},
		{"other case inside a map", `{"map":{"A":{"Key":"evil"}}}`, target{Map: map[string]inner{"A": {}}}},
		{"map keys keep their case", `{"plain":{"A":"1","a":"2"}}`, target{Plain: map[string]string{"A": "1", "a": "2"}}},
		{"any keeps names", `{"any":{"Key":1,"key":2}}`, target{Any: map[string]any{"Key": 1., "key": 2.}}},
		{"raw keeps bytes", `{"raw":{"A": 1}}`, target{Raw: json.RawMessage(`{"A": 1}`)}},
		{"embedded fields", `{"based":"b","Based":"evil"}`, target{base: base{"b"}}},
		{"a field without a tag has its name", `{"NoTag":"n"}`, target{NoTag: "n"}},
		{"a hidden field stays empty", `{"Out":"x","-":"x"}`, target{}},
		{"bytes after the value", `{"csr":"a"} and more }`, target{CSR: "a"}},
		{"a second value", `{"csr":"a"}{"csr":"b"}`, target{CSR: "a"}},
		{"null", `null`, target{}},
		{"same name in different objects", `{"list":[{"key":"a"},{"key":"b"}]}`, target{List: []inner{{"a"}, {"b"}}}},
		{"a huge number nobody reads", `{"x":1e999999}`, target{}},
		{"white space everywhere", " \n{ \"csr\" :\t\"a\" , \"CSR\" : \"b\" } ", target{CSR: "a"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got target
			if err := strict.Decode([]byte(c.in), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(target{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, in, word string }{
		{"nothing", ``, "no JSON"},
		{"white space", " \n ", "no JSON"},
		{"half a value", `{"csr":"a"`, "complete"},
		{"half a string", `{"csr":"a`, "complete"},
		{"malformed", `{"csr":}`, "malformed"},
		{"a member without a name", `{1:2}`, "malformed"},
		{"a trailing comma", `{"csr":"a",}`, "malformed"},
		{"a closing bracket alone", `}`, "malformed"},
		{"a name twice", `{"csr":"a","csr":"b"}`, `"csr" stands twice`},
		{"a name twice, once escaped", `{"csr":"a","\u0063sr":"b"}`, "twice"},
		{"an unknown name twice", `{"x":1,"x":2}`, "twice"},
		{"twice below an unknown name", `{"x":[{"y":1,"y":2}]}`, "twice"},
		{"twice in a map", `{"plain":{"a":"1","a":"2"}}`, "twice"},
		{"twice in any", `{"any":{"a":"1","a":"2"}}`, "twice"},
		{"twice in raw", `{"raw":{"a":"1","a":"2"}}`, "twice"},
		{"a number for a string", `{"csr":1}`, `member "csr": found a JSON number where a string`},
		{"a string for an object", `{"inner":"x"}`, "an object"},
		{"a list for everything", `[]`, "JSON value: found a JSON array where an object"},
		{"a fraction for a whole number", `{"num":1.5}`, "whole number"},
		{"an unusable time", `{"when":"tomorrow"}`, "unusable"},
		{"too deep", `{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, "deeper"},
		{"endless depth", strings.Repeat(`{"a":`, 100_000), "deeper"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := strict.Decode([]byte(c.in), new(target))
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.word) {
				t.Errorf("got %v; want an invalid request with %q", err, c.word)
			}
		})
	}
}

func TestDecodeTakesTheDeepestAllowed(t *testing.T) {
	t.Parallel()
	if err := strict.Check([]byte(strings.Repeat("[", 32) + strings.Repeat("]", 32))); err != nil {
		t.Error(err)
	}
}

// What strict takes, encoding/json takes too, and strict alone refuses repeated names.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"csr":"a","CSR":"b"}`, `{"a":1,"a":2}`, `[[[]]]`, `{"inner":{"Key":"x"}} x`, `"\ud800"`, `{"\u0063sr":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got target
		if err := strict.Decode(data, &got); err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("refusal without words: %v", err)
			}
			return
		}
		var loose json.RawMessage
		if err := json.NewDecoder(strings.NewReader(string(data))).Decode(&loose); err != nil {
			t.Fatalf("strict took what encoding/json refuses: %v", err)
		}
	})
}
