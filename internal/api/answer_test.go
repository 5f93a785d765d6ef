package api_test

import (
	"crypto/x509"
	"testing"

	"github.com/signet-ca/signet/internal/api"
	"github.com/signet-ca/signet/internal/testca"
)

func TestSignAnswerIsThatOfEncodingJSON(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	options := &api.TLSOptions{CipherSuites: []string{"A", "B"}, MinVersion: "1.2", MaxVersion: "1.3"}
	for _, o := range []*api.TLSOptions{nil, options} {
		door := &api.API{TLS: func() *api.TLSOptions { return o }}
		for _, chain := range [][]*x509.Certificate{{ca.Root}, {ca.Intermediate, ca.Root}, {ca.Root, ca.Intermediate, ca.Root}, {ca.Root, ca.Root}} {
			own, standard, err := door.SignAnswers(chain)
			if err != nil {
				t.Fatal(err)
			}
			if own != standard {
				t.Errorf("own\n%s\nencoding/json\n%s", own, standard)
			}
		}
	}
}
