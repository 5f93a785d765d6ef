package store_test

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signet-ca/signet/internal/store"
)

var noon = time.Date(2031, 5, 4, 12, 0, 0, 0, time.UTC)

func certificate(n int, names ...store.Name) *store.Certificate {
	return &store.Certificate{
		Serial: fmt.Sprintf("%x", 0xabc000+n), Type: "x509",
		ProvisionerID: "p1", ProvisionerName: "ops", ProvisionerType: "JWK",
		Subject: "host", KeyID: "key", IssuerKeyID: "issuer", Names: names,
		NotBefore: noon, NotAfter: noon.Add(time.Duration(n) * time.Hour), IssuedAt: noon.Add(time.Second),
		Raw: []byte{0x30, 0, 0xff, byte(n)},
	}
}

func dns(v string) store.Name { return store.Name{Kind: "dns", Value: v} }

func update(t testing.TB, s *store.Store, change func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, s *store.Store, read func(*store.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), read); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, s *store.Store, certs ...*store.Certificate) {
	t.Helper()
	update(t, s, func(tx *store.Tx) error {
		for _, c := range certs {
			if err := tx.AddCertificate(c); err != nil {
				return err
			}
		}
		return nil
	})
}

// fails asserts that a change is refused for one reason.
func fails(t testing.TB, s *store.Store, want error, change func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), change); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func collect[T any](t testing.TB, list iter.Seq2[T, error]) (all []T) {
	t.Helper()
	for v, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

var noID = cmpopts.IgnoreFields(store.Certificate{}, "ID")

func TestCertificateComesBackAsItWas(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		full := certificate(1, dns("B.example"), store.Name{Kind: "ip", Value: "10.0.0.1"}, dns("a.example"), dns("a.example"))
		full.RenewedFrom, full.RA = "abc", []byte(`{"id":"1"}`)
		bare := &store.Certificate{Serial: "0", Type: "ssh-host", Raw: []byte{1}}
		odd := certificate(2, store.Name{Kind: "uri", Value: "urn:" + strings.Repeat("x", 5000)})
		odd.Subject = "it's \"?\" – ü 日本 \\ %"
		add(t, s, full, bare, odd)
		view(t, s, func(tx *store.Tx) error {
			for _, want := range []*store.Certificate{full, bare, odd} {
				typ := "x509"
				if want == bare {
					typ = "ssh"
				}
				got, err := tx.Certificate(typ, want.Serial)
				if diff := cmp.Diff(want, got, noID); diff != "" || err != nil {
					t.Errorf("%v %s", err, diff)
				}
				part := &store.Certificate{Serial: want.Serial, ProvisionerID: want.ProvisionerID, ProvisionerName: want.ProvisionerName, NotAfter: want.NotAfter}
				got, err = tx.Origin(typ, want.Serial)
				if diff := cmp.Diff(part, got); diff != "" || err != nil {
					t.Errorf("%v %s", err, diff)
				}
			}
			if _, err := tx.Origin("ssh", full.Serial); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the origin of nothing: %v", err)
			}
			return nil
		})
	})
}

func TestSubjectNeverDecidesWhetherACertificateCanBeRecorded(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		c := certificate(1, store.Name{Kind: "cn", Value: "nul\x00 and \xff"})
		c.Subject = "nul\x00 and \xff"
		add(t, s, c)
		view(t, s, func(tx *store.Tx) error {
			got, err := tx.Certificate("x509", c.Serial)
			if err != nil || got.Subject != "nul\uFFFD and \uFFFD" || got.Names[0].Value != "nul\x00 and \uFFFD" {
				t.Errorf("got %+v, %v", got, err)
			}
			if n := len(collect(t, tx.Certificates(store.Query{Name: c.Names[0]}))); n != 1 {
				t.Errorf("found %d by name", n)
			}
			return nil
		})
	})
}

func TestSerialIsUniqueInItsSpaceOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		add(t, s, certificate(1))
		fails(t, s, store.ErrExists, func(tx *store.Tx) error { return tx.AddCertificate(certificate(1)) })
		ssh := certificate(1)
		ssh.Type = "ssh-user"
		add(t, s, ssh)
		ssh.Type = "ssh-host"
		fails(t, s, store.ErrExists, func(tx *store.Tx) error { return tx.AddCertificate(ssh) })
		view(t, s, func(tx *store.Tx) error {
			got, err := tx.Certificate("ssh", ssh.Serial)
			if err != nil || got.Type != "ssh-user" {
				t.Errorf("got %+v, %v", got, err)
			}
			for _, serial := range []string{"abc", "", "ABC001", "0abc001"} {
				if _, err := tx.Certificate("x509", serial); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%q: %v", serial, err)
				}
			}
			return nil
		})
	})
}

func TestRecordsThatNoDatabaseShouldHoldAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{Type: "memory"})
	bend := func(how func(*store.Certificate)) func(*store.Tx) error {
		c := certificate(1)
		how(c)
		return func(tx *store.Tx) error { return tx.AddCertificate(c) }
	}
	for name, change := range map[string]func(*store.Tx) error{
		"upper-case serial":      bend(func(c *store.Certificate) { c.Serial = "ABC" }),
		"serial with zeros":      bend(func(c *store.Certificate) { c.Serial = "0abc" }),
		"no serial":              bend(func(c *store.Certificate) { c.Serial = "" }),
		"endless serial":         bend(func(c *store.Certificate) { c.Serial = strings.Repeat("a", 256) }),
		"bad predecessor":        bend(func(c *store.Certificate) { c.RenewedFrom = "x" }),
		"unknown type":           bend(func(c *store.Certificate) { c.Type = "pgp" }),
		"ssh of neither type":    bend(func(c *store.Certificate) { c.Type = "ssh" }),
		"no bytes":               bend(func(c *store.Certificate) { c.Raw = nil }),
		"endless provisioner":    bend(func(c *store.Certificate) { c.ProvisionerID = strings.Repeat("a", 513) }),
		"endless kind of name":   bend(func(c *store.Certificate) { c.Names = []store.Name{{Kind: strings.Repeat("a", 17)}} }),
		"a kind of our own":      bend(func(c *store.Certificate) { c.Names = []store.Name{{Kind: "renews", Value: "a"}} }),
		"proof without a key":    func(tx *store.Tx) error { return tx.Spend(store.Spent{}) },
		"proof with endless key": func(tx *store.Tx) error { return tx.Spend(store.Spent{Key: strings.Repeat("a", 256)}) },
		"proof with NUL in key":  func(tx *store.Tx) error { return tx.Spend(store.Spent{Key: "a\x00"}) },
		"revocation of nothing":  func(tx *store.Tx) error { return tx.Revoke(&store.Revocation{Type: "x509"}) },
		"revocation of no type":  func(tx *store.Tx) error { return tx.Revoke(&store.Revocation{Serial: "a"}) },
		"endless act":            func(tx *store.Tx) error { return tx.AddAudit(store.Audit{Act: strings.Repeat("a", 256)}) },
	} {
		if err := s.Update(t.Context(), change); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCertificatesAreListedByWhatIsAsked(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		certs := []*store.Certificate{
			certificate(5, dns("a.example"), dns("b.example")), certificate(3, dns("b.example")),
			certificate(4, store.Name{Kind: "cn", Value: "b.example"}), certificate(3), certificate(6),
		}
		certs[3].Type, certs[3].ProvisionerID = "ssh-host", "p2"
		certs[4].Type, certs[4].RenewedFrom = "ssh-user", certs[3].Serial
		add(t, s, certs...)
		hours := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
		for name, test := range map[string]struct {
			q    store.Query
			want []int
		}{
			"everything, as issued":    {store.Query{}, []int{0, 1, 2, 3, 4}},
			"everything, newest first": {store.Query{Newest: true}, []int{4, 3, 2, 1, 0}},
			"the first two":            {store.Query{Limit: 2}, []int{0, 1}},
			"behind one":               {store.Query{After: certs[2]}, []int{3, 4}},
			"before one":               {store.Query{After: certs[2], Newest: true}, []int{1, 0}},
			"a DNS name, any case":     {store.Query{Name: dns("B.Example")}, []int{0, 1}},
			"a name nobody has":        {store.Query{Name: dns("c.example")}, nil},
			"a name, paged":            {store.Query{Name: dns("b.example"), After: certs[0]}, []int{1}},
			"a provisioner":            {store.Query{ProvisionerID: "p2"}, []int{3}},
			"X.509":                    {store.Query{Type: "x509"}, []int{0, 1, 2}},
			"SSH of both types":        {store.Query{Type: "ssh"}, []int{3, 4}},
			"SSH hosts":                {store.Query{Type: "ssh-host"}, []int{3}},
			"a successor":              {store.Query{RenewedFrom: certs[3].Serial}, []int{4}},
			"a successor, wrong name":  {store.Query{RenewedFrom: certs[3].Serial, Name: dns("b.example")}, nil},
			"by end":                   {store.Query{ExpiresFrom: hours(3)}, []int{1, 3, 2, 0, 4}},
			"a window, half open":      {store.Query{ExpiresFrom: hours(3), ExpiresBefore: hours(5)}, []int{1, 3, 2}},
			"a window, paged":          {store.Query{ExpiresBefore: hours(6), After: certs[1]}, []int{3, 2, 0}},
			"a window, newest first":   {store.Query{ExpiresBefore: hours(6), Newest: true}, []int{0, 2, 3, 1}},
			"a window, back and paged": {store.Query{ExpiresBefore: hours(6), Newest: true, After: certs[3]}, []int{1}},
			"all at once": {store.Query{Type: "x509", Name: dns("b.example"), ProvisionerID: "p1",
				ExpiresFrom: hours(4), ExpiresBefore: hours(6)}, []int{0}},
		} {
			var got []int
			view(t, s, func(tx *store.Tx) error {
				for _, c := range collect(t, tx.Certificates(test.q)) {
					for i := range certs {
						if certs[i].ID == c.ID {
							got = append(got, i)
						}
					}
				}
				return nil
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		view(t, s, func(tx *store.Tx) error {
			for _, err := range tx.Certificates(store.Query{Type: "pgp"}) {
				if err == nil {
					t.Error("an unknown type was listed")
				}
			}
			return nil
		})
	})
}

func TestListsCrossPagesAndLetOthersRead(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		const n = 450
		certs := make([]*store.Certificate, n)
		for i := range certs {
			certs[i] = certificate(i, dns("same.example"))
		}
		add(t, s, certs...)
		update(t, s, func(tx *store.Tx) error {
			for i, c := range certs {
				err := tx.Revoke(&store.Revocation{Serial: c.Serial, Type: "x509", RevokedAt: noon})
				if err == nil {
					err = tx.AddAudit(store.Audit{At: noon, Act: "revoke", Detail: fmt.Sprint(i)})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		view(t, s, func(tx *store.Tx) error {
			i := 0
			for c, err := range tx.Certificates(store.Query{Name: dns("same.example")}) {
				if err != nil || c.Serial != certs[i].Serial {
					t.Fatalf("place %d: %v, %v", i, c, err)
				}
				if _, err := tx.Revocation("x509", c.Serial); err != nil {
					t.Fatal(err)
				}
				i++
			}
			if r := len(collect(t, tx.Revocations("x509"))); i != n || r != n {
				t.Errorf("listed %d certificates and %d revocations", i, r)
			}
			for i, a := range collect(t, tx.Audits(time.Time{}, time.Time{})) {
				if a.Detail != fmt.Sprint(i) {
					t.Fatalf("audit entry %d is %s", i, a.Detail)
				}
			}
			for range tx.Certificates(store.Query{}) {
				break
			}
			_, err := tx.Certificate("x509", certs[0].Serial)
			return err
		})
	})
}

func TestProofIsSpentOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		spend := func(tx *store.Tx) error {
			return tx.Spend(store.Spent{Key: "k", ProvisionerID: "p", SpentAt: noon, ExpiresAt: noon.Add(time.Minute)})
		}
		update(t, s, spend)
		fails(t, s, store.ErrExists, spend)
		view(t, s, func(tx *store.Tx) error {
			for key, want := range map[string]bool{"k": true, "K": false, "k ": false, "": false} {
				if got, err := tx.IsSpent(key); got != want || err != nil {
					t.Errorf("%q: %v, %v", key, got, err)
				}
			}
			return nil
		})
		// On no database may a case or a trailing blank make two proofs one.
		for _, key := range []string{"K", "k "} {
			update(t, s, func(tx *store.Tx) error { return tx.Spend(store.Spent{Key: key}) })
		}
	})
}

func TestRevocationComesBackAsItWas(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		r := &store.Revocation{Serial: "abc", Type: "ssh-host", ProvisionerID: "p", ReasonCode: 4, Reason: "replaced",
			RevokedAt: noon, ExpiresAt: noon.Add(time.Hour), ProofKey: "k", MTLS: true, By: "ann"}
		update(t, s, func(tx *store.Tx) error { return tx.Revoke(r) })
		fails(t, s, store.ErrExists, func(tx *store.Tx) error { return tx.Revoke(r) })
		view(t, s, func(tx *store.Tx) error {
			for _, typ := range []string{"ssh", "ssh-user"} {
				got, err := tx.Revocation(typ, "abc")
				if diff := cmp.Diff(r, got); diff != "" || err != nil {
					t.Errorf("%v %s", err, diff)
				}
			}
			if _, err := tx.Revocation("x509", "abc"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("an X.509 certificate is revoked with an SSH one: %v", err)
			}
			if got := collect(t, tx.Revocations("x509")); len(got) != 0 {
				t.Errorf("listed %v", got)
			}
			return nil
		})
	})
}

// Successors of certificates are written together; that of a revoked one is not, and takes
// nothing of its neighbours with it.
func TestSuccessorOfARevokedCertificateIsNotWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		update(t, s, func(tx *store.Tx) error {
			return tx.Revoke(&store.Revocation{Serial: certificate(3).Serial, Type: "x509", RevokedAt: time.Now()})
		})
		const n = 70
		answers := together(t, s, n, func(i int, tx *store.Tx) error {
			if i == 5 { // revoked in the same moment
				return tx.Revoke(&store.Revocation{Serial: certificate(1000).Serial, Type: "x509", RevokedAt: time.Now()})
			}
			if err := tx.Unrevoked("x509", certificate(i).Serial); err != nil {
				return err
			}
			return tx.AddCertificate(certificate(i + n))
		})
		view(t, s, func(tx *store.Tx) error {
			for i, err := range answers {
				_, missing := tx.Certificate("x509", certificate(i+n).Serial)
				if refused := i == 3; refused != errors.Is(err, store.ErrStale) || (i != 5 && refused != errors.Is(missing, store.ErrNotFound)) {
					t.Errorf("change %d was answered %v, its certificate %v", i, err, missing)
				}
			}
			return nil
		})
	})
}

func TestUnrevokedCertificate(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		update(t, s, func(tx *store.Tx) error {
			for _, i := range []int{2, 4} { // 4 is not on record
				if err := tx.Revoke(&store.Revocation{Serial: certificate(i).Serial, Type: "x509", RevokedAt: noon}); err != nil {
					return err
				}
			}
			// The other class numbers apart.
			if err := tx.Revoke(&store.Revocation{Serial: certificate(1).Serial, Type: "ssh", RevokedAt: noon}); err != nil {
				return err
			}
			return errors.Join(tx.AddCertificate(certificate(1)), tx.AddCertificate(certificate(2)))
		})
		view(t, s, func(tx *store.Tx) error {
			for i, want := range map[int]error{1: nil, 2: store.ErrStale, 3: store.ErrNotFound, 4: store.ErrStale} {
				got, err := tx.UnrevokedCertificate("x509", certificate(i).Serial)
				if !errors.Is(err, want) || (got != nil) != (want == nil) {
					t.Errorf("certificate %d: %v, %v; want %v", i, got, err, want)
				}
				if same, _ := tx.Certificate("x509", certificate(i).Serial); want == nil && !cmp.Equal(got, same) {
					t.Errorf("certificate %d: %s", i, cmp.Diff(same, got))
				}
			}
			return nil
		})
	})
}

func TestUnrevokedOnEachDatabase(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		successor := func(old, next int) func(*store.Tx) error {
			return func(tx *store.Tx) error {
				if err := tx.Unrevoked("x509", certificate(old).Serial); err != nil {
					return err
				}
				return tx.AddCertificate(certificate(next))
			}
		}
		update(t, s, successor(1, 2))
		update(t, s, func(tx *store.Tx) error {
			return tx.Revoke(&store.Revocation{Serial: certificate(1).Serial, Type: "x509", RevokedAt: noon})
		})
		fails(t, s, store.ErrStale, successor(1, 3))
		update(t, s, successor(3, 4))
	})
}

// Changes that ask for origins are written together too: each is told the truth about its own
// certificate, and who is refused for it takes nothing of the neighbours with it.
func TestOriginsInsideChanges(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		const n = 150 // more than one statement asks for
		update(t, s, func(tx *store.Tx) error {
			for i := range n {
				if i%10 == 9 {
					continue // not on record
				}
				if err := tx.AddCertificate(certificate(i)); err != nil {
					return err
				}
			}
			return nil
		})
		refused := errors.New("refused")
		answers := concurrently(n, func(i int) error {
			return s.Update(t.Context(), func(tx *store.Tx) error {
				want := certificate(i)
				origin, err := tx.Origin("x509", want.Serial)
				if err != nil {
					return err
				}
				if origin.Serial != want.Serial || origin.ProvisionerID != want.ProvisionerID || origin.ProvisionerName != want.ProvisionerName || !origin.NotAfter.Equal(want.NotAfter) {
					t.Errorf("the origin of certificate %d is %+v", i, origin)
				}
				if i%10 == 8 {
					return refused
				}
				if i%10 == 7 { // and of another, which depends on the first
					if _, err := tx.Origin("x509", certificate(i-1).Serial); err != nil {
						return err
					}
				}
				return tx.Revoke(&store.Revocation{Serial: want.Serial, Type: "x509", RevokedAt: noon, ExpiresAt: origin.NotAfter})
			})
		})
		view(t, s, func(tx *store.Tx) error {
			for i, err := range answers {
				want := map[int]error{8: refused, 9: store.ErrNotFound}[i%10]
				if !errors.Is(err, want) {
					t.Errorf("change %d: %v, want %v", i, err, want)
				}
				r, err := tx.Revocation("x509", certificate(i).Serial)
				if revoked := err == nil; revoked != (want == nil) {
					t.Errorf("certificate %d: revoked %v, %v", i, revoked, err)
				} else if revoked && !r.ExpiresAt.Equal(certificate(i).NotAfter) {
					t.Errorf("certificate %d: the revocation ends at %v", i, r.ExpiresAt)
				}
			}
			return nil
		})
	})
}

// concurrently calls do with 0 to n-1 at once.
func concurrently(n int, do func(int) error) []error {
	answers := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { answers[i] = do(i) })
	}
	all.Wait()
	return answers
}

func TestCRLIsReplacedOnlyByItsSuccessor(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		put := func(number, previous int64) func(*store.Tx) error {
			return func(tx *store.Tx) error {
				return tx.PutCRL(&store.CRL{Issuer: "i", Number: number, ThisUpdate: noon,
					NextUpdate: noon.Add(time.Hour), DER: make([]byte, 200_000)}, previous)
			}
		}
		view(t, s, func(tx *store.Tx) error {
			if _, err := tx.CRL("i"); !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
			return nil
		})
		fails(t, s, store.ErrStale, put(2, 1))
		update(t, s, put(1, -1))
		fails(t, s, store.ErrStale, put(1, -1))
		update(t, s, put(2, 1))
		update(t, s, put(2, 2)) // the same list again is no conflict
		fails(t, s, store.ErrStale, put(3, 1))
		view(t, s, func(tx *store.Tx) error {
			got, err := tx.CRL("i")
			if err != nil || got.Number != 2 || len(got.DER) != 200_000 || !got.NextUpdate.Equal(noon.Add(time.Hour)) {
				t.Errorf("got number %d, %v", got.Number, err)
			}
			return nil
		})
	})
}

func TestAuditIsListedByTime(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		entries := []store.Audit{
			{At: noon.Add(2 * time.Second), Act: "third"},
			{At: noon, Act: "first", Provisioner: "p", Subject: "s", Serial: "abc", RequestID: "r", Detail: "d"},
			{At: noon.Add(time.Second), Act: "second"},
		}
		update(t, s, func(tx *store.Tx) error {
			for _, a := range entries {
				if err := tx.AddAudit(a); err != nil {
					return err
				}
			}
			return nil
		})
		view(t, s, func(tx *store.Tx) error {
			got := collect(t, tx.Audits(time.Time{}, noon.Add(2*time.Second)))
			want := []*store.Audit{&entries[1], &entries[2]}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Audit{}, "ID")); diff != "" {
				t.Error(diff)
			}
			if got := collect(t, tx.Audits(noon.Add(time.Second), time.Time{})); len(got) != 2 {
				t.Errorf("listed %v", got)
			}
			return nil
		})
	})
}

func TestSweepRemovesWhatCanNoLongerBeReplayed(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		const expired = 950
		update(t, s, func(tx *store.Tx) error {
			for i := range expired {
				err := tx.Spend(store.Spent{Key: fmt.Sprint("old", i), ExpiresAt: noon.Add(-time.Duration(i+1) * time.Second)})
				if err != nil {
					return err
				}
			}
			if err := tx.Spend(store.Spent{Key: "forever", SpentAt: noon}); err != nil {
				return err
			}
			return tx.Spend(store.Spent{Key: "now", ExpiresAt: noon})
		})
		n, err := s.Sweep(t.Context(), noon)
		if n != expired || err != nil {
			t.Errorf("swept %d, %v", n, err)
		}
		view(t, s, func(tx *store.Tx) error {
			for key, want := range map[string]bool{"old0": false, "old949": false, "forever": true, "now": true} {
				if got, err := tx.IsSpent(key); got != want || err != nil {
					t.Errorf("%s: %v, %v", key, got, err)
				}
			}
			return nil
		})
	})
}
