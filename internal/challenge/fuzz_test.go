package challenge_test

import (
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/miekg/dns"

	"github.com/signet-ca/signet/internal/challenge"
)

// Whatever a DNS server sends, an attempt ends with a problem or with the right record.
func FuzzDNSAnswer(f *testing.F) {
	q := new(dns.Msg)
	q.SetQuestion("_acme-challenge.web.test.", dns.TypeTXT)
	good := new(dns.Msg)
	good.SetReply(q)
	rr, err := dns.NewRR(`_acme-challenge.web.test. 60 IN TXT "x"`)
	if err != nil {
		f.Fatal(err)
	}
	good.Answer = []dns.RR{rr}
	packed, err := good.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed[2:])
	f.Add([]byte{0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0x0c})
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = challenge.ReadAnswer(body, "_acme-challenge.web.test")
	})
}

func FuzzIssueValue(f *testing.F) {
	for _, seed := range []string{"ca.test", "ca.test; a=b", ";", "ca.test;;", " ca.test ; accounturi = x", "ca.test; a=b; A=c", "\x00;=", "a..b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) { challenge.CheckIssueValue(t, s) })
}

func FuzzChallengeCertificate(f *testing.F) {
	t := new(testing.T)
	template, key := challengeTemplate(t), newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		a := attempt("tls-alpn-01", "web.test")
		if challenge.JudgeChallengeCertificate(c, a) == nil && len(c.DNSNames) != 1 {
			t.Error("a certificate without the one name is good")
		}
	})
}
