package api

import (
	"crypto/x509"
	"encoding/json"
)

// SignAnswers are the answer to a signed request as we write it, and as encoding/json does.
func (a *API) SignAnswers(chain []*x509.Certificate) (own, standard string, err error) {
	body, err := a.signAnswer(chain)
	if err != nil {
		return "", "", err
	}
	answer := signResponse{Chain: pemList(chain), TLSOptions: a.TLS()}
	answer.Certificate = answer.Chain[0]
	if len(answer.Chain) > 1 {
		answer.Issuer = &answer.Chain[1]
	}
	text, err := json.Marshal(answer)
	return string(body), string(text), err
}
