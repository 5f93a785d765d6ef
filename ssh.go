package signet

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/crypto/ssh"
)

// SSHPublicKey is an SSH key or certificate as the JSON has it: base64 of its wire form. The
// zero value is null.
type SSHPublicKey struct{ ssh.PublicKey }

// MarshalJSON writes the base64 as a string, or null.
func (k SSHPublicKey) MarshalJSON() ([]byte, error) {
	if k.PublicKey == nil {
		return []byte("null"), nil
	}
	return json.Marshal(k.Marshal())
}

// UnmarshalJSON reads a string; "" and null leave no key.
func (k *SSHPublicKey) UnmarshalJSON(data []byte) error {
	k.PublicKey = nil
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return errors.New("an SSH key is a string")
	}
	if text == "" {
		return nil
	}
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("read SSH key: %w", err)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return fmt.Errorf("read SSH key: %w", err)
	}
	k.PublicKey = key
	return nil
}

// certificate is the certificate that a key is, or nil.
func (k SSHPublicKey) certificate() *ssh.Certificate {
	cert, _ := k.PublicKey.(*ssh.Certificate)
	return cert
}

// SSHSignRequest asks for an SSH certificate: POST /ssh/sign.
type SSHSignRequest struct {
	Key          SSHPublicKey       `json:"publicKey"`
	OTT          string             `json:"ott"`
	Type         string             `json:"certType,omitempty"` // user or host
	KeyID        string             `json:"keyID,omitempty"`
	Principals   []string           `json:"principals"`
	ValidAfter   TimeDuration       `json:"validAfter"`
	ValidBefore  TimeDuration       `json:"validBefore"`
	AddUserKey   *SSHPublicKey      `json:"addUserPublicKey,omitempty"` // for a certificate that adds the account
	Identity     CertificateRequest `json:"identityCSR"`                // for an X.509 certificate of the same proof
	TemplateData json.RawMessage    `json:"templateData,omitempty"`
}

// SSHSignResponse is a new SSH certificate with its companions: the answer of /ssh/sign,
// /ssh/renew and /ssh/rekey.
type SSHSignResponse struct {
	Key           SSHPublicKey  `json:"crt"`
	AddUserKey    SSHPublicKey  `json:"addUserCrt"`
	IdentityChain []Certificate `json:"identityCrt,omitempty"` // leaf first
}

// Certificate is the SSH certificate.
func (r *SSHSignResponse) Certificate() *ssh.Certificate { return r.Key.certificate() }

// AddUser is the certificate that adds an account; nil if there is none.
func (r *SSHSignResponse) AddUser() *ssh.Certificate { return r.AddUserKey.certificate() }

// SSHProofRequest proves the possession of an SSH certificate by a token in whose header it
// stands: POST /ssh/renew and, with a new key, /ssh/rekey.
type SSHProofRequest struct {
	OTT string        `json:"ott"`
	Key *SSHPublicKey `json:"publicKey,omitempty"`
}

// SSHKeys are the keys of an SSH certificate authority: the answer of /ssh/roots and
// /ssh/federation.
type SSHKeys struct {
	User []SSHPublicKey `json:"userKey,omitempty"` // sign users' certificates
	Host []SSHPublicKey `json:"hostKey,omitempty"` // sign hosts' certificates
}

// SSHConfigRequest asks for the files of a machine: POST /ssh/config.
type SSHConfigRequest struct {
	Type string            `json:"type"` // user or host
	Data map[string]string `json:"data,omitempty"`
}

// SSHFile is a file, or a part of one.
type SSHFile struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // snippet, prepend-line, file or directory
	Path    string `json:"path"`
	Comment string `json:"comment"` // what starts a comment in the file
	Content []byte `json:"content"`
}

// SSHBastion is a jump host.
type SSHBastion struct {
	Hostname string `json:"hostname"`
	User     string `json:"user,omitempty"`
	Port     string `json:"port,omitempty"`
	Command  string `json:"cmd,omitempty"`
	Flags    string `json:"flags,omitempty"`
}

// SSHHost is a host with a certificate.
type SSHHost struct {
	ID   string       `json:"hid"`
	Tags []SSHHostTag `json:"host_tags"`
	Name string       `json:"hostname"`
}

// SSHHostTag is something an inventory says about a host.
type SSHHostTag struct {
	ID    string `json:"ID"`
	Name  string `json:"Name"`
	Value string `json:"Value"`
}

// SSHSign asks for an SSH certificate.
func (c *Client) SSHSign(ctx context.Context, request *SSHSignRequest) (*SSHSignResponse, error) {
	return c.issueSSH(ctx, "/ssh/sign", request)
}

// SSHRenew asks for the successor of the host certificate that a token proves.
func (c *Client) SSHRenew(ctx context.Context, token string) (*SSHSignResponse, error) {
	return c.issueSSH(ctx, "/ssh/renew", &SSHProofRequest{OTT: token})
}

// SSHRekey asks for the successor of the host certificate that a token proves, for a new key.
func (c *Client) SSHRekey(ctx context.Context, token string, key ssh.PublicKey) (*SSHSignResponse, error) {
	return c.issueSSH(ctx, "/ssh/rekey", &SSHProofRequest{OTT: token, Key: &SSHPublicKey{key}})
}

func (c *Client) issueSSH(ctx context.Context, path string, request any) (*SSHSignResponse, error) {
	answer := new(SSHSignResponse)
	if err := c.call(ctx, http.MethodPost, path, request, answer); err != nil {
		return nil, err
	}
	if answer.Certificate() == nil {
		return nil, fmt.Errorf("read answer of %s to %s: it holds no SSH certificate", c.base.Host, path)
	}
	return answer, nil
}

// SSHRevoke revokes an SSH certificate by the token in the request. Its serial number is
// decimal.
func (c *Client) SSHRevoke(ctx context.Context, request *RevokeRequest) error {
	return c.call(ctx, http.MethodPost, "/ssh/revoke", request, nil)
}

// SSHRoots fetches the CA's own SSH keys.
func (c *Client) SSHRoots(ctx context.Context) (*SSHKeys, error) {
	answer := new(SSHKeys)
	return answer, c.call(ctx, http.MethodGet, "/ssh/roots", nil, answer)
}

// SSHFederation fetches the SSH keys of the CAs it federates with.
func (c *Client) SSHFederation(ctx context.Context) (*SSHKeys, error) {
	answer := new(SSHKeys)
	return answer, c.call(ctx, http.MethodGet, "/ssh/federation", nil, answer)
}

// SSHConfig fetches the files that make a machine's ssh or sshd trust the CA.
func (c *Client) SSHConfig(ctx context.Context, request *SSHConfigRequest) ([]SSHFile, error) {
	var answer struct {
		User []SSHFile `json:"userTemplates"`
		Host []SSHFile `json:"hostTemplates"`
	}
	err := c.call(ctx, http.MethodPost, "/ssh/config", request, &answer)
	return append(answer.User, answer.Host...), err
}

// SSHCheckHost asks whether a host has a certificate. token says who asks, where a CA wants
// to know; "" says nothing.
func (c *Client) SSHCheckHost(ctx context.Context, principal, token string) (bool, error) {
	request := map[string]string{"type": "host", "principal": principal}
	if token != "" {
		request["token"] = token
	}
	var answer struct {
		Exists bool `json:"exists"`
	}
	err := c.call(ctx, http.MethodPost, "/ssh/check-host", request, &answer)
	return answer.Exists, err
}

// SSHHosts lists the hosts with a certificate.
func (c *Client) SSHHosts(ctx context.Context) ([]SSHHost, error) {
	var answer struct {
		Hosts []SSHHost `json:"hosts"`
	}
	err := c.call(ctx, http.MethodGet, "/ssh/hosts", nil, &answer)
	return answer.Hosts, err
}

// SSHBastion asks for the jump host on a user's way to a host; nil if there is none.
func (c *Client) SSHBastion(ctx context.Context, user, host string) (*SSHBastion, error) {
	request := map[string]string{"user": user, "hostname": host}
	var answer struct {
		Bastion *SSHBastion `json:"bastion"`
	}
	err := c.call(ctx, http.MethodPost, "/ssh/bastion", request, &answer)
	return answer.Bastion, err
}

// SSHKRL fetches the list of revoked SSH certificates, in OpenSSH's format.
func (c *Client) SSHKRL(ctx context.Context) ([]byte, error) {
	return c.exchange(ctx, c.http, &ask{method: http.MethodGet, path: "/ssh/krl", limit: maxCRL})
}
