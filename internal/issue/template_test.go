package issue_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

func TestTemplateTextIsLiteralOrBase64(t *testing.T) {
	t.Parallel()
	const text = `{"subject":"x"}`
	encoded := base64.StdEncoding.EncodeToString([]byte(text))
	for _, c := range []struct {
		proves, configured string
		ok                 bool
	}{
		{"literal", text, true},
		{"literal in white space", "\n\t " + text + "\n", true},
		{"base64", encoded, true},
		{"base64 in lines", encoded[:8] + "\n  " + encoded[8:] + "\n", true},
		{"neither", "subject: x", false},
		{"base64 without padding", strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(text+" ")), "="), false},
		{"empty", " ", false},
		{"too long", `{"subject":"` + strings.Repeat("x", 1<<20) + `"}`, false},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			tmpl, err := issue.CompileX509Template("web", c.configured)
			if c.ok != (err == nil) {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				if !fault.Is(err, fault.Invalid) {
					t.Errorf("a fault of kind %v", fault.KindOf(err))
				}
				return
			}
			out, err := tmpl.Render(nil)
			if err != nil || strings.TrimSpace(string(out)) != text {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}

func TestTemplateComplaintsNameLineAndColumn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ proves, text, place, words string }{
		{"unknown function", "{\n  \"a\": {{ nope .X }}\n}", "line 2, column 11:", `function "nope" not defined`},
		{"environment", `{{ env "HOME" }}`, "line 1, column 4:", "does not read the environment"},
		{"expandenv", `{{ expandenv "$HOME" }}`, "line 1, column 4:", "templateData"},
		{"DNS", "{\n{{ getHostByName \"a\" }}}", "line 2, column 4:", "allowGetHostByName"},
		{"unclosed action", "{\n{{ .X ", "line 2, column", "unclosed action"},
		{"unknown variable", `{{ $x }}`, "line 1, column 4:", "undefined variable"},
		{"unexpected end", "{{ if .X }}\n{", "line 2, column 2:", "unexpected EOF"},
		{"wrong token", `{{ .X }} {{ ) }}`, "line 1, column 13:", "unexpected"},
		{"changing a number", `{{ .Insecure.CR.PublicKey.N.SetInt64 1 }}`, "line 1, column", "SetInt64"},
		{"changing a curve", `{{ 1 | (.K.Curve.Params).N.SetInt64 }}`, "line 1, column", "SetInt64"},
		{"endless primes", `{{ $n := .N }}{{ 1000000000 | $n.ProbablyPrime }}`, "line 1, column", "ProbablyPrime"},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			_, err := issue.CompileX509Template("web", c.text)
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{"web", c.place, c.words} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q misses %q", err, want)
				}
			}
		})
	}
}

func TestTemplateClaimsMayHaveNamesOfMethods(t *testing.T) {
	t.Parallel()
	out, err := compile(t, `{{ .Token.Exp }} {{ .Now.Add 0 | typeOf }}`).Render(map[string]any{"Token": map[string]any{"Exp": "7"}, "Now": time.Unix(0, 0)})
	if err != nil || string(out) != "7 time.Time" {
		t.Errorf("%q, %v", out, err)
	}
}

// Whatever a template does, it ends: in an error, in bounded memory.
func TestTemplateIsStopped(t *testing.T) {
	t.Parallel()
	data := map[string]any{"list": make([]any, 60000), "big": strings.Repeat("a", 60000)}
	for _, c := range []struct{ proves, text string }{
		{"endless empty loop", `{{ range 9223372036854775807 }}{{ end }}`},
		{"endless loop with a condition", `{{ range 9223372036854775807 }}{{ if false }}{{ end }}{{ end }}`},
		{"loops in loops", `{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}`},
		{"loop over data in loops", `{{ range $.list }}{{ range $.list }}{{ range $.list }}{{ end }}{{ end }}{{ end }}`},
		{"recursion", `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`},
		{"recursion in two directions", `{{ define "a" }}{{ template "b" . }}{{ template "b" . }}{{ end }}{{ define "b" }}{{ template "a" . }}{{ template "a" . }}{{ end }}{{ template "a" . }}`},
		{"doubling templates", doublingTemplates(40)},
		{"output", `{{ range 100000 }}xxxxxxxxxxxxxxxx{{ end }}`},
		{"output of one action", `{{ .big }}{{ .big }}{{ .big }}{{ .big }}{{ .big }}`},
		{"repeat", `{{ repeat 1000000000 "x" }}`},
		{"repeat of nothing is fine, of much is not", `{{ repeat 100 (repeat 100 (repeat 100 (repeat 100 "x"))) }}`},
		{"negative repeat", `{{ repeat -1 "x" }}`},
		{"until", `{{ until 1000000000 }}`},
		{"until below", `{{ until -1000000000 }}`},
		{"untilStep that overflows", `{{ untilStep 9223372036854775806 9223372036854775807 2 }}`},
		{"seq", `{{ seq 1 1000000000 }}`},
		{"seq with step", `{{ seq 0 1 9223372036854775807 }}`},
		{"indent", `{{ indent 1000000000 "x" }}`},
		{"nindent", `{{ nindent 1000000000 "x" }}`},
		{"indent of lines", `{{ indent 10000 (repeat 1000 "\n") }}`},
		{"wrapWith", `{{ wrapWith 1 (repeat 10000 "x") .big }}`},
		{"replace", `{{ replace "a" (repeat 1000 "xx") .big }}`},
		{"replace of nothing", `{{ replace "" (repeat 1000 "xx") .big }}`},
		{"join", `{{ join (repeat 1000 "xx") .list }}`},
		{"doubling by printf", `{{ $x := "aaaaaaaa" }}{{ range 60 }}{{ $x = printf "%s%s" $x $x }}{{ end }}`},
		{"doubling by print", `{{ $x := "aaaaaaaa" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}`},
		{"doubling by cat", `{{ $x := "aaaaaaaa" }}{{ range 60 }}{{ $x = cat $x $x }}{{ end }}`},
		{"doubling by html", `{{ $x := "<" }}{{ range 60 }}{{ $x = html $x $x }}{{ end }}`},
		{"doubling by concat", `{{ $x := list 1 2 }}{{ range 60 }}{{ $x = concat $x $x }}{{ end }}`},
		{"doubling by list", `{{ $x := list 1 2 }}{{ range 60 }}{{ $x = list $x $x }}{{ end }}`},
		{"doubling by dict", `{{ $x := dict }}{{ range 60 }}{{ $x = dict "a" $x "b" $x }}{{ end }}`},
		{"doubling by b64enc", `{{ $x := .big }}{{ range 60 }}{{ $x = b64enc $x }}{{ end }}`},
		{"doubling by toJson", `{{ $x := "\"" }}{{ range 60 }}{{ $x = toJson $x }}{{ end }}`},
		{"doubling by regex", `{{ $x := "aa" }}{{ range 60 }}{{ $x = regexReplaceAll ".*" $x "$0$0" }}{{ end }}`},
		{"many kept values", `{{ $d := list }}{{ range 100000 }}{{ $d = append $d (repeat 1000000 "x") }}{{ end }}`},
		{"printf widths", `{{ printf "%900000d%900000d%900000d" 1 1 1 }}`},
		{"printf width of an argument", `{{ printf "%*d%*d" 900000 1 900000 1 }}`},
		{"printf one argument again and again", `{{ printf (repeat 1000 "%[1]s") .big }}`},
		{"a map in itself", `{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ $d }}`},
		{"a map in itself by two steps", `{{ $d := dict }}{{ $e := dict "d" $d }}{{ $_ := set $d "e" $e }}{{ toString $d }}`},
		{"a map in itself by merge", `{{ $d := dict }}{{ $_ := merge $d (dict "a" $d) }}{{ printf "%v" $d }}`},
		{"a map in itself by mergeOverwrite", `{{ $d := dict }}{{ $_ := mergeOverwrite $d (dict "a" (dict "b" $d)) }}{{ $d }}`},
		{"deep JSON", `{{ fromJson (print (repeat 5000 "[") (repeat 5000 "]")) }}`},
		{"random text", `{{ randAlphaNum 100000000 }}`},
		{"random bytes", `{{ randBytes 100000000 }}`},
		{"costly regex", `{{ regexMatch "(a{1,500}){2}b" .big }}`},
		{"long regex", `{{ regexMatch (repeat 50000 "a?") .big }}`},
		{"uniq", `{{ uniq .list }}`},
		{"without", `{{ without .list .list 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 }}`},
		{"chunk by nothing", `{{ chunk 0 (list 1 2) }}`},
		{"panic in a function", `{{ substr 5 2 "abc" }}`},
		{"random number of nothing", `{{ randInt 3 3 }}`},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			tmpl := compile(t, c.text)
			_, err := tmpl.Render(data)
			te, ok := errors.AsType[*issue.TemplateError](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if !fault.Is(err, fault.Internal) || te.Template != "test" {
				t.Errorf("a fault of kind %v: %v", fault.KindOf(err), err)
			}
			// The runner is fit for the next run.
			if _, again := tmpl.Render(data); again == nil {
				t.Error("the second run succeeds")
			}
		})
	}
}

// Costly functions use up the time rather than the work.
func TestTemplateIsStoppedByTheClock(t *testing.T) {
	t.Parallel()
	_, err := compile(t, `{{ range 100000 }}{{ $_ := bcrypt "x" }}{{ end }}`).Render(nil)
	if te, ok := errors.AsType[*issue.TemplateError](err); !ok || te.Stage != "limit" || !strings.Contains(te.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}

// doublingTemplates call the next one twice, so many levels deep.
func doublingTemplates(levels int) string {
	var b strings.Builder
	name := func(i int) string { return "t" + strings.Repeat("i", i) }
	for i := range levels {
		b.WriteString(`{{ define "` + name(i) + `" }}{{ template "` + name(i+1) + `" . }}{{ template "` + name(i+1) + `" . }}{{ end }}`)
	}
	return b.String() + `{{ define "` + name(levels) + `" }}{{ end }}{{ template "` + name(0) + `" . }}`
}

func TestTemplateErrorNamesThePlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		proves, text, stage string
		line, column        int
	}{
		{"function", "{\n {{ atoi (index .a 5) }}}", "run", 2, 11},
		{"loop", "{\n\n   {{ range 9999999999 }}{{ end }}}", "limit", 3, 13},
		{"output", "{\"subject\":\n  \"a\", \"keyUsage\": [}", "output", 2, 21},
		{"usage", `{"keyUsage":"fly"}`, "output", 1, 13},
		{"wrong type", `{"subject":"a",` + "\n" + `"dnsNames":7}`, "output", 2, 12},
		{"nothing", `{{ "" }}`, "output", 1, 1},
		{"null", `{{ "null" }}`, "output", 1, 1},
		{"list", `{{ "[]" }}`, "output", 1, 1},
		{"more than one", `{"subject":"a"} {}`, "output", 1, 17},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			_, err := compile(t, c.text).Draft(map[string]any{"a": []any{}})
			te, ok := errors.AsType[*issue.TemplateError](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if te.Stage != c.stage || te.Line != c.line || te.Column != c.column {
				t.Errorf("%s at %d:%d, want %s at %d:%d: %v", te.Stage, te.Line, te.Column, c.stage, c.line, c.column, te)
			}
		})
	}
}

func TestTemplateErrorHidesData(t *testing.T) {
	t.Parallel()
	_, err := compile(t, `{"subject":{{ .secret }}}`).Draft(map[string]any{"secret": "hunter2"})
	if err == nil || strings.Contains(err.Error(), "unter") {
		t.Errorf("got %v", err)
	}
	if words := fault.Of(err).Message; strings.Contains(words, "test") {
		t.Errorf("the caller hears %q", words)
	}
}

func TestTemplateFail(t *testing.T) {
	t.Parallel()
	_, err := compile(t, `{{ if not .Insecure.User.dept }}{{ fail "dept is required" }}{{ end }}{}`).Draft(map[string]any{})
	if !fault.Is(err, fault.Invalid) || !strings.HasSuffix(fault.Of(err).Message, ": dept is required") {
		t.Errorf("got %v", err)
	}
}

func TestTemplateRefusals(t *testing.T) {
	t.Parallel()
	const internal, denied = fault.Internal, fault.Denied
	for _, c := range []struct {
		proves, text string
		kind         fault.Kind
	}{
		{"CA by data", `{"subject":"x",{{ .ca }}}`, denied},
		{"certSign by data", `{"subject":"x","keyUsage":{{ .usage }}}`, denied},
		{"CA by raw extension", `{"subject":"x","extensions":[{"id":"2.5.29.19","value":"MAMBAf8="}]}`, denied},
		{"certSign by raw extension", `{"subject":"x","extensions":[{"id":"2.5.29.15","value":"AwICBA=="}]}`, denied},
		{"unreadable basicConstraints", `{"subject":"x","extensions":[{"id":"2.5.29.19","value":"BQA="}]}`, denied},
		{"certSign without CA", `{"subject":"x","keyUsage":"certSign","basicConstraints":{"isCA":false}}`, denied},
		{"serial number", `{"subject":"x","serialNumber":"7"}`, denied},
		{"no value in the subject", `{"subject":"{{ .nope }}"}`, denied},
		{"no value in a name", `{"dnsNames":"{{ .nope }}"}`, denied},
		{"no value in a typed name", `{"sans":[{"type":"1.2.3","value":"utf8:{{ .nope }}"}]}`, denied},
		{"person among typed names", `{"dnsNames":"Ann Example","sans":[{"type":"registeredID","value":"1.2.3"}]}`, denied},
		{"host name with a comma", `{"dnsNames":"a,b"}`, denied},
		{"host name with NUL", `{"dnsNames":"a\u0000b"}`, denied},
		{"wildcard in the middle", `{"sans":[{"type":"dns","value":"a.*.b"}]}`, denied},
		{"doubled extension", `{"extensions":[{"id":"1.2.3","value":"BQA="},{"id":"1.2.3","value":"BQA="}]}`, internal},
		{"extension without value", `{"extensions":[{"id":"1.2.3"}]}`, internal},
		{"extension of two elements", `{"extensions":[{"id":"1.2.3","value":"BQAFAA=="}]}`, internal},
		{"bad address", `{"ipAddresses":"10.0.0"}`, internal},
		{"list in a list", `{"dnsNames":[["a.example"]]}`, internal},
		{"object in a list", `{"dnsNames":["a.example",{}]}`, internal},
		{"number in a list", `{"dnsNames":["a.example",5]}`, internal},
		{"bad typed address", `{"sans":[{"type":"ip","value":"10.0.0"}]}`, internal},
		{"bad URI", `{"uris":"%zz:"}`, internal},
		{"email beyond ASCII", `{"emailAddresses":"é@b"}`, internal},
		{"unknown SAN type", `{"sans":[{"type":"phone","value":"1"}]}`, internal},
		{"SAN type nobody has", `{"sans":[{"type":"x400Address","value":"1"}]}`, internal},
		{"SAN of nothing", `{"sans":[{"type":"auto","asn1Value":{}}]}`, internal},
		{"empty directory name", `{"sans":[{"type":"dn","asn1Value":{}}]}`, internal},
		{"directory name of text", `{"sans":[{"type":"dn","value":"ann"}]}`, internal},
		{"hardware module without type", `{"sans":[{"type":"hardwareModuleName","asn1Value":{}}]}`, internal},
		{"raw text that is no DER", `{"sans":[{"type":"1.2.3","value":"raw:AAAA"}]}`, internal},
		{"extra name that is a number", `{"subject":{"extraNames":[{"type":"1.2.3","value":7}]}}`, internal},
		{"extra name without type", `{"subject":{"extraNames":[{"value":"x"}]}}`, internal},
		{"raw subject that is none", `{"rawSubject":"AQID"}`, internal},
		{"unknown usage", `{"keyUsage":["digitalSignature","x"]}`, internal},
		{"unknown purpose", `{"extKeyUsage":"x"}`, internal},
		{"OID with a leading zero", `{"unknownExtKeyUsage":"1.02.3"}`, internal},
		{"OID outside the tree", `{"unknownExtKeyUsage":"3.1"}`, internal},
		{"bad time", `{"notAfter":"tomorrow"}`, internal},
		{"bad base64", `{"subjectKeyId":"AQ"}`, internal},
		{"path length below -1", `{"basicConstraints":{"isCA":true,"maxPathLen":-2}}`, internal},
		{"bad block", `{"nameConstraints":{"permittedIPRanges":"10.0.0.1"}}`, internal},
		{"unknown algorithm", `{"signatureAlgorithm":"SHA256-DES"}`, internal},
		{"SHA-1", `{"signatureAlgorithm":"ECDSA-SHA1"}`, internal},
		{"MD5", `{"signatureAlgorithm":"md5-rsa"}`, internal},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			cert, err := compile(t, c.text).Draft(map[string]any{
				"ca":    `"basicConstraints":{"isCA":true}`,
				"usage": `["certSign","crlSign"]`,
			})
			if err == nil {
				t.Fatalf("drafted %+v", cert)
			}
			if fault.KindOf(err) != c.kind {
				t.Errorf("a fault of kind %v, want %v: %v", fault.KindOf(err), c.kind, err)
			}
			if c.kind == internal && !strings.Contains(fault.Of(err).Message, "template") {
				t.Errorf("the caller hears %q", fault.Of(err).Message)
			}
		})
	}
}

func TestTemplateSerialNumber(t *testing.T) {
	t.Parallel()
	opts := issue.TemplateOptions{AllowSerial: true}
	for value, want := range map[string]string{
		`"0x1F"`: "31", `"017"`: "15", `"0b101"`: "5", `"0o17"`: "15", `31`: "31", `"31"`: "31", `null`: "none",
		`"0"`: "", `0`: "", `-1`: "", `"-5"`: "", `"x"`: "", `1.5`: "",
		`"0x7fffffffffffffffffffffffffffffffffffffff"`: "730750818665451459101842416358141509827966271487",
		`"0x8000000000000000000000000000000000000000"`: "",
	} {
		tmpl, err := opts.CompileX509("serial", `{"subject":"x","serialNumber":`+value+`}`)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := tmpl.Draft(nil)
		got := ""
		if err == nil {
			got = "none"
			if cert.SerialNumber != nil {
				got = cert.SerialNumber.String()
			}
		}
		if got != want {
			t.Errorf("%s: got %q (%v), want %q", value, got, err, want)
		}
	}
}

func TestTemplateOptions(t *testing.T) {
	t.Parallel()
	draft := func(o issue.TemplateOptions, text string, data map[string]any) (*x509.Certificate, error) {
		tmpl, err := o.CompileX509("test", text)
		if err != nil {
			return nil, err
		}
		return sealed(t, tmpl, data)
	}
	if _, err := draft(issue.TemplateOptions{MissingKeyError: true}, `{"subject":{{ toJson .nope }}}`, map[string]any{}); err == nil {
		t.Error("MissingKeyError lets a missing variable pass")
	}
	if _, err := draft(issue.TemplateOptions{Strict: true}, `{"subjects":"x"}`, nil); err == nil {
		t.Error("Strict lets an unknown member pass")
	}
	cert, err := draft(issue.TemplateOptions{AutoEscape: true}, `{"subject":"{{ .cn }}","dnsNames":"a.b"}`, map[string]any{"cn": `x","basicConstraints":{"isCA":true},"y":"` + "\n"})
	if err != nil {
		t.Fatalf("AutoEscape: %v", err)
	}
	if want := `x","basicConstraints":{"isCA":true},"y":"` + "\n"; cert.Subject.CommonName != want {
		t.Errorf("AutoEscape: the common name is %q", cert.Subject.CommonName)
	}
	cert, err = draft(issue.TemplateOptions{HardwareModuleNameCompat: true}, `{"subject":"x","sans":[{"type":"hardwareModuleName","asn1Value":{"type":"1.2.3.4","serialNumber":"AQID"}}]}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := extension(cert, oidSAN), "301aa01806082b06010505070804a00c300a06032a03048403010203"; got != want {
		t.Errorf("HardwareModuleNameCompat: %s, want %s", got, want)
	}
	if _, err := (issue.TemplateOptions{AllowGetHostByName: true}).CompileX509("test", `{{ getHostByName "x" }}`); err != nil {
		t.Errorf("AllowGetHostByName: %v", err)
	}
	if _, err := (issue.TemplateOptions{Literal: true}).CompileX509("test", "\u00a0text"); err != nil {
		t.Errorf("Literal: %v", err)
	}
}

// Somebody's data pasted between quotes adds members of its choice; a CA never comes of it,
// and the operator is warned at load.
func TestTemplateInjection(t *testing.T) {
	t.Parallel()
	user := map[string]any{"cn": `x","basicConstraints":{"isCA":true},"y":"`}
	data := map[string]any{"Insecure": map[string]any{"User": user}}
	pasted := compile(t, `{"subject":"{{ .Insecure.User.cn }}"}`)
	if _, err := pasted.Draft(data); !fault.Is(err, fault.Denied) {
		t.Errorf("pasted: %v", err)
	}
	if warnings := pasted.Lint(); len(warnings) != 1 || !strings.Contains(warnings[0], "line 1, column 16") {
		t.Errorf("pasted: warnings %q", warnings)
	}
	encoded := compile(t, `{"subject":{{ toJson .Insecure.User.cn }}}`)
	cert, err := encoded.Draft(data)
	if err != nil || cert.Subject.CommonName != user["cn"] {
		t.Errorf("encoded: %v, %v", cert, err)
	}
	for _, text := range []string{
		`{"subject":{{ toJson .x }}}`, `{"a":"{{ .x | b64enc }}"}`, `{"a":"{{ len .x }}\"{{ int .x }}"}`,
		`{"a":{{ if .x }}"y"{{ else }}"z"{{ end }},"b":{{ .x }}}`, `{"a":"{{ $y := .x }}"}`,
	} {
		if warnings := compile(t, text).Lint(); len(warnings) != 0 {
			t.Errorf("%s: warnings %q", text, warnings)
		}
	}
	for _, text := range []string{`{"a":"{{ .x | upper }}"}`, `{"a":{{ if .x }}"{{ .x }}"{{ end }}}`, `{"a":"\\\"{{ .x }}"}`, `{{ define "n" }}"{{ . }}"{{ end }}{}`} {
		if warnings := compile(t, text).Lint(); len(warnings) != 1 {
			t.Errorf("%s: warnings %q", text, warnings)
		}
	}
}

func TestSettleChecksTheWhole(t *testing.T) {
	t.Parallel()
	issuer := func(pathLen int) *x509.Certificate {
		return &x509.Certificate{MaxPathLen: pathLen, MaxPathLenZero: pathLen == 0, SubjectKeyId: []byte{1, 2}}
	}
	for _, c := range []struct {
		proves, text string
		issuer       *x509.Certificate
		ok           bool
	}{
		{"CA below an issuer without limit", `{"basicConstraints":{"isCA":true,"maxPathLen":-1}}`, issuer(-1), true},
		{"CA within the limit", `{"basicConstraints":{"isCA":true,"maxPathLen":0}}`, issuer(1), true},
		{"CA at the limit", `{"basicConstraints":{"isCA":true,"maxPathLen":1}}`, issuer(1), false},
		{"CA without limit below a limit", `{"basicConstraints":{"isCA":true,"maxPathLen":-1}}`, issuer(1), false},
		{"CA below an issuer of leaves", `{"basicConstraints":{"isCA":true}}`, issuer(0), false},
		{"leaf below an issuer of leaves", `{"keyUsage":"digitalSignature"}`, issuer(0), true},
		{"the issuer's key identifier", `{"extensions":[{"id":"2.5.29.35","value":"MASAAgEC"}]}`, issuer(0), true},
		{"another key identifier", `{"extensions":[{"id":"2.5.29.35","value":"MASAAgED"}]}`, issuer(0), false},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			tmpl := compile(t, c.text)
			draft, err := tmpl.Draft(nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = issue.Settle(draft, c.issuer, tmpl.AllowsCA())
			if c.ok != (err == nil) || err != nil && !fault.Is(err, fault.Denied) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Rules see the names as encoded: those of raw subjects and raw extensions too.
func TestSEC11_RulesSeeEncodedNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ proves, text, want string }{
		{"lists", `{"subject":"cn.ok","dnsNames":"A.ok","ipAddresses":"10.0.0.1","emailAddresses":"a@ok","uris":"x://ok/"}`, `cn.ok [a.ok] [10.0.0.1] [a@ok] [x://ok/] []`},
		{"typed names", `{"sans":[{"type":"DNS","value":"A.ok"},{"type":"userPrincipalName","value":"a@ok"},{"type":"dn","asn1Value":"x"}]}`, ` [a.ok] [] [] [] [otherName directoryName]`},
		{"raw names", `{"dnsNames":"a.ok","extensions":[{"id":"2.5.29.17","value":"MAaCBGV2aWw="}]}`, ` [evil] [] [] [] []`},
		{"raw subject", `{"subject":"a.ok","rawSubject":"MA8xDTALBgNVBAMTBGV2aWw="}`, `evil [] [] [] [] []`},
		{"extra common name", `{"subject":{"commonName":"a.ok","extraNames":[{"type":"2.5.4.3","value":"evil"}]}}`, `evil [] [] [] [] []`},
		{"two common names", `{"subject":{"extraNames":[{"type":"2.5.4.3","value":"evil"},{"type":"2.5.4.3","value":"a.ok"}]}}`, `evil [] [] [] [] []|a.ok [] [] [] [] []`},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			draft, err := compile(t, c.text).Draft(nil)
			if err != nil {
				t.Fatal(err)
			}
			cns, err := issue.Settle(draft, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			names, err := issue.PolicyNames(draft, cns)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range names {
				got = append(got, strings.TrimSpace(strings.Join([]string{n.CommonName, listed(n.DNS), listed(n.IPs), listed(n.Emails), listed(n.URIs), listed(n.Other)}, " ")))
			}
			if diff := cmp.Diff(strings.TrimSpace(c.want), strings.Join(got, "|")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSettleMarksNamesCriticalWithoutSubject(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{"dnsNames":"a.b"}`:                                                  true,
		`{"subject":"x","dnsNames":"a.b"}`:                                    false,
		`{"sans":[{"type":"userPrincipalName","value":"a@b"}]}`:               true,
		`{"subject":"x","sans":[{"type":"userPrincipalName","value":"a@b"}]}`: false,
		`{"extensions":[{"id":"2.5.29.17","value":"MAaCBGV2aWw="}]}`:          true,
	} {
		cert, err := sealed(t, compile(t, text), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(extension(cert, oidSAN), "critical"); got != want {
			t.Errorf("%s: critical is %v", text, got)
		}
	}
}

func TestTemplateFileIsEditedLive(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leaf.tpl")
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0).Add(age)); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"subject":"one"}`, 0)
	var warned []error
	f, err := issue.OpenX509TemplateFile(path, issue.TemplateOptions{}, func(err error) { warned = append(warned, err) })
	if err != nil {
		t.Fatal(err)
	}
	subject := func() string {
		t.Helper()
		cert, err := f.Current().Draft(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Subject.CommonName
	}
	first := f.Current()
	if subject() != "one" || f.Current() != first {
		t.Error("an unchanged file is compiled again")
	}
	write(`{"subject":"two"}`, time.Second)
	if got := subject(); got != "two" {
		t.Errorf("after an edit: %s", got)
	}
	write(`{"subject":"{{ nope }}"}`, 2*time.Second)
	if got := subject() + subject(); got != "twotwo" || len(warned) != 1 {
		t.Errorf("after a broken edit: %s, %v", got, warned)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := subject() + subject(); got != "twotwo" || len(warned) != 2 {
		t.Errorf("without file: %s, %v", got, warned)
	}
	write(`{"subject":"three"}`, 3*time.Second)
	if got := subject(); got != "three" {
		t.Errorf("after a good edit: %s", got)
	}
	write(`{"subject":"`+strings.Repeat("x", 1<<20)+`"}`, 4*time.Second)
	if got := subject(); got != "three" || len(warned) != 3 {
		t.Errorf("after an edit that is too large: %s, %v", got, warned)
	}
	if _, err := issue.OpenX509TemplateFile(path+".none", issue.TemplateOptions{}, nil); err == nil {
		t.Error("a file that is not there opens")
	}
}

func TestTemplateDataReplacesVariables(t *testing.T) {
	t.Parallel()
	data := func(constants, user string, custom bool) map[string]any {
		t.Helper()
		vars, err := (&issue.X509Data{
			Names: issue.NamesOf([]string{"x://u", "b.example", "10.0.0.1", "", "a@b", "a.example", "localhost:8443"}),
			Token: map[string]any{"sub": "ann"}, Constants: json.RawMessage(constants), User: json.RawMessage(user), Custom: custom,
			Webhooks: map[string]any{"people": map[string]any{"active": true}},
		}).Map()
		if err != nil {
			t.Fatal(err)
		}
		return vars
	}
	for _, c := range []struct {
		proves, text, want string
		data               map[string]any
	}{
		{"order of names", `{{ range .SANs }}{{ .Type }}={{ .Value }} {{ end }}`, "dns=b.example dns=a.example ip=10.0.0.1 email=a@b uri=x://u uri=localhost:8443 ", data("", "", true)},
		{"constants", `{{ .color }} {{ .Token.sub }}`, "red ann", data(`{"color":"red"}`, "", true)},
		{"constants replace whole variables", `{{ .Token.sub }}{{ .Token.x }}{{ .SANs }}`, "<no value>1[]", data(`{"Token":{"x":1},"SANs":[]}`, "", true)},
		{"constants never replace Insecure", `{{ .Insecure.User }}`, "<no value>", data(`{"Insecure":{"User":"x"}}`, "", true)},
		{"user data", `{{ .Insecure.User.dept }}`, "ops", data("", `{"dept":"ops"}`, true)},
		{"user data without a template", `{{ .Insecure.User.dept }}`, "<no value>", data("", `{"dept":"ops"}`, false)},
		{"user data that is no object", `{{ .Insecure.User }}`, "map[]", data("", `[1]`, true)},
		{"webhooks", `{{ .Webhooks.people.active }}`, "true", data("", "", true)},
		{"webhooks beside constants", `{{ .Webhooks.people.active }}{{ .Webhooks.x }}`, "true1", data(`{"Webhooks":{"x":1}}`, "", true)},
		{"webhooks instead of a text", `{{ .Webhooks.people.active }}`, "true", data(`{"Webhooks":"x"}`, "", true)},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			out, err := compile(t, `{{ "" }}`+c.text).Render(c.data)
			if err != nil || string(out) != c.want {
				t.Errorf("got %q (%v), want %q", out, err, c.want)
			}
		})
	}
	if _, err := (&issue.X509Data{Constants: json.RawMessage(`[1]`)}).Map(); err == nil || !fault.Is(err, fault.Internal) {
		t.Errorf("constants that are no object: %v", err)
	}
	own, err := issue.TemplateData(json.RawMessage(`{"SANs":[],"color":1,"Token":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"SANs", "Token"}, issue.OverriddenVariables(own)); diff != "" {
		t.Error(diff)
	}
}

// A run changes its own data and nobody else's.
func TestTemplateSharesNothing(t *testing.T) {
	t.Parallel()
	token := map[string]any{"sub": "ann", "list": []any{map[string]any{"a": "b"}}}
	vars, err := (&issue.X509Data{Token: token}).Map()
	if err != nil {
		t.Fatal(err)
	}
	tmpl := compile(t, `{{ $_ := set .Token "sub" "eve" }}{{ $_ := set (index .Token.list 0) "a" "c" }}{{ .Token.sub }}`)
	if out, err := tmpl.Render(vars); err != nil || string(out) != "eve" {
		t.Fatalf("%q, %v", out, err)
	}
	if diff := cmp.Diff(map[string]any{"sub": "ann", "list": []any{map[string]any{"a": "b"}}}, token); diff != "" {
		t.Error(diff)
	}
}

func TestTemplateRunsInParallel(t *testing.T) {
	t.Parallel()
	tmpl := compile(t, `{"subject":{{ .n | toString | toJson }},"dnsNames":[{{ range $i, $e := until .n }}{{ if $i }},{{ end }}"h{{ $i }}.example"{{ end }}]}`)
	done := make(chan error)
	for n := range 32 {
		go func() {
			cert, err := tmpl.Draft(map[string]any{"n": n})
			if err == nil && len(cert.DNSNames) != n {
				err = errors.New("mixed up")
			}
			done <- err
		}()
	}
	for range 32 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestDefaultTemplatesCompile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{issue.TemplateLeaf, issue.TemplateAttestedLeaf, issue.TemplateAdminLeaf, issue.TemplateCloudLeaf, issue.TemplateRequest, issue.TemplateIntermediate, issue.TemplateRoot} {
		tmpl := issue.DefaultX509Template(name)
		if tmpl == nil || tmpl.Name() != name || len(tmpl.Hash()) != 64 {
			t.Errorf("there is no default template %s", name)
			continue
		}
		if warnings := tmpl.Lint(); len(warnings) > 0 {
			t.Errorf("%s: %q", name, warnings)
		}
		if issue.DefaultX509Text(name) == "" {
			t.Errorf("the default template %s has no text", name)
		}
	}
	if issue.DefaultX509Template("nope") != nil {
		t.Error("a default template of any name")
	}
}
