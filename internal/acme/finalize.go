package acme

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/store"
)

// flights are orders that are being finalized by this process: the second who asks waits
// for the first. Between servers the commit decides.
type flights struct {
	mu     sync.Mutex
	orders map[string]chan struct{}
}

// enter is the turn of an order; wait is closed when the one before is done, nil if there
// is none.
func (f *flights) enter(id string) (wait <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.orders[id]; c != nil {
		return c
	}
	if f.orders == nil {
		f.orders = map[string]chan struct{}{}
	}
	f.orders[id] = make(chan struct{})
	return nil
}

// leave ends a turn that enter gave; one that waits has none.
func (f *flights) leave(id string, waits <-chan struct{}) {
	if waits != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.orders[id])
	delete(f.orders, id)
}

func (f *flights) under(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.orders[id] != nil
}

// finalize gives an order whose names are all proven its certificate (RFC 8555, Section
// 7.4). Asked again it answers with what there is.
func (q *request) finalize() error {
	var ask struct {
		CSR string `json:"csr"`
	}
	plain := false
	if ask.CSR, plain = q.body.text("csr"); !plain {
		if err := q.body.read(&ask); err != nil {
			return err
		}
	}
	csr, err := parseCSR(ask.CSR)
	if err != nil {
		return err
	}
	id := q.r.PathValue("id")
	for first := true; ; first = false {
		wait := q.finalizing.enter(id)
		s, err := q.orderToFulfil(id)
		if err == nil && wait == nil && s.status == "processing" {
			s.status = "ready" // it is our own turn that shows
		}
		if err != nil {
			q.finalizing.leave(id, wait)
			return err
		}
		if s.status != "ready" && s.status != "processing" {
			q.finalizing.leave(id, wait)
			if s.status == store.ACMEValid {
				return q.answerOrder(http.StatusOK, s)
			}
			return q.notReady(s)
		}
		if wait != nil {
			select {
			case <-wait:
				continue
			case <-q.ctx.Done():
				return q.answerOrder(http.StatusOK, s)
			}
		}
		err = func() error {
			defer q.finalizing.leave(id, nil)
			return q.certify(s, csr)
		}()
		if errors.Is(err, store.ErrStale) && first {
			continue // another server was faster; what was remembered is forgotten
		}
		if err != nil {
			return err
		}
		s.status = store.ACMEValid
		return q.answerOrder(http.StatusOK, s)
	}
}

// orderToFulfil is an order that is finalized: as it is remembered if it is ready so, since it
// gets its certificate only if that is still so; else as the store has it.
func (q *request) orderToFulfil(id string) (*orderState, error) {
	if s := q.recentlyReady(id); s != nil {
		return s, nil
	}
	return q.loadOrder(id)
}

func (q *request) notReady(s *orderState) error {
	p := &problem{Type: "orderNotReady", Status: http.StatusForbidden, Detail: "the order is " + s.status + ": every name has to be proven first"}
	if why, ok := s.problem.(*problem); ok && s.status == store.ACMEInvalid {
		p.Detail, p.Subproblems = "the order is invalid: "+why.Detail, why.Subproblems
	} else if s.status == store.ACMEInvalid {
		p.Detail = "the order is invalid; look at its error and make a new one"
	}
	return p
}

// parseCSR reads a certificate request (RFC 8555, Section 7.4). Padding and line breaks are
// forgiven: some appliances send them.
func parseCSR(text string) (*x509.CertificateRequest, error) {
	der, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(der) == 0 {
		return nil, malformed("csr is not a certificate request in base64url")
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, badCSR("the certificate request cannot be read")
	}
	if err := issue.CheckRequest(csr); err != nil {
		return nil, badCSR("%s", faultText(err))
	}
	if err := issue.CheckKey(csr.PublicKey); err != nil {
		return nil, badCSR("%s", faultText(err))
	}
	return csr, nil
}

// certify issues. The order gets its certificate in the commit that records it, if it still
// waits for one: a certificate of an order that got one meanwhile is thrown away.
func (q *request) certify(s *orderState, csr *x509.CertificateRequest) error {
	names, cn, err := q.matchRequest(s.ACMEOrder, csr)
	if err != nil {
		return err
	}
	if err := q.refuseCompromised(csr); err != nil {
		return err
	}
	if err := q.limitCertificates(s.ACMEOrder); err != nil {
		return err
	}
	if err := q.checkCAA(s); err != nil {
		return err
	}
	grant, err := q.kind.Grant(names, cn, s.Profile)
	if err != nil {
		return &problem{Type: "invalidProfile", Status: http.StatusBadRequest, Detail: faultText(err)}
	}
	ask := &issue.X509Ask{Request: lowered(csr), NotBefore: issue.Moment{At: s.NotBefore}, NotAfter: issue.Moment{At: s.NotAfter},
		Data: issue.Data{ClientIP: q.clientIP(), RequestID: q.requestID()}}
	issued, err := q.ca.IssueEarned(q.ctx, &ca.Earned{Provisioner: q.p, Grant: grant, Act: "x509.sign", Detail: "acme account " + q.account.ID,
		Also: func(tx *store.Tx, serial string, notAfter time.Time) error {
			if err := q.spendNonce(tx); err != nil {
				return err
			}
			if err := stillProven(tx, s, q.now); err != nil {
				return err
			}
			remove := notAfter.Add(recordGrace)
			if remove.Before(s.RemoveAt) {
				remove = s.RemoveAt
			}
			return tx.FulfilACMEOrder(s.ACMEOrder, serial, remove)
		}}, ask)
	if err != nil {
		q.recent.forget(s.ID)
		return finalizeProblem(err)
	}
	q.recent.fulfilled(s.ACMEOrder, issued.Chain[0])
	q.limits.finished(q.account.ID)
	q.tell(ca.Event{Act: "acme_order", Type: store.ACMEValid})
	return nil
}

// refuseCompromised refuses a key whose holder said that somebody else has it.
func (q *request) refuseCompromised(csr *x509.CertificateRequest) error {
	id, err := keys.PublicKeyID(csr.PublicKey)
	if err != nil {
		return badCSR("the key of the certificate request cannot be used")
	}
	compromised := false
	err = q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		compromised, err = tx.IsCompromised(id)
		return err
	})
	if err == nil && compromised {
		return badCSR("a certificate for this key was revoked because somebody else has the key; make a new one")
	}
	return err
}

// lowered is a request with its DNS names in the case of the order's.
func lowered(csr *x509.CertificateRequest) *x509.CertificateRequest {
	same := *csr
	same.DNSNames = nil
	for _, name := range csr.DNSNames {
		same.DNSNames = append(same.DNSNames, strings.ToLower(name))
	}
	return &same
}

// stillProven looks once more inside the commit at authorizations that other orders were
// made with: they may have been given up since. One of the order's own takes the order along.
func stillProven(tx *store.Tx, s *orderState, now time.Time) error {
	for _, a := range s.authzs {
		if a.OrderID == s.ID {
			continue
		}
		fresh, err := tx.ACMEAuthz(a.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if fresh == nil || fresh.Status != "valid" || !fresh.ExpiresAt.After(now) {
			return &problem{Type: "orderNotReady", Status: http.StatusForbidden, Detail: "an authorization of this order was given up in the meantime"}
		}
	}
	return nil
}

// matchRequest holds a certificate request against its order: exactly the same names, no
// others of any kind, and not the account's own key (RFC 8555, Sections 7.4 and 11.1).
func (q *request) matchRequest(o *store.ACMEOrder, csr *x509.CertificateRequest) (issue.Names, string, error) {
	var none issue.Names
	own, err := q.keys.of(q.account)
	if err != nil {
		return none, "", err
	}
	if keys.SamePublicKey(own, csr.PublicKey) {
		return none, "", badCSR("the certificate request is for the key of the account; make a key of its own for each certificate")
	}
	if err := onlyPlainNames(csr); err != nil {
		return none, "", err
	}
	dns, ips := map[string]bool{}, map[string]bool{}
	for _, name := range csr.DNSNames {
		dns[strings.ToLower(name)] = true
	}
	for _, ip := range csr.IPAddresses {
		ips[ip.String()] = true
	}
	cn := csr.Subject.CommonName
	if ip := net.ParseIP(cn); ip != nil {
		ips[ip.String()] = true
	} else if cn != "" {
		dns[strings.ToLower(cn)] = true
	}
	var names issue.Names
	for _, id := range o.Identifiers {
		have := dns
		if id.Type == "ip" {
			have = ips
			names.IPs = append(names.IPs, net.ParseIP(id.Value))
		} else {
			names.DNS = append(names.DNS, id.Value)
		}
		if !have[id.Value] {
			return none, "", badCSR("the certificate request lacks the %s name %s of the order", id.Type, clip(id.Value))
		}
		delete(have, id.Value)
	}
	for _, left := range []map[string]bool{dns, ips} {
		for name := range left {
			return none, "", badCSR("the certificate request names %s, which the order does not have", clip(name))
		}
	}
	slices.Sort(names.DNS)
	return names, cn, nil
}

var (
	oidAltName     = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
)

// onlyPlainNames refuses a request with names that no challenge proves, or that wants to be
// a CA.
func onlyPlainNames(csr *x509.CertificateRequest) error {
	if len(csr.EmailAddresses) > 0 || len(csr.URIs) > 0 {
		return badCSR("the certificate request has e-mail addresses or URIs, which no challenge proves")
	}
	for _, ext := range csr.Extensions {
		if ext.Id.Equal(oidConstraints) {
			var c struct {
				IsCA    bool `asn1:"optional"`
				PathLen int  `asn1:"optional,default:-1"`
			}
			if _, err := asn1.Unmarshal(ext.Value, &c); err != nil || c.IsCA {
				return badCSR("the certificate request is for a CA certificate, which ACME does not give")
			}
		}
		if !ext.Id.Equal(oidAltName) {
			continue
		}
		var all []asn1.RawValue
		if rest, err := asn1.Unmarshal(ext.Value, &all); err != nil || len(rest) > 0 {
			return badCSR("the subject alternative names of the certificate request cannot be read")
		}
		for _, one := range all {
			if one.Class != asn1.ClassContextSpecific || (one.Tag != 2 && one.Tag != 7) {
				return badCSR("the certificate request has names that are neither DNS names nor addresses, which no challenge proves")
			}
		}
	}
	if n := len(csr.DNSNames) + len(csr.IPAddresses); n == 0 && csr.Subject.CommonName == "" {
		return badCSR("the certificate request has no names")
	}
	if commonNames := countCommonNames(csr); commonNames > 1 {
		return badCSR("the certificate request has %d common names", commonNames)
	}
	return nil
}

func countCommonNames(csr *x509.CertificateRequest) (n int) {
	for _, attribute := range csr.Subject.Names {
		if attribute.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			n++
		}
	}
	return n
}

// finalizeProblem puts the refusal of a certificate into the protocol's words, by who
// refused it.
func finalizeProblem(err error) error {
	if errors.Is(err, store.ErrStale) {
		return store.ErrStale
	}
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	f := fault.Of(err)
	stage, ok := errors.AsType[*ca.Stage](err)
	if f == nil || !ok || f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		return err
	}
	p := &problem{Type: "rejectedIdentifier", Status: http.StatusForbidden, Detail: f.Message}
	switch stage.Name {
	case "enrich", "approve":
		p.Type, p.Subproblems = "unauthorized", hookSubproblems(err, f.Message)
	case "draft", "lint":
		p.Type, p.Status = "badCSR", http.StatusBadRequest
	case "check":
		refusal, ok := errors.AsType[*issue.Refusal](err)
		switch {
		case ok && refusal.Of == issue.OfKey:
			p.Type, p.Status = "badCSR", http.StatusBadRequest
		case ok || f.Kind == fault.Invalid:
			p.Type, p.Status = "malformed", http.StatusBadRequest
		}
	}
	return p
}

func (q *request) clientIP() string {
	host, _, err := net.SplitHostPort(q.r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// limitCertificates bounds how often one set of names is certified. A renewal in its time is
// never turned away: a certificate is replaced once and in its time, so nobody gets around the bound by that.
func (q *request) limitCertificates(o *store.ACMEOrder) error {
	n := q.kind.Bounds().Certificates
	if n < 0 {
		return nil
	}
	var names []string
	for _, id := range o.Identifiers {
		names = append(names, id.Value)
	}
	slices.Sort(names)
	wait := q.limits.take(limitKey{"certificates " + q.p.ID, strings.Join(names, " ")}, n, 24*time.Hour, q.now)
	if wait > 0 {
		if due, err := q.renewsInTime(o); err != nil || due {
			return err
		}
	}
	return limited(wait, "certificatesPerDay", "too many certificates for exactly these names")
}
