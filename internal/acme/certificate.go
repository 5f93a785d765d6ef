package acme

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strconv"

	"github.com/signet-ca/signet/internal/store"
)

// certificate gives the chain of an order's certificate, leaf first, without the root (RFC
// 8555, Section 7.4.2). The chains over other intermediates of the same key are alternates.
func (q *request) certificate() error {
	id := q.r.PathValue("id")
	if !isID(id) {
		return missing("certificate")
	}
	o, leaf := q.recentlyDone(id)
	if leaf == nil {
		var err error
		if o, leaf, err = q.loadCertificate(id); err != nil {
			return err
		}
	}
	chains := q.ca.ChainsFor(leaf)
	n := 0
	if text := q.r.PathValue("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n >= len(chains) || strconv.Itoa(n) != text {
			return missing("alternate chain")
		}
	}
	for i := range chains {
		if i != n {
			url := q.certificateURL(o)
			if i > 0 {
				url += "/alternate/" + strconv.Itoa(i)
			}
			q.w.Header().Add("Link", "<"+url+`>;rel="alternate"`)
		}
	}
	var body bytes.Buffer
	for _, one := range append([]*x509.Certificate{leaf}, chains[n]...) {
		_ = pem.Encode(&body, &pem.Block{Type: "CERTIFICATE", Bytes: one.Raw}) // a buffer takes everything
	}
	h := q.w.Header()
	h.Set("Content-Type", "application/pem-certificate-chain")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	q.w.WriteHeader(http.StatusOK)
	_, _ = q.w.Write(body.Bytes())
	return nil
}

// loadCertificate reads an order of the account with its certificate.
func (q *request) loadCertificate(id string) (*store.ACMEOrder, *x509.Certificate, error) {
	var o *store.ACMEOrder
	var c *store.Certificate
	err := q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		if o, err = tx.ACMEOrder(id); err != nil || o.Serial == "" {
			return err
		}
		c, err = tx.Certificate("x509", o.Serial)
		return err
	})
	if err != nil {
		return nil, nil, found("certificate", err)
	}
	if !q.owns(o.AccountID, o.ProvisionerID) {
		return nil, nil, unauthorized("the certificate belongs to another account")
	}
	if c == nil {
		return nil, nil, missing("certificate")
	}
	leaf, err := x509.ParseCertificate(c.Raw)
	return o, leaf, err
}
