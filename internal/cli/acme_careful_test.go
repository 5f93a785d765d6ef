package cli_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-ca/signet"
)

// watch looks at each request as the strictest servers do, and says what is wrong with it.
func (s *hostileACME) watch(t *testing.T, r *http.Request, used map[string]bool) map[string]any {
	t.Helper()
	wrong := func(format string, args ...any) {
		t.Errorf("%s %s: %s", r.Method, r.URL.Path, fmt.Sprintf(format, args...))
	}
	if agent := r.Header.Get("User-Agent"); !strings.Contains(agent, "signet") {
		wrong("User-Agent %q", agent)
	}
	if r.Header.Get("Replay-Nonce") != "" {
		wrong("a nonce in the header of the request")
	}
	if r.Method != http.MethodPost {
		if r.URL.Path != "/dir" && r.URL.Path != "/nonce" {
			wrong("not signed")
		}
		return nil
	}
	if kind := r.Header.Get("Content-Type"); kind != "application/jose+json" {
		wrong("Content-Type %q", kind)
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var message map[string]string
	if err := json.Unmarshal(body, &message); err != nil || len(message) != 3 || message["protected"] == "" || message["signature"] == "" {
		wrong("no flattened JWS of three members: %s", body)
	}
	var header struct {
		Alg, URL, Nonce string
		KID             *string
		JWK             json.RawMessage
	}
	raw, _ := base64.RawURLEncoding.DecodeString(message["protected"])
	if err := json.Unmarshal(raw, &header); err != nil || header.Alg != "ES256" || header.URL != s.URL+r.URL.Path {
		wrong("header %s, %v", raw, err)
	}
	if (header.KID == nil) == (header.JWK == nil) || (r.URL.Path == "/account") != (header.JWK != nil) || header.KID != nil && *header.KID != s.URL+"/account/1" {
		wrong("kid and jwk: %s", raw)
	}
	s.mu.Lock()
	if used[header.Nonce] || header.Nonce == "" {
		wrong("the nonce %q again", header.Nonce)
	}
	used[header.Nonce] = true
	s.mu.Unlock()
	payload, err := base64.RawURLEncoding.DecodeString(message["payload"])
	if err != nil {
		wrong("payload %v", err)
	}
	read := slices.Contains([]string{"/authz", "/cert", "/alternate", "/order/1"}, r.URL.Path)
	if read != (len(payload) == 0) || r.URL.Path == "/challenge" && string(payload) != "{}" {
		wrong("payload %q", payload)
	}
	var members map[string]any
	if len(payload) > 0 {
		if err := json.Unmarshal(payload, &members); err != nil || members["resource"] != nil || members["keyAuthorization"] != nil {
			wrong("payload %q", payload)
		}
	}
	return members
}

// What careful servers do, and ours has to cope with: RFC 8555 in its less usual forms. Each request
// is held against the rules that Pebble and Boulder enforce.
func TestACMEClientKeepsToTheProtocol(t *testing.T) {
	t.Parallel()
	type server struct {
		*hostileACME
		posts, polls atomic.Int32
	}
	order := func(s *server, w http.ResponseWriter, status, more string) {
		fmt.Fprintf(w, `{"status":%q,"identifiers":[{"type":"dns","value":"web.internal"}],"authorizations":["%[2]s/authz"],"finalize":"%[2]s/finalize"%[3]s}`, status, s.URL, more)
	}
	// A certificate that is ready at the third look.
	slow := func(again func() string) func(s *server) map[string]http.HandlerFunc {
		return func(s *server) map[string]http.HandlerFunc {
			processing := func(w http.ResponseWriter) {
				w.Header().Set("Retry-After", again())
				w.Header().Set("Location", s.URL+"/order/1")
				order(s, w, "processing", "")
			}
			return map[string]http.HandlerFunc{
				"/finalize": func(w http.ResponseWriter, r *http.Request) { s.takeCSR(r); processing(w) },
				"/order/1": func(w http.ResponseWriter, _ *http.Request) {
					if s.polls.Add(1) < 2 {
						processing(w)
						return
					}
					order(s, w, "valid", `,"certificate":"`+s.URL+`/cert"`)
				},
			}
		}
	}
	directory := func(meta string) func(s *server) map[string]http.HandlerFunc {
		return func(s *server) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{"/dir": func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"newNonce":"%[1]s/nonce","newAccount":"%[1]s/account","newOrder":"%[1]s/order","revokeCert":"%[1]s/revoke","keyChange":"%[1]s/key","kZ3xQ":"https://example.com/random"%[2]s}`, s.URL, meta)
			}}
		}
	}
	for _, tt := range []struct {
		name  string
		bend  func(s *server) map[string]http.HandlerFunc
		terms bool // are to be agreed to
		busy  bool // every third good nonce is refused
		code  int
		words string
	}{
		{name: "plain"},
		{name: "good nonces that are refused", busy: true},
		{name: "a member of the directory that nobody knows", bend: directory("")},
		{name: "terms of service", bend: directory(`,"meta":{"termsOfService":"https://example.com/terms"}`), terms: true},
		{name: "a slow certificate, in seconds", bend: slow(func() string { return "1" })},
		{name: "a slow certificate, by date", bend: slow(func() string { return time.Now().UTC().Add(time.Second).Format(http.TimeFormat) })},
		{name: "an order that is ready at once", bend: func(s *server) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/order": func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", s.URL+"/order/1")
					w.WriteHeader(http.StatusCreated)
					order(s, w, "ready", "")
				},
				"/authz": func(w http.ResponseWriter, _ *http.Request) {
					fmt.Fprint(w, s.authz("valid", "web.internal", goodToken, ""))
				},
				"/challenge": func(http.ResponseWriter, *http.Request) {
					t.Error("a challenge of an order that is ready was answered")
				},
			}
		}},
		{name: "alternate chains", bend: func(s *server) map[string]http.HandlerFunc {
			cert := func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/pem-certificate-chain")
				w.Header().Add("Link", "<"+s.URL+`/dir>;rel="index"`)
				w.Header().Add("Link", "<"+s.URL+`/alternate>;rel="alternate"`)
				_, _ = w.Write(signet.EncodePEM(s.certificate("web.internal", s.csr.PublicKey)))
			}
			return map[string]http.HandlerFunc{"/cert": cert, "/alternate": cert}
		}},
		{name: "a deactivated account", code: 1, words: "refuses with unauthorized: the account is deactivated", bend: func(*server) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{"/account": problem(403, `{"type":"urn:ietf:params:acme:error:unauthorized","detail":"the account is deactivated"}`)}
		}},
		{name: "an expired order", code: 1, words: "refuses with malformed: no such order", bend: func(*server) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{"/finalize": problem(404, `{"type":"urn:ietf:params:acme:error:malformed","detail":"no such order"}`)}
		}},
		{name: "an order that is not ready", code: 1, words: "order pending, authorizations remaining", bend: func(*server) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{"/finalize": problem(403, `{"type":"urn:ietf:params:acme:error:orderNotReady","detail":"wait"}`)}
		}},
		{name: "a name that is refused", code: 1, words: "web.internal: on a list", bend: func(*server) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{"/order": problem(400, `{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"x","subproblems":[{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"on a list","identifier":{"type":"dns","value":"web.internal"}}]}`)}
		}},
		{name: "an unknown profile", code: 1, words: "refuses with invalidProfile", bend: func(*server) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{"/order": problem(400, `{"type":"urn:ietf:params:acme:error:invalidProfile","detail":"no such profile"}`)}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, used := &server{hostileACME: newHostileACME(t, nil)}, map[string]bool{}
			bend := map[string]http.HandlerFunc{}
			if tt.bend != nil {
				bend = tt.bend(s)
			}
			agreed := false
			s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				members := s.watch(t, r, used)
				if r.URL.Path == "/account" && members["onlyReturnExisting"] == nil {
					agreed = members["termsOfServiceAgreed"] == true
				}
				w.Header().Set("Replay-Nonce", fmt.Sprintf("n%d", time.Now().UnixNano()))
				if r.Method == http.MethodPost && s.posts.Add(1)%3 == 0 && tt.busy {
					problem(400, `{"type":"urn:ietf:params:acme:error:badNonce","detail":"again"}`)(w, r)
					return
				}
				if h := bend[r.URL.Path]; h != nil {
					w.Header().Set("Content-Type", "application/json")
					h(w, r)
					return
				}
				s.serve(w, r)
			})
			w := newWorld(t)
			if code := w.acme(s.hostileACME); code != tt.code || !strings.Contains(w.stderr.String(), tt.words) {
				t.Errorf("exit %d: %s", code, &w.stderr)
			}
			if kept := strings.Contains(w.files(), "web.crt web.key"); kept != (tt.code == 0) {
				t.Errorf("files %s", w.files())
			}
			if agreed != tt.terms {
				t.Errorf("agreed to terms: %t", agreed)
			}
		})
	}
}
