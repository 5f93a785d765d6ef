package issue_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/issue"
)

// noEnd is the end of certificates for which the template sets none.
var noEnd = time.Unix(2e9, 0)

// sealed runs a template, settles the draft and signs it with a throw-away key, so that the
// extensions can be looked at as relying parties get them.
func sealed(t testing.TB, tmpl *issue.X509Template, data map[string]any) (*x509.Certificate, error) {
	t.Helper()
	draft, err := tmpl.Draft(data)
	if err != nil {
		return nil, err
	}
	if _, err := issue.Settle(draft, nil, tmpl.AllowsCA()); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "issuer"}, SubjectKeyId: []byte("issuer")}
	draft.NotBefore = time.Unix(1e9, 0)
	if draft.NotAfter.IsZero() {
		draft.NotAfter = noEnd
	}
	if draft.SerialNumber == nil {
		draft.SerialNumber = big.NewInt(7)
	}
	if draft.IsCA && draft.SubjectKeyId == nil {
		draft.SubjectKeyId = []byte("subject") // in place of one made from the key
	}
	der, err := x509.CreateCertificate(rand.Reader, draft, issuer, key.Public(), key)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("our own DER: %v", err)
	}
	return c, nil
}

func compile(t testing.TB, text string) *issue.X509Template {
	t.Helper()
	tmpl, err := issue.CompileX509Template("test", text)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func extension(c *x509.Certificate, oid string) string {
	for _, ext := range c.Extensions {
		if ext.Id.String() == oid {
			text := hex.EncodeToString(ext.Value)
			if ext.Critical {
				text = "critical " + text
			}
			return text
		}
	}
	return "none"
}

const (
	oidSAN = "2.5.29.17"
	oidKU  = "2.5.29.15"
)

// Vectors of the JSON of certificates: extension values as existing installations get them.
func TestTemplateVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		column := strings.Split(strings.TrimSpace(line), "\t")
		c := struct{ proves, members, oid, want string }{column[0], column[1], column[2], column[3]}
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			cert, err := sealed(t, compile(t, `{"subject":"x",`+c.members+`}`), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := extension(cert, c.oid); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// V8: a raw extension replaces what members ask for, and stands last.
func TestTemplateRawExtensionReplaces(t *testing.T) {
	t.Parallel()
	cert, err := sealed(t, compile(t, `{"subject":"x","dnsNames":"a.b","extensions":[{"id":"2.5.29.15","critical":true,"value":"AwIHgA=="}],"keyUsage":"certSign"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	last := cert.Extensions[len(cert.Extensions)-1]
	if last.Id.String() != oidKU || hex.EncodeToString(last.Value) != "03020780" {
		t.Errorf("the last extension is %s %x", last.Id, last.Value)
	}
}

func TestTemplateSubjectVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ proves, subject, want string }{
		{"V12 order", `{"country":"DE","province":"p","locality":"l","streetAddress":"s","postalCode":"1","organization":["b","a"],"organizationalUnit":"u","commonName":"x","serialNumber":"7"}`,
			"3077310b3009060355040613024445310a30080603550408130170310a3008060355040713016c310a30080603550409130173310a3008060355041113013131143008060355040a1301613008060355040a130162310a3008060355040b130175310a30080603550403130178310a30080603550405130137"},
		{"V15 extra names", `{"commonName":"x","extraNames":[{"type":"1.2.840.113549.1.9.1","value":"a@b.c"},{"type":"0.9.2342.19200300.100.1.1","value":"uid1"}]}`,
			"3038310a300806035504031301783114301206092a864886f70d01090116056140622e6331143012060a0992268993f22c640101130475696431"},
		{"text is a common name", `"x"`, "300c310a30080603550403130178"},
		{"UTF-8 where needed", `"é"`, "300d310b300906035504030c02c3a9"},
		{"an extra name replaces its member", `{"commonName":"x","extraNames":[{"type":"2.5.4.3","value":"y"}]}`, "300c310a30080603550403130179"},
		{"empty", `{}`, "3000"},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			cert, err := sealed(t, compile(t, `{"subject":`+c.subject+`,"dnsNames":"a.b"}`), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(cert.RawSubject); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// Our order does not depend on that of the Go release.
func TestEncodeSubjectEqualsCryptoX509(t *testing.T) {
	t.Parallel()
	name := pkix.Name{Country: []string{"DE"}, Province: []string{"p"}, Organization: []string{"b", "a"}, CommonName: "é", SerialNumber: "7",
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "z"}}}
	ours, err := issue.EncodeSubject(name)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := asn1.Marshal(name.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(ours) != hex.EncodeToString(theirs) {
		t.Errorf("\nours   %x\ntheirs %x", ours, theirs)
	}
}

// Vectors of the functions: what existing templates print.
func TestTemplateFunctions(t *testing.T) {
	t.Parallel()
	data := map[string]any{
		"Token": map[string]any{"exp": 1.9e9, "nbf": 1893456000.0, "sub": "ann", "https://x/claim": "odd"},
		"u":     map[string]any{"a": []any{"x", 1.0}},
	}
	for _, c := range []struct{ text, want string }{
		{`asn1Enc "foo"`, "EwNmb28="},
		{`asn1Enc "int:-1"`, "AgH/"},
		{`asn1Enc "utf8:a:b"`, "DANhOmI="},
		{`asn1Enc "a:b"`, "EwFi"},
		{`asn1Enc "numeric:12 3"`, "EgQxMiAz"},
		{`asn1Enc "utc:2030-01-02 03:04:05 +0000 UTC"`, "Fw0zMDAxMDIwMzA0MDVa"},
		{`asn1Enc "generalized:2030-01-02T03:04:05Z"`, "GA8yMDMwMDEwMjAzMDQwNVo="},
		{`asn1Enc "oid:1.2.3"`, "BgIqAw=="},
		{`asn1Enc "bool:t"`, "AQH/"},
		{`asn1Enc "ia5:a@b"`, "FgNhQGI="},
		{`asn1Marshal 5`, "AgEF"},
		{`asn1Marshal "abc" "utf8"`, "DANhYmM="},
		{`asn1Marshal "abc" "ia5" "explicit" "tag:2"`, "ogUWA2FiYw=="},
		{`asn1Marshal true`, "AQH/"},
		{`asn1Marshal (list 1 2)`, "MAYCAQECAQI="},
		{`asn1Seq (asn1Enc "utf8:x") (asn1Enc "int:5")`, "MAYMAXgCAQU="},
		{`asn1Seq`, "MAA="},
		{`asn1Set (asn1Enc "int:5") (asn1Enc "int:3")`, "MQYCAQUCAQM="},
		{`asn1SetOf (asn1Enc "int:5") (asn1Enc "int:3")`, "MQYCAQMCAQU="},
		{`asn1Null`, "BQA="},
		{`asn1OctetString (fromHex "01:02")`, "BAIBAg=="},
		{`asn1BitString (fromHex "80")`, "AwIAgA=="},
		{`asn1BMP "é"`, "HgIA6Q=="},
		{`asn1Explicit 1 asn1Null`, "oQIFAA=="},
		{`asn1Implicit 1 (asn1Enc "utf8:x")`, "gQF4"},
		{`sha256 "" | hex`, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{`.Token.exp`, "1.9e+09"},
		{`.Token.exp | formatTime`, "2030-03-17T17:46:40Z"},
		{`.Token.nbf | toTime | dateModify "24h" | formatTime`, "2030-01-02T00:00:00Z"},
		{`"Wed Jan  2 15:04:05 UTC 2030" | parseTime "time.UnixDate" | formatTime`, "2030-01-02T15:04:05Z"},
		{`parseTime "2030-01-02T00:00:00+02:00" | formatTime`, "2030-01-01T22:00:00Z"},
		{`(parseTime "nonsense").IsZero`, "true"},
		{`toTimeLayout "dateonly"`, "2006-01-02"},
		{`toTimeLayout "time.RFC3339"`, "2006-01-02T15:04:05Z07:00"},
		{`toTimeLayout "06"`, "06"},
		{`index .Token "https://x/claim"`, "odd"},
		{`.Nope`, "<no value>"},
		{`.Nope.deeper.still`, "<no value>"},
		{`toJson .Nope`, "null"},
		{`toJson "<"`, "\"\\u003c\""},
		{`toJson .u`, `{"a":["x",1]}`},
		{`printf "%05.1f|%s|%x" 3.14159 "a" 255`, "003.1|a|ff"},
		{`print 1 2 "a"`, "1 2a"},
		{`seq 1 3`, "1 2 3"},
		{`until 3`, "[0 1 2]"},
		{`untilStep 3 0 -1`, "[3 2 1]"},
		{`repeat 3 "ab"`, "ababab"},
		{`join "," (list "a" "b")`, "a,b"},
		{`"a-b" | replace "-" "+"`, "a+b"},
		{`regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W"`, "-W-xxW-"},
		{`list 1 2 2 | uniq | toJson`, "[1,2]"},
		{`and 0 (fail "not reached")`, "0"},
		{`isDNS "*.a_b.example"`, "true"},
		{`isDNS "a b"`, "false"},
		{`isIP "::1"`, "true"},
		{`isEmail "a@b"`, "true"},
		{`isURI "urn:x"`, "true"},
		{`splitSANs (list "a@b" "x" "10.0.0.1" "https://h/p") | toJson`, `[{"type":"dns","value":"x"},{"type":"ip","value":"10.0.0.1"},{"type":"email","value":"a@b"},{"type":"uri","value":"https://h/p"}]`},
		{`merge (dict "a" 1) (dict "b" 2) | toJson`, `{"a":1,"b":2}`},
		{`len (randAlphaNum 20)`, "20"},
		{`len (shuffle "abc")`, "3"},
		{`ge (randInt 3 5) 3`, "true"},
		{`(semver "1.2.3").Major`, "1"},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			out, err := compile(t, `{{ `+c.text+` }}`).Render(data)
			if err != nil {
				t.Fatal(err)
			}
			if string(out) != c.want {
				t.Errorf("got %q, want %q", out, c.want)
			}
		})
	}
}

func TestTemplateTimeOfNothingIsNow(t *testing.T) {
	t.Parallel()
	before := time.Now().Add(-time.Second)
	for _, text := range []string{`{{ formatTime .nope }}`, `{{ formatTime "text" }}`, `{{ parseTime | formatTime }}`} {
		out, err := compile(t, text).Render(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := time.Parse(time.RFC3339, strings.TrimSpace(string(out)))
		if err != nil || got.Before(before) || got.After(time.Now().Add(time.Second)) {
			t.Errorf("%s gives %s", text, out)
		}
	}
}
