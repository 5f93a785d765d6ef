package store_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// chaosVariable lengthens the chaos tests: how long each goes on.
const chaosVariable = "SIGNET_CHAOS"

func chaosTime(t *testing.T, short time.Duration) time.Duration {
	text := os.Getenv(chaosVariable)
	if text == "" {
		return short
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", chaosVariable, err)
	}
	return long
}

func TestServersOnOnePostgreSQLKilledUnderLoad(t *testing.T) {
	t.Parallel()
	s, err := startPostgres()
	if err != nil {
		t.Fatal(err)
	}
	c := store.Config{Type: "postgresql", DataSource: s.postgresSource("chaos")}
	chaos(t, c, s, chaosTime(t, 12*time.Second))
}

func TestServersOnOneMariaDBKilledUnderLoad(t *testing.T) {
	t.Parallel()
	s, err := startMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	c := store.Config{Type: "mysql", DataSource: s.mariadbSource("chaos")}
	chaos(t, c, s, chaosTime(t, 8*time.Second))
}

// chaos kills servers under load and crashes their database twice, then looks whether what
// was acknowledged is there, and nothing is there twice.
func chaos(t *testing.T, c store.Config, database *server, length time.Duration) {
	a := newAuthority(t)
	members := []*member{a.member(t, c), a.member(t, c), a.member(t, c)}
	f := launch(t, members)
	for _, m := range members {
		a.until(t, m, 200, "")
	}
	l := &load{t: t, a: a, balancer: balance(t, members), serials: map[string]string{}}
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { l.work(ctx, i) })
	}
	wg.Go(func() { crash(ctx, t, database, length) })
	kills := 0
	for every := length / 8; ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-time.After(every/2 + rand.N(every)):
			f.killOne()
			kills++
		}
	}
	wg.Wait()
	for _, m := range members {
		a.until(t, m, 200, "")
	}
	l.verify(c)
	l.listed(t.Context())
	t.Logf("%s: %d certificates, %d revocations, %d tokens tried twice, %d requests that failed; %d servers killed, %d started, the database restarted twice",
		c.Type, len(l.serials), len(l.revoked), l.replayed, l.failed, kills, f.starts)
	if len(l.serials) == 0 || len(l.revoked) == 0 || l.replayed == 0 {
		t.Error("the load did nothing worth testing")
	}
}

// crash takes the database away twice.
func crash(ctx context.Context, t *testing.T, database *server, length time.Duration) {
	for range 2 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(length / 3):
		}
		database.stop()
		time.Sleep(300 * time.Millisecond)
		if err := database.start(); err != nil {
			t.Error(err)
		}
	}
}

// load is clients at work, and what they were told.
type load struct {
	t        *testing.T
	a        *authority
	balancer *balancer

	mu       sync.Mutex
	serials  map[string]string // acknowledged: serial and name
	names    []string          // one for each token
	revoked  []string
	replayed int
	failed   int
}

// acknowledged notes a certificate that a client has in its hands.
func (l *load) acknowledged(leaf *x509.Certificate) string {
	serial := fmt.Sprintf("%x", leaf.SerialNumber)
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, twice := l.serials[serial]; twice {
		l.t.Errorf("serial %s was given to %s and %s", serial, other, leaf.Subject.CommonName)
	}
	l.serials[serial] = leaf.Subject.CommonName
	return serial
}

func (l *load) count(n *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*n++
}

func (l *load) work(ctx context.Context, worker int) {
	address := l.balancer.socket.Addr().String()
	client := l.a.client(l.t, address)
	for i := 0; ctx.Err() == nil; i++ {
		if i%16 == 0 { // a new connection, perhaps to another server
			client.Close()
		}
		l.one(ctx, client, fmt.Sprintf("w%d-%d.example.com", worker, i))
	}
}

// one asks for a certificate, with the same token again if that failed or by chance, then
// renews or revokes it by chance.
func (l *load) one(ctx context.Context, client *signet.Client, name string) {
	token := l.a.Token(name, testca.SANs(name))
	l.mu.Lock()
	l.names = append(l.names, name)
	l.mu.Unlock()
	var got *signet.SignResponse
	for try := 0; try < 3 && ctx.Err() == nil; try++ {
		answer, err := client.Sign(ctx, l.a.ask(l.t, token, name))
		switch {
		case err == nil && got != nil:
			l.t.Errorf("the token for %s was accepted twice", name)
		case err == nil:
			got = answer
			l.acknowledged(answer.Certificates()[0])
			if rand.IntN(3) > 0 {
				try = 3
			} else {
				l.count(&l.replayed)
			}
		case statusOf(err) == 401:
			try = 3 // spent
		default:
			l.count(&l.failed)
			time.Sleep(20 * time.Millisecond)
		}
	}
	if got == nil {
		return
	}
	switch rand.IntN(5) {
	case 0, 1:
		l.renew(ctx, client, got)
	case 2:
		l.revoke(ctx, client, got)
	}
}

func (l *load) renew(ctx context.Context, client *signet.Client, got *signet.SignResponse) {
	holder := client.As(got.Pair(l.a.key))
	defer holder.Close()
	answer, err := holder.Renew(ctx)
	if err != nil {
		l.count(&l.failed)
		return
	}
	l.acknowledged(answer.Certificates()[0])
}

func (l *load) revoke(ctx context.Context, client *signet.Client, got *signet.SignResponse) {
	serial := got.Certificates()[0].SerialNumber
	err := client.Revoke(ctx, &signet.RevokeRequest{Serial: serial.String(), OTT: l.a.RevokeToken(serial.String()), Passive: true})
	if err != nil {
		l.count(&l.failed)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revoked = append(l.revoked, fmt.Sprintf("%x", serial))
}

// verify holds the records against what clients were told.
func (l *load) verify(c store.Config) {
	s := open(l.t, c)
	view(l.t, s, func(tx *store.Tx) error {
		for serial, name := range l.serials {
			if _, err := tx.Certificate("x509", serial); err != nil {
				l.t.Errorf("certificate %s of %s was acknowledged: %v", serial, name, err)
			}
		}
		for _, serial := range l.revoked {
			if _, err := tx.Revocation("x509", serial); err != nil {
				l.t.Errorf("revocation of %s was acknowledged: %v", serial, err)
			}
		}
		for _, name := range l.names {
			first := 0
			for cert, err := range tx.Certificates(store.Query{Name: dns(name)}) {
				if err != nil {
					return err
				}
				if cert.RenewedFrom == "" {
					first++
				}
			}
			if first > 1 {
				l.t.Errorf("the token for %s made %d certificates", name, first)
			}
		}
		return nil
	})
}

// listed waits until the revocation list has every revocation that was acknowledged, also
// those whose server was killed before it could make the list.
func (l *load) listed(ctx context.Context) {
	client := l.a.client(l.t, l.balancer.socket.Addr().String())
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		missing, err := l.unlisted(ctx, client)
		if err == nil && missing == 0 {
			return
		}
		if ctx.Err() != nil {
			l.t.Errorf("%d revocations never came on the list: %v", missing, err)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (l *load) unlisted(ctx context.Context, client *signet.Client) (missing int, err error) {
	der, err := client.CRL(ctx)
	if err != nil {
		return 0, err
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return 0, err
	}
	on := map[string]bool{}
	for _, e := range list.RevokedCertificateEntries {
		on[fmt.Sprintf("%x", e.SerialNumber)] = true
	}
	for _, serial := range l.revoked {
		if !on[serial] {
			missing++
		}
	}
	return missing, nil
}
