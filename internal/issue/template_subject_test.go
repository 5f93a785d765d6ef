package issue_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/issue"
)

// Members that take one text or several read whatever JSON can write, the short way or the
// long one.
func FuzzTexts(f *testing.F) {
	for _, seed := range []string{`"a"`, `["a","b"]`, `[]`, `null`, `[ "a" , "b" ]`, `[["a"]]`, `["a\"b"]`, `"]"`, `["[","]"]`, `"\u00e9"`, `"é"`, `["a",null]`, `["a",5]`, `{}`, `""`, `["",""]`, "\"\x7f\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var one string
		var want []string
		switch {
		case json.Unmarshal([]byte(text), &want) == nil:
		case json.Unmarshal([]byte(text), &one) == nil:
			want = []string{one}
		default:
			want = []string{"wrong"}
		}
		var got issue.Subject
		if json.Unmarshal([]byte(`{"organization":`+text+`}`), &got) != nil {
			got.Organization = []string{"wrong"}
		}
		if len(want)+len(got.Organization) > 0 && !cmp.Equal(want, []string(got.Organization)) && json.Valid([]byte(text)) {
			t.Errorf("%s: got %q, want %q", text, got.Organization, want)
		}
	})
}
