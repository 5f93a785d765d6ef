// Package acme is the door of the ACME protocol (RFC 8555 and what stands around it): it
// reads signed requests, keeps accounts, orders and authorizations, and asks the office for
// a certificate once every name of an order is proven.
//
// Nothing here depends on the memory of one process: what a client was promised is in the
// store, and every change of a state names the state it expects. What is in memory (who
// tries which challenge, used nonces, rates) may be lost at any moment.
package acme

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/challenge"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
)

// Bounds of a request body, in bytes.
const (
	maxBody     = 50 << 10
	maxLongBody = 256 << 10 // challenges and certificate requests
)

// Options are what a door is made of.
type Options struct {
	CA  *ca.CA
	Log *slog.Logger

	HTTPPort, TLSPort int    // of validation; 0: 80 and 443
	Resolver          string // DNS server for validation, host:port; "": those of the machine
	StrictFQDN        bool   // names are complete: no search list
}

// Door serves ACME for one CA, over all its reloads.
type Door struct {
	o          Options
	ca         *ca.CA
	store      *store.Store
	log        *slog.Logger
	nonces     *nonces
	limits     *limits
	paused     pausedNames
	engine     *engine
	finalizing flights
	keys       keyCache
	accounts   accountCache
	recent     recent

	mu         sync.Mutex
	validators map[*provisioner.Provisioner]*challenge.Validator
}

// New makes a door. Close it when nothing serves it any more.
func New(o Options) *Door {
	d := &Door{o: o, ca: o.CA, store: o.CA.Store(), log: o.Log, nonces: newNonces(o.CA.Store()), limits: newLimits(),
		validators: map[*provisioner.Provisioner]*challenge.Validator{}}
	d.engine = newEngine(d)
	return d
}

// Close ends the validations under way. Others go on with them when their clients ask.
func (d *Door) Close() { d.engine.close() }

// request is one request on its way through the door.
type request struct {
	*Door
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context
	now     time.Time
	state   *ca.State
	p       *provisioner.Provisioner
	kind    *provisioner.ACME
	base    string // URL of the provisioner's directory without "/directory"
	body    *signed
	account *store.ACMEAccount // whose key signed; nil before that is known, or if a key came along
	nonce   *usedNonce
}

// who is allowed to sign a request.
type signer uint8

const (
	byAccount signer = iota // kid
	byKey                   // jwk
	byEither
)

// route is one address below a provisioner.
type route struct {
	path   string
	by     signer
	limit  int64 // of the body
	read   bool  // POST-as-GET alone
	handle func(*request) error
}

// routes is the table of what is signed.
var routes = []route{
	{"new-account", byKey, maxBody, false, (*request).newAccount},
	{"account/{id}", byAccount, maxBody, false, (*request).accountUpdate},
	{"account/{id}/orders", byAccount, maxBody, true, (*request).accountOrders},
	{"key-change", byAccount, maxBody, false, (*request).keyChange},
	{"new-order", byAccount, maxBody, false, (*request).newOrder},
	{"new-authz", byAccount, maxBody, false, (*request).newAuthz},
	{"order/{id}", byAccount, maxBody, true, (*request).order},
	{"order/{id}/finalize", byAccount, maxLongBody, false, (*request).finalize},
	{"authz/{id}", byAccount, maxBody, false, (*request).authz},
	{"challenge/{id}/{challenge}", byAccount, maxLongBody, false, (*request).challenge},
	{"certificate/{id}", byAccount, maxBody, true, (*request).certificate},
	{"certificate/{id}/alternate/{n}", byAccount, maxBody, true, (*request).certificate},
	{"revoke-cert", byEither, maxLongBody, false, (*request).revoke},
}

// prefixes are where the door is found. Links lead to the first one.
var prefixes = []string{"/acme", "/2.0/acme", "/1.0/acme"}

// Prefixes are the paths that a server has to pass to Handler.
func Prefixes() []string {
	var all []string
	for _, p := range prefixes {
		all = append(all, p+"/")
	}
	return all
}

// Handler serves everything below the prefixes.
func (d *Door) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, prefix := range prefixes {
		at := prefix + "/{provisioner}/"
		for path, handle := range map[string]func(*request) error{
			"directory": (*request).directory, "new-nonce": (*request).newNonce, "renewal-info/{id}": (*request).renewalInfo,
		} {
			mux.HandleFunc(at+path, d.crossOrigin(d.plain(http.MethodGet, handle), "GET, HEAD, POST"))
		}
		for i := range routes {
			mux.HandleFunc(at+routes[i].path, d.crossOrigin(d.signed(&routes[i]), http.MethodPost))
		}
	}
	return mux
}

// open begins a request: it finds the provisioner.
func (d *Door) open(w http.ResponseWriter, r *http.Request) (*request, error) {
	q := &request{Door: d, w: w, r: r, ctx: r.Context(), now: time.Now(), state: d.ca.State()}
	name := r.PathValue("provisioner")
	q.base = baseURL(q.state.DNSNames, r) + "/acme/" + url.PathEscape(name)
	q.p = q.state.Provisioners.ByName(name)
	if q.p == nil {
		return q, &problem{Type: "malformed", Status: http.StatusNotFound, Detail: "this CA has no provisioner of that name"}
	}
	kind, ok := q.p.Kind().(*provisioner.ACME)
	if !ok {
		return q, &problem{Type: "unauthorized", Status: http.StatusUnauthorized, Detail: "the provisioner of that name is not of type ACME"}
	}
	if q.p.Disabled() != nil {
		return q, &problem{Type: "unauthorized", Status: http.StatusUnauthorized, Detail: "this provisioner is disabled; the operator finds the reason in the server's log"}
	}
	q.kind = kind
	return q, nil
}

// plain serves what needs no signature, and takes POST-as-GET for it, too (RFC 8555,
// Section 6.3).
func (d *Door) plain(method string, handle func(*request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case method, http.MethodHead:
		case http.MethodPost:
			d.signed(&route{by: byAccount, limit: maxBody, read: true, handle: handle})(w, r)
			return
		default:
			w.Header().Set("Allow", "GET, HEAD, POST")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		q, err := d.open(w, r)
		if err == nil {
			err = handle(q)
		}
		if err != nil {
			q.refuse(err)
		}
	}
}

// signed serves what needs a signature. The order of the steps is part of the protocol: the
// nonce is used up before the signature is looked at.
func (d *Door) signed(to *route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		q, err := d.open(w, r)
		if err == nil {
			err = q.fresh()
		}
		if err == nil {
			err = q.authenticate(to)
		}
		if err == nil {
			err = to.handle(q)
		}
		if err != nil {
			q.refuse(err)
		}
	}
}

// fresh gives the answer its nonce and the headers that every answer has.
func (q *request) fresh() error {
	nonce, err := q.nonces.make(q.ctx, q.state.Vault, q.now)
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Replay-Nonce", nonce)
	h.Set("Cache-Control", "no-store")
	h.Set("Link", "<"+q.base+`/directory>;rel="index"`)
	return nil
}

// authenticate reads the body and finds out who signed it.
func (q *request) authenticate(to *route) error {
	if err := q.checkContentType(); err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, to.limit))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{Type: "malformed", Status: http.StatusRequestEntityTooLarge, Detail: "the request body is larger than " + bytesText(tooLarge.Limit)}
	}
	if err != nil {
		return malformed("the request body could not be read to its end")
	}
	if q.body, err = parseSigned(body); err != nil {
		return err
	}
	if q.nonce, err = q.nonces.use(q.ctx, q.state.Vault, q.body.header.Nonce, q.now); err != nil {
		return err
	}
	if err := q.checkURL(q.body.header.URL); err != nil {
		return err
	}
	if err := q.findSigner(to.by); err != nil {
		return err
	}
	if to.read && len(q.body.payload) > 0 {
		return malformed("this address is only read, by POST-as-GET: the payload has to be empty (RFC 8555, Section 6.3)")
	}
	return nil
}

// checkContentType: RFC 8555, Section 6.2. Parameters do no harm. Old clients name what they
// want back instead when they fetch a certificate.
func (q *request) checkContentType() error {
	kind, _, err := mime.ParseMediaType(q.r.Header.Get("Content-Type"))
	if err == nil && kind == "application/jose+json" {
		return nil
	}
	if strings.Contains(q.r.URL.Path, "/certificate/") && (kind == "application/pkix-cert" || kind == "application/pkcs7-mime") {
		return nil
	}
	return &problem{Type: "malformed", Status: http.StatusUnsupportedMediaType, Detail: "the content type has to be application/jose+json"}
}

// changing runs a change of the store and uses the request's nonce up in the same commit, so
// that of two servers that get one request twice only one does something.
func (q *request) changing(change func(*store.Tx) error) error {
	return q.store.Update(q.ctx, func(tx *store.Tx) error {
		if err := q.spendNonce(tx); err != nil {
			return err
		}
		return change(tx)
	})
}

// spendNonce is the part of changing for those who have a transaction already.
func (q *request) spendNonce(tx *store.Tx) error {
	if !q.store.Durable() || q.nonce == nil {
		return nil // one process, which remembers by itself
	}
	err := tx.UseACMENonce(q.nonce.madeAt, q.nonce.text)
	if errors.Is(err, store.ErrExists) {
		return badNonce("the nonce has been used already")
	}
	return err
}

// validator looks at names as a provisioner wants it.
func (d *Door) validator(p *provisioner.Provisioner, kind *provisioner.ACME) (*challenge.Validator, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v := d.validators[p]; v != nil {
		return v, nil
	}
	if len(d.validators) > 64 { // those of earlier configurations
		clear(d.validators)
	}
	s := challenge.Settings{HTTPPort: d.o.HTTPPort, TLSPort: d.o.TLSPort, Resolver: d.o.Resolver, StrictFQDN: d.o.StrictFQDN,
		Issuers: kind.CAAIdentities, Log: d.log}
	if o := kind.Validation; o != nil {
		s.Resolvers, s.Authoritative, s.DNSSEC = o.Resolvers, o.Authoritative, o.DNSSEC
		networks, err := kind.Networks()
		if err != nil {
			return nil, err
		}
		s.Networks = networks
	}
	v := challenge.New(s)
	d.validators[p] = v
	return v, nil
}
