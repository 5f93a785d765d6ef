package acme_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/store"
)

// twins are one account's client at two servers that share a database.
type twins struct {
	here, there *client
}

func newTwins(t *testing.T) *twins {
	t.Parallel()
	w := newWorld(t, nil, durable)
	second := w.beside()
	c := w.newClient()
	return &twins{c, &client{world: second, key: c.key, kid: strings.Replace(c.kid, w.srv.URL, second.srv.URL, 1)}}
}

// at is a URL of the first server, at the second.
func (p *twins) at(url string) string {
	return strings.Replace(url, p.here.srv.URL, p.there.srv.URL, 1)
}

// What a server remembers of an order for a moment never hides from its client what happened
// on another server meanwhile.
func TestProvenElsewhere(t *testing.T) {
	p := newTwins(t)
	o := p.here.order("elsewhere.example")
	ch := p.here.readAuthz(o.Authorizations[0]).challenge(t, "http-01")
	p.here.show(ch.Token)
	p.there.post(p.at(ch.URL), "{}").want(http.StatusOK)
	if a := p.here.readAuthz(o.Authorizations[0]); a.Status != "valid" {
		t.Errorf("the authorization is %s where it was not proven", a.Status)
	}
	if s := p.here.readOrder(o.url).Status; s != "ready" {
		t.Errorf("the order is %s where it was not proven", s)
	}
	p.here.post(o.Finalize, `{"csr":"`+b64(csrFor(t, "elsewhere.example"))+`"}`).want(http.StatusOK)
	if s := p.there.readOrder(p.at(o.url)).Status; s != "valid" {
		t.Errorf("the order is %s where it was not finalized", s)
	}
}

// An answer to a challenge that was decided elsewhere meanwhile tells what was decided.
func TestAnsweredElsewhere(t *testing.T) {
	p := newTwins(t)
	o := p.here.order("given-up.example")
	ch := p.here.readAuthz(o.Authorizations[0]).challenge(t, "http-01")
	p.here.show(ch.Token)
	p.there.post(p.at(o.Authorizations[0]), `{"status":"deactivated"}`).want(http.StatusOK)
	p.here.post(ch.URL, "{}").want(http.StatusOK)
	if a := p.here.readAuthz(o.Authorizations[0]); a.Status != "deactivated" {
		t.Errorf("the authorization is %s after it was given up elsewhere", a.Status)
	}
}

// An authorization that was given up on another server certifies nothing, not even within the
// moment for which it is remembered as proven.
func TestGivenUpElsewhere(t *testing.T) {
	p := newTwins(t)
	o := p.here.ready("lost.example")
	p.there.post(p.at(o.Authorizations[0]), `{"status":"deactivated"}`).want(http.StatusOK)
	p.here.post(o.Finalize, `{"csr":"`+b64(csrFor(t, "lost.example"))+`"}`).refused(http.StatusForbidden, "orderNotReady")
	if s := p.here.readOrder(o.url).Status; s != "invalid" {
		t.Errorf("the order is %s", s)
	}
	err := p.here.ca.Store.View(t.Context(), func(tx *store.Tx) error {
		for c, err := range tx.Certificates(store.Query{Name: store.Name{Kind: "dns", Value: "lost.example"}}) {
			if err != nil {
				return err
			}
			t.Errorf("certificate %s was issued", c.Serial)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Of an order that was finalized elsewhere, whoever finalizes it once more gets that certificate.
func TestFinalizedElsewhere(t *testing.T) {
	p := newTwins(t)
	o := p.here.ready("twice.example")
	csr := `{"csr":"` + b64(csrFor(t, "twice.example")) + `"}`
	p.there.post(p.at(o.Finalize), csr).want(http.StatusOK)
	var again orderDoc
	p.here.post(o.Finalize, csr).want(http.StatusOK).into(&again)
	if again.Status != "valid" {
		t.Fatalf("the order is %s", again.Status)
	}
	first := p.there.post(p.at(again.Certificate), "").want(http.StatusOK).body
	if second := p.here.post(again.Certificate, "").want(http.StatusOK).body; string(first) != string(second) {
		t.Error("two servers give two certificates")
	}
}

// What one account made is not shown to another, remembered or not.
func TestRememberedForItsAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, durable)
	c, stranger := w.newClient(), w.newClient()
	o := c.ready("mine.example")
	csr := `{"csr":"` + b64(csrFor(t, "mine.example")) + `"}`
	stranger.post(o.Authorizations[0], "").refused(http.StatusForbidden, "unauthorized")
	stranger.post(o.Finalize, csr).refused(http.StatusForbidden, "unauthorized")
	var done orderDoc
	c.post(o.Finalize, csr).want(http.StatusOK).into(&done)
	stranger.post(done.Certificate, "").refused(http.StatusForbidden, "unauthorized")
	c.post(done.Certificate, "").want(http.StatusOK)
}
