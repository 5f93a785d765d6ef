package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/server"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

var longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// requestLines gives the lines of the request log that contain a text.
func (n *node) requestLines(text string) []string {
	var lines []string
	for _, line := range strings.Split(n.log.String(), "\n") {
		if strings.Contains(line, text) && strings.Contains(line, "request-id") {
			lines = append(lines, line)
		}
	}
	return lines
}

// The text of the request log is that of slog's own handler, which it replaces.
func TestRequestLogAsTextIsThatOfSlog(t *testing.T) {
	t.Parallel()
	clock := regexp.MustCompile(`^time=\S+`)
	for _, s := range []string{"", "plain", "two words", `a"quote`, "a=b", `back\slash`, "line\nbreak", "\x7f", "\x1b[31m", "Käse", "\u00a0", "\u200b", "\xff", "日本", "a\u2028"} {
		for _, level := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			r := request(t, "POST", "https://localhost/1.0/sign?"+url.QueryEscape(s), nil)
			r.Header["User-Agent"], r.Header["Referer"] = []string{s}, []string{s}
			own, slogs := server.LogLines(r, level, s, "serial", "123", "sans", map[string][]string{"dns": {s, "x"}}, "n", 3, "u", uint64(7), "ok", true, s+"k", []string{s})
			own, slogs = clock.ReplaceAllString(own, ""), clock.ReplaceAllString(slogs, "")
			if own != slogs {
				t.Errorf("%q:\nown  %s\nslog %s", s, own, slogs)
			}
		}
	}
}

func TestRequestLogAsJSON(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.configure(map[string]any{"logger": map[string]any{"format": "json", "traceHeader": "X-Trace"}})
	n.start()
	r := request(t, "POST", n.url("/1.0/sign"), bytes.NewReader(n.signBody("json.example.com")))
	r.Header.Set("X-Trace", "trace-1")
	r.Header.Set("User-Agent", "probe")
	r.Header.Set("Referer", "https://example.com/")
	cert := n.leaf(roundTrip(n.dial(), r))
	n.get("/1.0/nothing?x=1")
	n.logged(0, "/1.0/nothing")
	lines := n.requestLines("trace-1")
	if len(lines) != 1 {
		t.Fatalf("%d lines for one request", len(lines))
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"request-id": "trace-1", "remote-address": "127.0.0.1", "name": "ca", "user-id": "", "method": "POST", "path": "/1.0/sign",
		"protocol": "HTTP/2.0", "status": 201.0, "referer": "https://example.com/", "user-agent": "probe", "level": "info", "msg": "",
		"serial": cert.SerialNumber.String(), "subject": "json.example.com", "issuer": n.Intermediate.Subject.CommonName,
		"public-key": "ECDSA P-256", "provisioner": testca.Provisioner + " (" + n.KeyID + ")",
	} {
		if fmt.Sprint(got[name]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for _, name := range []string{"time", "fields.time", "duration", "duration-ns", "size", "sans", "valid-from", "valid-to", "certificate"} {
		if got[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if lines = n.requestLines("/1.0/nothing"); len(lines) != 1 || !strings.Contains(lines[0], `"level":"warning"`) || !strings.Contains(lines[0], "?x=1") {
		t.Errorf("a wrong address is logged as %q", lines)
	}
	n.stop()
}

func TestRequestLogAsText(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.configure(map[string]any{"logger": map[string]any{}})
	n.env = []string{"STEP_LOGGER_LOG_REAL_IP=1", "STEP_LOGGER_ONLY_TRACE_HEALTH_ENDPOINT=1"}
	n.start()
	r := request(t, "GET", n.url("/roots"), nil)
	r.Header.Set("X-Forwarded-For", "192.0.2.7, 10.0.0.1")
	r.Header.Set("X-Real-IP", "no address")
	roundTrip(n.dial(), r)
	n.get("/health")
	n.get("/version")
	n.logged(0, "path=/version")
	lines := n.requestLines("path=/roots")
	if len(lines) != 1 || !strings.Contains(lines[0], "remote-address=192.0.2.7") || !strings.Contains(lines[0], "fields.time=") || !strings.Contains(lines[0], "level=info") {
		t.Errorf("/roots is logged as %q", lines)
	}
	if lines := n.requestLines("path=/health"); len(lines) > 0 {
		t.Errorf("/health is logged: %q", lines)
	}
	n.stop()
}

func TestRequestLogInCommonFormat(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.configure(map[string]any{"logger": map[string]any{"format": "common"}})
	n.start()
	r := request(t, "GET", n.url("/health?a=%22b"), nil)
	r.Header.Set("X-Request-Id", "id-1")
	roundTrip(n.dial(), r)
	n.logged(0, "id-1 ")
	line := regexp.MustCompile(`(?m)^id-1 127\.0\.0\.1 ca - \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) [0-9.]+[nµm]?s "GET /health\?a=%22b HTTP/2\.0" 200 16$`)
	if !line.MatchString(n.log.String()) {
		t.Error("no line in the common format")
	}
	n.stop()
}

func TestNoLoggerNoRequestLog(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	n.get("/version")
	n.stop()
	if strings.Contains(n.log.String(), "/version") {
		t.Error("a request is logged without a logger")
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, c := range []struct {
		name, header, value string
		echoed              bool
	}{
		{"of the client", "X-Request-Id", "6f9d2f5e-1", true},
		{"in the old header", "X-Smallstep-Id", "abc", true},
		{"of 128 characters", "X-Request-Id", strings.Repeat("a", 128), true},
		{"of 129 characters", "X-Request-Id", strings.Repeat("a", 129), false},
		{"with a space", "X-Request-Id", "a b", false},
		{"with a tabulator", "X-Request-Id", "a\tb", false},
		{"not in ASCII", "X-Request-Id", "\u00e9", false},
		{"none", "X-Other", "x", false},
	} {
		for _, path := range []string{"/health", "/nothing", "/1.0/sign"} {
			r := request(t, "GET", n.url(path), nil)
			r.Header.Set(c.header, c.value)
			got := roundTrip(n.dial(), r).header.Get("X-Request-Id")
			if c.echoed != (got == c.value) || !c.echoed && !uuid.MatchString(got) {
				t.Errorf("an ID %s comes back from %s as %q", c.name, path, got)
			}
		}
	}
	n.stop()
}

// Canaries go in everywhere a secret may go in; they come out nowhere.
func TestSEC17_SecretsNeverComeOut(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	metrics := freeAddress(t)
	lock(t, n.path("intermediate.key"), "canary-password")
	n.configure(map[string]any{"logger": map[string]any{"format": "json"}, "metricsAddress": metrics, "password": "canary-password"})
	n.start()
	key, err := os.ReadFile(n.path("intermediate.key"))
	if err != nil {
		t.Fatal(err)
	}
	var answers strings.Builder
	send := func(r *http.Request) {
		a := roundTrip(n.dial(), r)
		answers.WriteString(a.body)
	}
	good := n.Token("good.example.com", testca.SANs("good.example.com"))
	denied := n.Token("denied.example.com", testca.SANs("other.example.com"))
	expired := n.Token("old.example.com", testca.Expiry(longAgo))
	canary := n.Token("canary.example.com", testca.Claim("secret", "canary-claim"), testca.Audience("https://elsewhere.example.com"))
	tokens := []string{good, denied, expired, canary}
	for _, token := range tokens {
		for _, path := range []string{"/1.0/sign", "/1.0/revoke", "/1.0/renew", "/1.0/ssh/sign"} {
			r := request(t, "POST", n.url(path), bytes.NewReader(n.signBodyFor("good.example.com", token)))
			r.Header.Set("Authorization", "Bearer "+token)
			send(r)
		}
	}
	r := request(t, "POST", n.url("/1.0/sign"), strings.NewReader(`{"ott": "canary-garbage", "csr": "-----BEGIN PRIVATE KEY-----canary-key"`))
	r.Header.Set("Authorization", "Basic Y2FuYXJ5")
	r.Header.Set("Cookie", "canary-cookie")
	send(r)
	n.configure(map[string]any{"password": "canary-wrong"})
	n.reload(refused)
	answers.WriteString(n.fetch("http://" + metrics + "/metrics").body)
	n.stop()
	places := map[string]string{"log": n.log.String(), "answers": answers.String(), "audit": n.audit()}
	secrets := []string{"canary-password", "canary-wrong", "canary-claim", "canary-garbage", "canary-key", "canary-cookie", "Y2FuYXJ5", string(key[100:160])}
	for _, token := range tokens {
		parts := strings.Split(token, ".")
		secrets = append(secrets, parts[1], parts[2])
	}
	for place, text := range places {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("the %s shows %.60s", place, secret)
			}
		}
	}
}

// audit is every audit entry as text.
func (n *node) audit() string {
	n.t.Helper()
	var text strings.Builder
	err := n.records().View(n.t.Context(), func(tx *store.Tx) error {
		for a, err := range tx.Audits(longAgo, longAgo.AddDate(100, 0, 0)) {
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, "%+v\n", a)
		}
		return nil
	})
	if err != nil || text.Len() == 0 {
		n.t.Fatalf("audit: %v, %d bytes", err, text.Len())
	}
	return text.String()
}
