package provisioner_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/provisioner"
)

// A header that was seen before reads as it did the first time; a bad one stays bad, however
// often it comes.
func TestHeadersReadAlikeEachTime(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	claims := encode([]byte(`{"sub":"a"}`))
	for header, good := range map[string]bool{
		`{"alg":"ES256","kid":"one","typ":"JWT"}`:                      true,
		`{"alg":"ES256","kid":"two"}`:                                  true,
		`{"alg":"ES256","kid":"two","x5c":["AA=="]}`:                   true,
		`{"alg":"ES256","sshpop":"` + strings.Repeat("A", 1000) + `"}`: true,
		`{"alg":"none"}`:                          false,
		`{"alg":"ES256","crit":["exp"]}`:          false,
		`{"alg":"ES256","kid":"one","b64":false}`: false,
		`{"alg":"ES256","kid":"one","b64":true}`:  true,
		`{"alg":"ES256","kid":"one","kid":"two"}`: false,
	} {
		var first *provisioner.Token
		for i := range 3 {
			token, err := provisioner.ParseToken(encode([]byte(header))+"."+claims+".AAAA", time.Unix(1, 0))
			if (err == nil) != good {
				t.Fatalf("%s, time %d: %v", header, i, err)
			}
			if first == nil {
				first = token
			} else if good && !cmp.Equal(first.Header, token.Header) {
				t.Errorf("%s, time %d: %s", header, i, cmp.Diff(first.Header, token.Header))
			}
		}
	}
}
