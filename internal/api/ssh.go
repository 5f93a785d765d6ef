package api

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

// sshKey reads a public key of the wire: standard base64 of the SSH wire form; "" and null
// mean that there is none.
type sshKey struct{ ssh.PublicKey }

func (k *sshKey) UnmarshalJSON(data []byte) error {
	var s *string
	if err := json.Unmarshal(data, &s); err != nil {
		return fault.New(fault.Invalid, "an SSH key is a string, base64 of its wire form")
	}
	if s == nil || *s == "" {
		return nil
	}
	blob, err := base64.StdEncoding.DecodeString(*s)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "an SSH key is base64 of its wire form, without the name of its type before it")
	}
	if k.PublicKey, err = ssh.ParsePublicKey(blob); err != nil {
		return fault.Wrap(err, fault.Invalid, "the SSH key cannot be read")
	}
	return nil
}

type sshSignRequest struct {
	Key          sshKey          `json:"publicKey"`
	Token        string          `json:"ott"`
	Type         string          `json:"certType"`
	KeyID        string          `json:"keyID"`
	Principals   []string        `json:"principals"`
	ValidAfter   moment          `json:"validAfter"`
	ValidBefore  moment          `json:"validBefore"`
	AddUserKey   sshKey          `json:"addUserPublicKey"`
	Identity     request         `json:"identityCSR"`
	TemplateData json.RawMessage `json:"templateData"`
}

type sshProofRequest struct {
	Token string `json:"ott"`
	Key   sshKey `json:"publicKey"`
}

type sshResponse struct {
	Certificate string   `json:"crt"`
	AddUser     string   `json:"addUserCrt,omitempty"`
	Identity    []string `json:"identityCrt,omitempty"`
}

// maxPrincipals bounds the list of a request.
const maxPrincipals = 256

func (a *API) sshSign(w http.ResponseWriter, r *http.Request) error {
	var body sshSignRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	issued, err := a.CA.SignSSH(r.Context(), body.Token, &ca.SSHAsk{
		SSHAsk: issue.SSHAsk{Key: body.Key.PublicKey, Type: body.Type, KeyID: body.KeyID, Principals: body.Principals,
			ValidAfter: body.ValidAfter.Moment, ValidBefore: body.ValidBefore.Moment, Data: dataOf(r, body.TemplateData)},
		AddUserKey: body.AddUserKey.PublicKey, Identity: body.Identity.CertificateRequest})
	if err != nil {
		return err
	}
	writeSSH(w, r, issued)
	return nil
}

func (b *sshSignRequest) check() error {
	switch {
	case b.Key.PublicKey == nil:
		return fault.New(fault.Invalid, "publicKey is missing; put the SSH key there, base64 of its wire form")
	case b.Token == "":
		return fault.New(fault.Invalid, "ott is missing; put a token of one of this CA's provisioners there")
	case b.Type != "" && b.Type != "user" && b.Type != "host":
		return fault.New(fault.Invalid, "certType is %q; it must be user, host, or left out", clip(b.Type))
	case slices.Contains(b.Principals, ""):
		return fault.New(fault.Invalid, "one of the principals is empty")
	case len(b.Principals) > maxPrincipals:
		return fault.New(fault.Invalid, "there are %d principals; %d are the most", len(b.Principals), maxPrincipals)
	}
	if b.Identity.CertificateRequest != nil {
		return issue.CheckRequest(b.Identity.CertificateRequest)
	}
	return nil
}

func (a *API) sshRenew(w http.ResponseWriter, r *http.Request) error {
	var body sshProofRequest
	if err := readProof(w, r, &body); err != nil {
		return err
	}
	issued, err := a.CA.RenewSSH(r.Context(), body.Token, clientOf(r))
	if err != nil {
		return err
	}
	writeSSH(w, r, issued)
	return nil
}

func (a *API) sshRekey(w http.ResponseWriter, r *http.Request) error {
	var body sshProofRequest
	if err := readProof(w, r, &body); err != nil {
		return err
	}
	if body.Key.PublicKey == nil {
		return fault.New(fault.Invalid, "publicKey is missing; put the new SSH key there, base64 of its wire form")
	}
	issued, err := a.CA.RekeySSH(r.Context(), body.Token, body.Key.PublicKey, clientOf(r))
	if err != nil {
		return err
	}
	writeSSH(w, r, issued)
	return nil
}

func readProof(w http.ResponseWriter, r *http.Request, body *sshProofRequest) error {
	if err := readJSON(w, r, body); err != nil {
		return err
	}
	if body.Token == "" {
		return fault.New(fault.Invalid, "ott is missing; put a token there that is signed with the SSH certificate's key")
	}
	return nil
}

func (a *API) sshRevoke(w http.ResponseWriter, r *http.Request) error {
	var body revokeRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	serial, err := strconv.ParseUint(strings.TrimSpace(body.Serial), 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "serial is %q; an SSH serial number is a decimal number below 2^64", clip(body.Serial))
	}
	if err := ca.CheckReason(body.ReasonCode); err != nil {
		return err
	}
	switch {
	case len(body.Reason) > maxReason:
		return fault.New(fault.Invalid, "reason is %d bytes long; %d is the most", len(body.Reason), maxReason)
	case !body.Passive:
		return fault.New(fault.Unsupported, "only passive revocation is offered; set passive to true")
	case body.Token == "":
		return fault.New(fault.Invalid, "ott is missing; revocation of SSH certificates needs a token")
	}
	Note(r.Context(), "serial", body.Serial, "reasonCode", body.ReasonCode, "reason", body.Reason, "passiveOnly", true, "mTLS", false, "ssh", true)
	if err := a.CA.RevokeSSH(r.Context(), body.Token, ca.RevokeSSHAsk{Serial: serial, ReasonCode: body.ReasonCode, Reason: body.Reason}); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Status string `json:"status"`
	}{"ok"})
	return nil
}

func writeSSH(w http.ResponseWriter, r *http.Request, issued *ca.IssuedSSH) {
	text := base64.StdEncoding.EncodeToString(issued.Wire)
	noteSSH(r, issued.Certificate, text)
	answer := sshResponse{Certificate: text, Identity: pemList(issued.Identity)}
	if issued.AddUser != nil {
		answer.AddUser = wireSSH(issued.AddUser)
	}
	writeJSON(w, http.StatusCreated, answer)
}

func wireSSH(k ssh.PublicKey) string { return base64.StdEncoding.EncodeToString(k.Marshal()) }

// noteSSH puts what was issued into the request log, under the names log readers know.
func noteSSH(r *http.Request, c *ssh.Certificate, text string) {
	name := func(seconds uint64) string { return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339) }
	Note(r.Context(), "serial", c.Serial, "principals", c.ValidPrincipals,
		"valid-from", name(c.ValidAfter), "valid-to", name(c.ValidBefore), "certificate", text,
		"certificate-type", c.Type()+" "+issue.SSHType(c)+" certificate",
		"public-key", ssh.FingerprintSHA256(c.Key)+" ("+strings.ToUpper(strings.TrimPrefix(c.Key.Type(), "ssh-"))+"-CERT)")
}
