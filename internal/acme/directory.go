package acme

import (
	"net/http"
)

// directoryJSON is where a client begins (RFC 8555, Section 7.1.1).
type directoryJSON struct {
	NewNonce    string         `json:"newNonce"`
	NewAccount  string         `json:"newAccount"`
	NewOrder    string         `json:"newOrder"`
	NewAuthz    string         `json:"newAuthz"`
	RevokeCert  string         `json:"revokeCert"`
	KeyChange   string         `json:"keyChange"`
	RenewalInfo string         `json:"renewalInfo"`
	Meta        *directoryMeta `json:"meta,omitempty"`
}

type directoryMeta struct {
	TermsOfService          string            `json:"termsOfService,omitempty"`
	Website                 string            `json:"website,omitempty"`
	CAAIdentities           []string          `json:"caaIdentities,omitempty"`
	ExternalAccountRequired bool              `json:"externalAccountRequired,omitempty"`
	SubdomainAuthAllowed    bool              `json:"subdomainAuthAllowed,omitempty"`
	Profiles                map[string]string `json:"profiles,omitempty"`
}

func (q *request) directory() error {
	fresh, _ := q.kind.NeedsEAB()
	meta := &directoryMeta{TermsOfService: q.kind.TermsOfService, Website: q.kind.Website, CAAIdentities: q.kind.CAAIdentities,
		ExternalAccountRequired: fresh, SubdomainAuthAllowed: q.kind.SubdomainAuth}
	for name, profile := range q.kind.Profiles {
		if meta.Profiles == nil {
			meta.Profiles = map[string]string{}
		}
		if meta.Profiles[name] = profile.Description; profile.Description == "" {
			meta.Profiles[name] = name
		}
	}
	if meta.TermsOfService == "" && meta.Website == "" && len(meta.CAAIdentities) == 0 && !fresh && !meta.SubdomainAuthAllowed && meta.Profiles == nil {
		meta = nil
	}
	return q.answer(http.StatusOK, directoryJSON{
		NewNonce: q.base + "/new-nonce", NewAccount: q.base + "/new-account", NewOrder: q.base + "/new-order", NewAuthz: q.base + "/new-authz",
		RevokeCert: q.base + "/revoke-cert", KeyChange: q.base + "/key-change", RenewalInfo: q.base + "/renewal-info", Meta: meta,
	})
}

// newNonce answers with nothing but a nonce (RFC 8555, Section 7.2).
func (q *request) newNonce() error {
	if err := q.limits.requests(q); err != nil {
		return err
	}
	if q.body == nil { // else the answer has one already
		if err := q.fresh(); err != nil {
			return err
		}
	}
	status := http.StatusNoContent
	if q.r.Method == http.MethodHead {
		status = http.StatusOK
	}
	q.w.WriteHeader(status)
	return nil
}
