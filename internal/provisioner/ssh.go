package provisioner

import (
	"encoding/json"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

// sshClaim is the step.ssh claim: what an SSH certificate should be. Absent members have
// defaults.
type sshClaim struct {
	Type        string   `json:"certType"`
	KeyID       string   `json:"keyID"`
	Principals  []string `json:"principals"`
	ValidAfter  string   `json:"validAfter"`
	ValidBefore string   `json:"validBefore"`
}

// wantsSSH reports whether a token is for an SSH certificate.
func (s *StepClaims) wantsSSH() bool {
	return s != nil && len(s.SSH) > 0 && string(s.SSH) != "null"
}

// sshRight reads what a token grants in SSH. Without the claim it grants nothing; an empty
// object grants the defaults, a user certificate for the subject.
func (t *Token) sshRight() (*issue.SSHRight, error) {
	if !t.Step.wantsSSH() {
		return nil, fault.New(fault.Unproven, "the token is not for an SSH certificate (it has no step.ssh claim)")
	}
	return t.sshRightFor("user", []string{t.Subject})
}

// sshRightFor is what a token says about an SSH certificate, with the type and the principals
// that it has where the token says nothing.
func (t *Token) sshRightFor(kind string, principals []string) (*issue.SSHRight, error) {
	var c sshClaim
	if t.Step.wantsSSH() {
		if err := json.Unmarshal(t.Step.SSH, &c); err != nil {
			return nil, fault.Wrap(err, fault.Unproven, "the step.ssh claim of the token cannot be read")
		}
	}
	r := &issue.SSHRight{Type: c.Type, KeyID: c.KeyID, Principals: c.Principals}
	switch r.Type {
	case "":
		r.Type = kind
	case "user", "host":
	default:
		return nil, fault.New(fault.Invalid, "unknown certificate type %q in the token; it is user or host", c.Type)
	}
	if r.KeyID == "" {
		r.KeyID = t.Subject
	}
	if len(r.Principals) == 0 {
		r.Principals = principals
	}
	var err error
	if r.ValidAfter, err = issue.ParseMoment(c.ValidAfter); err != nil {
		return nil, err
	}
	if r.ValidBefore, err = issue.ParseMoment(c.ValidBefore); err != nil {
		return nil, err
	}
	bind, err := t.binding()
	if err == nil && bind.ClientSHA256 != nil {
		err = fault.New(fault.Denied, "the token is bound to a TLS client certificate (cnf x5t#S256), which SSH certificates do not know")
	}
	r.KeySHA256, r.Key, r.KeyThumbprint = bind.RequestSHA256, bind.Key, bind.KeyThumbprint
	return r, err
}
