package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-ca/signet/internal/testidp"
)

// idpKey is where a script keeps its identity providers, by variable.
type idpKey struct{}

// startIDP starts an identity provider and sets the variable named by its first argument to
// its address: idp VARIABLE. With more arguments it tells that one what to do: who logs in
// (login JSON), what to say otherwise in tokens (bend JSON) or to browsers (callback JSON),
// to refuse every token (refuse CODE), to break down (down), or to be itself again (straight).
func startIDP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: idp VARIABLE [what]")
	}
	idps := ts.Value(idpKey{}).(map[string]*testidp.Provider)
	p := idps[args[0]]
	if len(args) == 1 {
		p, err := testidp.Start()
		ts.Check(err)
		ts.Defer(p.Close)
		ts.Setenv(args[0], p.URL)
		idps[args[0]] = p
		return
	}
	if p == nil {
		ts.Fatalf("there is no identity provider %s", args[0])
	}
	claims := func(text string) (m map[string]any) {
		ts.Check(json.Unmarshal([]byte(text), &m))
		return m
	}
	switch args[1] {
	case "login":
		p.Login(claims(args[2]))
	case "bend":
		more := claims(args[2])
		p.BendToken(func(c map[string]any) {
			for name, value := range more {
				c[name] = value
			}
		})
	case "callback":
		more := claims(args[2])
		p.BendCallback(func(q map[string]string) {
			for name, value := range more {
				q[name] = fmt.Sprint(value)
			}
		})
	case "straight":
		p.BendToken(nil)
		p.BendCallback(nil)
		p.Bend(nil)
	case "refuse":
		p.Bend(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/token" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
				return false
			}
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"error":%q,"error_description":"said the <test>"}`, args[2])
			return true
		})
	case "down":
		p.Bend(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		})
	default:
		ts.Fatalf("an identity provider cannot %s", args[1])
	}
}
