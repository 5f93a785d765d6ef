package api

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"slices"

	"github.com/signet-ca/signet/internal/keys"
)

// quotedChain is an issuing chain as JSON strings of PEM. It is the same in almost every
// answer, so the last one is kept.
type quotedChain struct {
	chain []*x509.Certificate
	texts [][]byte
}

// quotedPEM is the JSON string of a certificate's PEM, in which nothing but the ends of
// lines needs escaping.
func quotedPEM(c *x509.Certificate) []byte {
	text := keys.EncodeCertificates(c)
	quoted := make([]byte, 0, len(text)+len(text)/32)
	quoted = append(quoted, '"')
	for line := range bytes.Lines(text) {
		quoted = append(append(quoted, bytes.TrimSuffix(line, []byte("\n"))...), `\n`...)
	}
	return append(quoted, '"')
}

func (a *API) quotedIssuers(chain []*x509.Certificate) [][]byte {
	if kept := a.issuers.Load(); kept != nil && slices.Equal(kept.chain, chain) {
		return kept.texts
	}
	q := &quotedChain{chain: chain}
	for _, c := range chain {
		q.texts = append(q.texts, quotedPEM(c))
	}
	a.issuers.Store(q)
	return q.texts
}

// signAnswer is a signResponse as encoding/json would write it (a test compares them), for a
// fraction of the cost: each certificate stands in it twice.
func (a *API) signAnswer(chain []*x509.Certificate) ([]byte, error) {
	leaf, issuers := quotedPEM(chain[0]), a.quotedIssuers(chain[1:])
	b := make([]byte, 0, 2*len(leaf)+4096)
	b = append(append(b, `{"crt":`...), leaf...)
	b = append(b, `,"ca":`...)
	if len(issuers) > 0 {
		b = append(b, issuers[0]...)
	} else {
		b = append(b, `null`...)
	}
	b = append(append(b, `,"certChain":[`...), leaf...)
	for _, text := range issuers {
		b = append(append(b, ','), text...)
	}
	b = append(b, ']')
	if options := a.TLS(); options != nil {
		text, err := json.Marshal(options)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `,"tlsOptions":`...), text...)
	}
	return append(b, '}'), nil
}
