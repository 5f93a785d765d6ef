package challenge

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// JudgeChallengeCertificate is for fuzzing.
var JudgeChallengeCertificate = judgeChallengeCertificate

// ReadAnswer reads the body of a DNS message as if it had come from a server, for fuzzing.
func ReadAnswer(body []byte, name string) []string {
	answer := new(dns.Msg)
	if answer.Unpack(append([]byte{0, 1}, body...)) != nil {
		return nil
	}
	name = dns.CanonicalName(name)
	r := &resolver{}
	if r.judge(answer, question(name, dns.TypeTXT, true)) != nil {
		return nil
	}
	found, _ := pick(answer.Answer, name, dns.TypeTXT)
	var values []string
	for _, rr := range found {
		if txt, ok := rr.(*dns.TXT); ok {
			values = append(values, plain(strings.Join(txt.Txt, "")))
		}
	}
	return values
}

// CheckIssueValue holds the parser to what it promises, for fuzzing.
func CheckIssueValue(t *testing.T, s string) {
	v, err := parseIssueValue(s)
	if v == nil {
		t.Fatal("no value")
	}
	seen := map[string]bool{}
	for _, p := range v.parameters {
		if seen[p.tag] || !isLabel(p.tag) || !isParameterValue(p.value) || strings.Contains(p.value, ";") {
			t.Errorf("parameter %q of %q", p, s)
		}
		seen[p.tag] = true
	}
	if err == nil && v.issuer != "" && strings.ToLower(v.issuer) != v.issuer {
		t.Errorf("issuer %q", v.issuer)
	}
}
