package server_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func (n *node) list(client *http.Client, url string) *x509.RevocationList {
	n.t.Helper()
	a := roundTrip(client, request(n.t, "GET", url, nil))
	if a.status != http.StatusOK {
		n.t.Fatalf("%s: %d %s %v", url, a.status, a.body, a.err)
	}
	list, err := x509.ParseRevocationList([]byte(a.body))
	if err != nil {
		n.t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(n.Intermediate); err != nil {
		n.t.Fatal(err)
	}
	return list
}

// revoke revokes a certificate at a server.
func (n *node) revoke(cert *x509.Certificate) answer {
	n.t.Helper()
	body := fmt.Sprintf(`{"serial":"%s","ott":"%s","passive":true,"reasonCode":1}`, cert.SerialNumber, n.RevokeToken(cert.SerialNumber.String()))
	return roundTrip(n.dial(), request(n.t, "POST", n.url("/1.0/revoke"), strings.NewReader(body)))
}

func TestCRLOverBothListeners(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	insecure := freeAddress(t)
	n.configure(map[string]any{"insecureAddress": insecure, "crl": map[string]any{"enabled": true, "generateOnRevoke": true}})
	n.start()
	cert := n.mustSign("gone.example.com")
	if a := n.revoke(cert); a.status != http.StatusOK {
		t.Fatalf("revoke: %d %s", a.status, a.body)
	}
	client := n.dial()
	for _, base := range []string{"https://" + n.address, "http://" + insecure} {
		for _, path := range []string{"/crl", "/1.0/crl"} {
			list := n.list(client, base+path)
			if len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].SerialNumber.Cmp(cert.SerialNumber) != 0 {
				t.Errorf("%s%s lists %v", base, path, list.RevokedCertificateEntries)
			}
		}
		a := roundTrip(client, request(t, "GET", base+"/crl?pem", nil))
		if block, rest := pem.Decode([]byte(a.body)); block == nil || block.Type != "X509 CRL" || len(rest) > 0 || a.header.Get("Content-Type") != "application/x-pem-file" {
			t.Errorf("%s/crl?pem: %.80q %v", base, a.body, a.header)
		}
		head := roundTrip(client, request(t, "HEAD", base+"/crl", nil))
		expires, err := time.Parse(http.TimeFormat, head.header.Get("Expires"))
		if head.status != http.StatusOK || head.body != "" || err != nil || !strings.HasSuffix(head.header.Get("Expires"), " GMT") || time.Until(expires) < 23*time.Hour {
			t.Errorf("HEAD: %d %q Expires %q", head.status, head.body, head.header.Get("Expires"))
		}
		r := request(t, "GET", base+"/crl", nil)
		r.Header.Set("If-None-Match", head.header.Get("ETag"))
		if a := roundTrip(client, r); a.status != http.StatusNotModified || a.body != "" || head.header.Get("ETag") == "" {
			t.Errorf("If-None-Match %s: %d", head.header.Get("ETag"), a.status)
		}
	}
	for _, path := range []string{"/", "/health", "/roots", "/1.0/sign", "/provisioners", "/metrics", "/crl/"} {
		if a := n.fetch("http://" + insecure + path); a.status != http.StatusNotFound {
			t.Errorf("the plain listener answers %s with %d", path, a.status)
		}
	}
	n.stop()
}

func TestInsecureAddressStaysClosedWithoutAnythingToServe(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	insecure := freeAddress(t)
	n.configure(map[string]any{"insecureAddress": insecure})
	n.start()
	if open(insecure) {
		t.Error("it is open")
	}
	if a := n.get("/crl"); a.status != http.StatusNotFound {
		t.Errorf("/crl: %d", a.status)
	}
	n.stop()
}

// Nobody made a list while the process slept: who asks gets a fresh one nevertheless.
func TestCRLIsFreshAfterAStall(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.configure(map[string]any{"crl": map[string]any{"enabled": true, "cacheDuration": "3s", "renewPeriod": "3s"}})
	n.start()
	client := n.dial()
	last := int64(-1)
	for range 40 {
		list := n.list(client, n.url("/crl"))
		if time.Now().After(list.NextUpdate.Add(time.Second)) {
			t.Errorf("list %s ran out at %v", list.Number, list.NextUpdate)
		}
		if list.Number.Int64() < last {
			t.Errorf("list %s comes after list %d", list.Number, last)
		}
		last = list.Number.Int64()
		time.Sleep(100 * time.Millisecond)
	}
	if last < 1 {
		t.Errorf("list %d is the last in four seconds", last)
	}
	n.stop()
}

// Two servers on one database give no number twice, and lose no entry.
func TestTwoServersNumberTheirListsTogether(t *testing.T) {
	t.Parallel()
	one := newNode(t)
	one.configure(map[string]any{"crl": map[string]any{"enabled": true, "generateOnRevoke": true}})
	one.start()
	two := &node{CA: one.CA, t: t, dir: t.TempDir(), address: freeAddress(t), name: "signet", log: one.log, members: map[string]any{}}
	for name, value := range one.members {
		two.members[name] = value
	}
	two.configure(map[string]any{"address": two.address})
	two.log = newLog()
	two.start()
	var mu sync.Mutex
	seen := map[string]string{} // number: list
	var all sync.WaitGroup
	for _, n := range []*node{one, two, one, two} {
		all.Go(func() {
			client := n.dial()
			for range 6 {
				cert := n.mustSign("gone.example.com")
				if a := n.revoke(cert); a.status != http.StatusOK {
					t.Errorf("revoke: %d %s", a.status, a.body)
					return
				}
				list := n.list(client, n.url("/crl"))
				listed := false
				for _, e := range list.RevokedCertificateEntries {
					listed = listed || e.SerialNumber.Cmp(cert.SerialNumber) == 0
				}
				mu.Lock()
				if was, ok := seen[list.Number.String()]; !listed || ok && was != string(list.Raw) {
					t.Errorf("list %s: lists the certificate just revoked: %v; came with other content before: %v", list.Number, listed, ok)
				}
				seen[list.Number.String()] = string(list.Raw)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	one.stop()
	two.stop()
}
