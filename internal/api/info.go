package api

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// Status tells a load balancer and an operator how the server is.
type Status struct {
	Ready    bool      `json:"ready"`              // may requests be sent here
	Problems []Problem `json:"problems,omitempty"` // what is wrong; some of it may not keep the server from being ready
}

// Problem is one thing that is wrong.
type Problem struct {
	Part   string `json:"part"`   // "database", "issuer", "provisioner", "clock", …
	Name   string `json:"name"`   // which one, "" if there is only one
	Reason string `json:"reason"` // in words, without secrets
	Fatal  bool   `json:"fatal"`  // keeps the server from being ready
}

func (a *API) version(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, struct {
		Version string `json:"version"`
	}{a.Version})
	return nil
}

func (a *API) health(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, struct {
		Status string `json:"status"`
	}{"ok"})
	return nil
}

func (a *API) ready(w http.ResponseWriter, r *http.Request) error {
	status := a.Ready(r.Context())
	code := http.StatusOK
	if !status.Ready {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, status)
	return nil
}

// root answers anybody: clients that know only a fingerprint fetch the root with it and
// compare the hash themselves.
func (a *API) root(w http.ResponseWriter, r *http.Request) error {
	sum, err := hex.DecodeString(strings.NewReplacer("-", "", ":", "").Replace(r.PathValue("sha")))
	if err == nil && len(sum) == sha256.Size {
		s := a.CA.State()
		for _, list := range [][]*x509.Certificate{s.Roots, s.Federated} {
			for _, c := range list {
				if have := sha256.Sum256(c.Raw); bytes.Equal(have[:], sum) {
					writeJSON(w, http.StatusOK, struct {
						CA string `json:"ca"`
					}{pemOf(c)})
					return nil
				}
			}
		}
	}
	return fault.New(fault.Missing, "no root certificate of this CA has the SHA-256 fingerprint %q", clip(r.PathValue("sha")))
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

type certificates struct {
	List []string `json:"crts"`
}

// roots answers 201, which clients have come to expect.
func (a *API) roots(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusCreated, certificates{pemList(a.CA.State().Roots)})
	return nil
}

func (a *API) rootsPEM(w http.ResponseWriter, _ *http.Request) error {
	return writePEM(w, a.CA.State().Roots)
}

func (a *API) intermediates(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusCreated, certificates{pemList(a.CA.State().Issuer.Chain())})
	return nil
}

func (a *API) intermediatesPEM(w http.ResponseWriter, _ *http.Request) error {
	return writePEM(w, a.CA.State().Issuer.Chain())
}

func (a *API) federation(w http.ResponseWriter, _ *http.Request) error {
	s := a.CA.State()
	all := append(s.Roots[:len(s.Roots):len(s.Roots)], s.Federated...)
	writeJSON(w, http.StatusCreated, certificates{pemList(all)})
	return nil
}

func writePEM(w http.ResponseWriter, certs []*x509.Certificate) error {
	body := keys.EncodeCertificates(certs...)
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
	return nil
}

// visible refuses to tell strangers of provisioners where the operator closed that.
func (a *API) visible(r *http.Request) error {
	if a.CA.State().Hidden && clientOf(r) == nil {
		return fault.New(fault.Missing, "this CA shows its provisioners to holders of its certificates only; get a token from whoever runs it")
	}
	return nil
}

func (a *API) provisioners(w http.ResponseWriter, r *http.Request) error {
	if err := a.visible(r); err != nil {
		return err
	}
	limit := 0
	if s := r.URL.Query().Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return fault.New(fault.Invalid, "limit is %q; it must be a whole number", clip(s))
		}
		limit = n
	}
	page, next := a.CA.State().Provisioners.Page(r.URL.Query().Get("cursor"), limit)
	list := make([]json.RawMessage, len(page))
	for i, p := range page {
		public, err := p.Public()
		if err != nil {
			return err
		}
		list[i] = public
	}
	writeJSON(w, http.StatusOK, struct {
		List []json.RawMessage `json:"provisioners"`
		Next string            `json:"nextCursor"`
	}{list, next})
	return nil
}

func (a *API) encryptedKey(w http.ResponseWriter, r *http.Request) error {
	if err := a.visible(r); err != nil {
		return err
	}
	key, ok := a.CA.State().Provisioners.EncryptedKey(r.PathValue("kid"))
	if !ok {
		return fault.New(fault.Missing, "no provisioner has an encrypted key with the ID %q", clip(r.PathValue("kid")))
	}
	writeJSON(w, http.StatusOK, struct {
		Key string `json:"key"`
	}{key})
	return nil
}

func (a *API) crl(w http.ResponseWriter, r *http.Request) error {
	list, err := a.CA.CRL(r.Context())
	if err != nil {
		return err
	}
	shown := a.shownCRL(list)
	body, kind, name, tag := list.DER, "application/pkix-crl", "crl.crl", shown.tag
	if r.URL.Query().Has("pem") {
		body, tag = shown.pem()
		kind, name = "application/x-pem-file", "crl.pem"
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Expires", list.NextUpdate.UTC().Format(http.TimeFormat))
	h.Set("ETag", tag)
	h.Set("Cache-Control", "public, no-transform")
	http.ServeContent(w, r, "", list.ThisUpdate, bytes.NewReader(body))
	return nil
}

// shownCRL is what is made of a revocation list once, however often it is fetched. Entity tags
// are those of RFC 9110, Section 8.8.3.
type shownCRL struct {
	list *ca.RevocationList
	tag  string
	pem  func() (text []byte, tag string)
}

func (a *API) shownCRL(list *ca.RevocationList) *shownCRL {
	if shown := a.crlShown.Load(); shown != nil && shown.list == list {
		return shown
	}
	shown := &shownCRL{list: list, tag: entityTag(list.DER), pem: sync.OnceValues(func() ([]byte, string) {
		text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.DER})
		return text, entityTag(text)
	})}
	a.crlShown.Store(shown)
	return shown
}

func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}
