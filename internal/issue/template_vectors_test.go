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
	oidSAN      = "2.5.29.17"
	oidKU       = "2.5.29.15"
	oidEKU      = "2.5.29.37"
	oidBC       = "2.5.29.19"
	oidNC       = "2.5.29.30"
	oidPolicies = "2.5.29.32"
	oidCRL      = "2.5.29.31"
	oidAIA      = "1.3.6.1.5.5.7.1.1"
)

// Vectors of the JSON of certificates: extension values as existing installations get them.
func TestTemplateVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ proves, members, oid, want string }{
		{"V1 permanentIdentifier", `"sans":[{"type":"permanentIdentifier","value":"dev-7"}]`, oidSAN, "3017a01506082b06010505070803a00930070c056465762d37"},
		{"V2 with assigner", `"sans":[{"type":"permanentIdentifier","value":"dev-7","asn1Value":{"identifier":"dev-7","assigner":"1.2.3.4"}}]`, oidSAN, "301ca01a06082b06010505070803a00e300c0c056465762d3706032a0304"},
		{"V3 hardwareModuleName", `"sans":[{"type":"hardwareModuleName","asn1Value":{"type":"1.2.3.4","serialNumber":"AQID"}}]`, oidSAN, "301aa01806082b06010505070804a00c300a06032a03040403010203"},
		{"V4 userPrincipalName", `"sans":[{"type":"userPrincipalName","value":"ann@corp.test"}]`, oidSAN, "301fa01d060a2b060104018237140203a00f0c0d616e6e40636f72702e74657374"},
		{"V5 registeredID", `"sans":[{"type":"registeredID","value":"1.2.3.4"}]`, oidSAN, "300588032a0304"},
		{"V6 dn", `"sans":[{"type":"dn","asn1Value":{"commonName":"ann","country":"DE"}}]`, oidSAN, "301fa41d301b310b3009060355040613024445310c300a06035504031303616e6e"},
		{"V7 utf8", `"sans":[{"type":"1.2.3.4","value":"utf8:hé"}]`, oidSAN, "300ea00c06032a0304a0050c0368c3a9"},
		{"V7 int", `"sans":[{"type":"1.2.3.4","value":"int:258"}]`, oidSAN, "300da00b06032a0304a00402020102"},
		{"V7 plain", `"sans":[{"type":"1.2.3.4","value":"foo"}]`, oidSAN, "300ea00c06032a0304a0051303666f6f"},
		{"V7 raw", `"sans":[{"type":"1.2.3.4","value":"raw:BAIBAg=="}]`, oidSAN, "300da00b06032a0304a00404020102"},
		{"V7 bool", `"sans":[{"type":"1.2.3.4","value":"bool:true"}]`, oidSAN, "300ca00a06032a0304a0030101ff"},
		{"V8 raw key usage", `"extensions":[{"id":"2.5.29.15","critical":true,"value":"AwIHgA=="}],"keyUsage":"digitalSignature"`, oidKU, "critical 03020780"},
		{"V9 no CA", `"basicConstraints":{"isCA":false,"maxPathLen":3}`, oidBC, "critical 3000"},
		{"V9 CA", `"basicConstraints":{"isCA":true}`, oidBC, "critical 30060101ff020100"},
		{"V9 CA without limit", `"basicConstraints":{"isCA":true,"maxPathLen":-1}`, oidBC, "critical 30030101ff"},
		{"V10 mixed names", `"sans":[{"type":"dns","value":"B.Example"},{"type":"registeredID","value":"1.2.3.4"},{"value":"10.0.0.1"}],"dnsNames":"z.example"`, oidSAN, "302182097a2e6578616d706c658209622e6578616d706c6588032a030487040a000001"},
		{"V11 policies", `"policyIdentifiers":["1.2.3","2.23.140.1.2.1"]`, oidPolicies, "3010300406022a033008060667810c010201"},
		{"V11 purposes", `"extKeyUsage":"client_auth","unknownExtKeyUsage":"1.3.6.1.5.2.3.4"`, oidEKU, "301306082b0601050507030206072b060105020304"},
		{"V13 name constraints", `"nameConstraints":{"critical":true,"permittedDNSDomains":"example","excludedIPRanges":["10.0.0.0/8"]}`, oidNC, "critical 301ba00b300982076578616d706c65a10c300a87080a000000ff000000"},
		{"V14 AIA", `"ocspServer":"http://o","issuingCertificateURL":["http://i"]`, oidAIA, "302c301406082b060105050730018608687474703a2f2f6f301406082b060105050730028608687474703a2f2f69"},
		{"V14 CRL", `"crlDistributionPoints":"http://c"`, oidCRL, "3010300ea00ca00a8608687474703a2f2f63"},
		{"V16 usage names", `"keyUsage":["Digital_Signature","NONREPUDIATION"]`, oidKU, "critical 030206c0"},
		{"timeStamping alone is critical", `"extKeyUsage":["timeStamping"]`, oidEKU, "critical 300a06082b06010505070308"},
		{"timeStamping with another is not", `"extKeyUsage":["timeStamping","clientAuth"]`, oidEKU, "301406082b0601050507030806082b06010505070302"},
		{"purposes by alias and OID", `"extKeyUsage":["smartcardLogon","1.3.6.1.5.2.3.5"]`, oidEKU, "3015060a2b0601040182371402020607" + "2b060105020305"},
		{"aliases of key usages", `"keyUsage":"keyCertSign","basicConstraints":{"isCA":true}`, oidKU, "critical 03020204"},
	} {
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
