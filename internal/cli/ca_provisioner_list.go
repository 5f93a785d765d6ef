package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"time"
)

// provisionerList is the public form of all provisioners, as the CA sent it.
type provisionerList []json.RawMessage

// Text is an array indented by three spaces: scripts compare it.
func (l provisionerList) Text() string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "   ")
	if err := encoder.Encode([]json.RawMessage(l)); err != nil {
		return "" // what the CA sent was JSON already
	}
	return b.String()
}

func caProvisionerList() *command {
	var ca caFlags
	return &command{
		short: "list the provisioners of a CA",
		long: `Prints the provisioners of a CA as a JSON array. Its items have the members that the
			configuration file has, without those that are secret.`,
		examples: []example{
			{"Print all provisioners", "signet ca provisioner list"},
			{"Print the names alone", "signet ca provisioner list | jq -r '.[].name'"},
		},
		flags:   ca.register,
		context: contextMust,
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			client, err := ca.client(env)
			if err != nil {
				return nil, err
			}
			all, err := client.Provisioners(ctx)
			if err != nil {
				return nil, err
			}
			if all == nil {
				all = []json.RawMessage{}
			}
			return provisionerList(all), nil
		},
	}
}

// encryptedKeyResult is the private key of a JWK provisioner, under its password.
type encryptedKeyResult struct {
	Key string `json:"key" help:"the encrypted key, a JWE in compact form"`
}

func (r *encryptedKeyResult) Text() string { return printable(r.Key) }

func caProvisionerKey() *command {
	var ca caFlags
	return &command{
		short:    "print the encrypted private key of a JWK provisioner",
		long:     "Prints the private key of the JWK provisioner with this key ID, encrypted under the provisioner's password, as a JWE in compact form.",
		args:     []arg{need("kid", "ID of the key, as in the list of provisioners")},
		examples: []example{{"Decrypt the key", "signet ca provisioner jwe-key $KID | signet crypto jwe decrypt"}},
		flags:    ca.register,
		context:  contextMust,
		result:   &encryptedKeyResult{},
		complete: func(ctx context.Context, env *Env, args []string) []string {
			if len(args) > 0 {
				return nil
			}
			return ca.proposals(ctx, env, func(p *proposedProvisioner) string { return p.Key.ID })
		},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			client, err := ca.client(env)
			if err != nil {
				return nil, err
			}
			key, err := client.EncryptedKey(ctx, args[0])
			if err != nil {
				return nil, err
			}
			return &encryptedKeyResult{key}, nil
		},
	}
}

// proposedProvisioner is what completion needs of a provisioner.
type proposedProvisioner struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Key  struct {
		ID string `json:"kid"`
	} `json:"key"`
}

// completionPatience is how long a shell waits for a CA.
const completionPatience = 2 * time.Second

// provisionerNames proposes the names of the CA's provisioners to the shell.
func (c *caFlags) provisionerNames(ctx context.Context, env *Env) []string {
	return c.proposals(ctx, env, func(p *proposedProvisioner) string { return p.Name })
}

func (c *caFlags) proposals(ctx context.Context, env *Env, pick func(*proposedProvisioner) string) []string {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	client, err := c.client(env)
	if err != nil {
		return nil
	}
	all, err := client.Provisioners(ctx)
	if err != nil {
		return nil
	}
	var proposals []string
	for _, raw := range all {
		var p proposedProvisioner
		if json.Unmarshal(raw, &p) == nil && pick(&p) != "" {
			proposals = append(proposals, printable(pick(&p))+"\t"+printable(p.Type))
		}
	}
	return proposals
}
