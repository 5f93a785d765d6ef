package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/sshfiles"
)

type sshKeys struct {
	User []string `json:"userKey,omitempty"`
	Host []string `json:"hostKey,omitempty"`
}

// sshState is the SSH half of the CA. Old clients read a 404 as "not configured for SSH".
func (a *API) sshState() (*ca.SSHState, error) {
	s := a.CA.State().SSH
	if s == nil {
		return nil, fault.New(fault.Missing, "this CA is not configured for SSH")
	}
	return s, nil
}

func (a *API) sshRoots(w http.ResponseWriter, _ *http.Request) error {
	s, err := a.sshState()
	if err != nil {
		return err
	}
	return writeKeys(w, s.UserKeys, s.HostKeys)
}

func (a *API) sshFederation(w http.ResponseWriter, _ *http.Request) error {
	s, err := a.sshState()
	if err != nil {
		return err
	}
	return writeKeys(w, s.FederatedUserKeys, s.FederatedHostKeys)
}

func writeKeys(w http.ResponseWriter, users, hosts []ssh.PublicKey) error {
	var k sshKeys
	for _, key := range users {
		k.User = append(k.User, wireSSH(key))
	}
	for _, key := range hosts {
		k.Host = append(k.Host, wireSSH(key))
	}
	if k.User == nil && k.Host == nil {
		return fault.New(fault.Missing, "this CA publishes no SSH keys of that kind")
	}
	writeJSON(w, http.StatusOK, k)
	return nil
}

// sshConfig gives clients the files that make their ssh trust this CA. The type in the body
// counts, then the one in the path; without either it is a user's machine.
func (a *API) sshConfig(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Type string            `json:"type"`
		Data map[string]string `json:"data"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	kind := body.Type
	if kind == "" {
		kind = r.PathValue("type")
	}
	if kind == "" {
		kind = "user"
	}
	if kind != "user" && kind != "host" {
		return fault.New(fault.Invalid, "type is %q; it must be user or host", clip(kind))
	}
	files, err := a.CA.SSHConfig(kind, body.Data)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]sshfiles.File{kind + "Templates": files})
	return nil
}

func (a *API) sshCheckHost(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Type      string          `json:"type"`
		Principal string          `json:"principal"`
		Token     json.RawMessage `json:"token"` // accepted and not needed: the answer is public
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if body.Type != "host" || body.Principal == "" {
		return fault.New(fault.Invalid, "only hosts can be looked up: type must be host, and principal the host's name")
	}
	known, err := a.CA.SSHHostKnown(r.Context(), strings.ToLower(body.Principal))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Exists bool `json:"exists"`
	}{known})
	return nil
}

type sshHost struct {
	ID   string   `json:"hid"`
	Tags []string `json:"host_tags"`
	Name string   `json:"hostname"`
}

func (a *API) sshHosts(w http.ResponseWriter, r *http.Request) error {
	s, err := a.sshState()
	if err != nil {
		return err
	}
	if s.HideHosts {
		return fault.New(fault.Missing, "this CA does not list its hosts")
	}
	names, err := a.CA.SSHHosts(r.Context())
	if err != nil {
		return err
	}
	hosts := make([]sshHost, len(names))
	for i, name := range names {
		hosts[i].Name = name
	}
	writeJSON(w, http.StatusOK, struct {
		Hosts []sshHost `json:"hosts"`
	}{hosts})
	return nil
}

func (a *API) sshBastion(w http.ResponseWriter, r *http.Request) error {
	s, err := a.sshState()
	if err != nil {
		return err
	}
	var body struct {
		User string `json:"user"`
		Host string `json:"hostname"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if body.Host == "" {
		return fault.New(fault.Invalid, "hostname is missing")
	}
	answer := struct {
		Host    string      `json:"hostname"`
		Bastion *ca.Bastion `json:"bastion,omitempty"`
	}{Host: body.Host}
	if b := s.Bastion; b != nil && b.Hostname != "" && !strings.EqualFold(b.Hostname, body.Host) {
		answer.Bastion = b
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// sshKRL gives the list of revoked SSH certificates, for RevokedKeys of sshd.
func (a *API) sshKRL(w http.ResponseWriter, r *http.Request) error {
	list, err := a.CA.SSHKRL(r.Context())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(list)
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="revoked.krl"`)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	h.Set("Cache-Control", "no-cache") // keep it, and ask each time whether it is still the one
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(list))
	return nil
}
