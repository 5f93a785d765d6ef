package ca

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/krl"
	"github.com/signet-ca/signet/internal/store"
)

// keyCompromise is a reason of RFC 5280, Section 5.3.1.
const keyCompromise = 1

// krlFresh is how long a list is given out before the revocations are read again, which
// another server on the same database may have added to.
const krlFresh = 5 * time.Second

// krlCache keeps the latest list of SSH revocations. The zero value is empty.
type krlCache struct {
	mu   sync.Mutex
	data []byte
	made time.Time
}

// drop makes the next caller get a new list.
func (k *krlCache) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.data = nil
}

// SSHKRL is the list of revoked SSH certificates in OpenSSH's format. Equal revocations
// give equal bytes, on every server of this CA.
func (c *CA) SSHKRL(ctx context.Context) ([]byte, error) {
	s := c.state.Load().SSH
	if s == nil {
		return nil, fault.New(fault.Missing, "this CA is not configured for SSH")
	}
	s.krl.mu.Lock()
	defer s.krl.mu.Unlock()
	now := time.Now()
	if s.krl.data != nil && now.Sub(s.krl.made) < krlFresh {
		return s.krl.data, nil
	}
	list, err := c.revokedSSH(ctx, s, now)
	if err != nil {
		return nil, fmt.Errorf("read the SSH revocations: %w", err)
	}
	s.krl.data, s.krl.made = list.Marshal(), now
	return s.krl.data, nil
}

// revokedSSH gathers what is revoked: certificates by serial number under each of our keys
// that may have signed them, and compromised keys by their hash, whatever certifies them.
func (c *CA) revokedSSH(ctx context.Context, s *SSHState, now time.Time) (*krl.List, error) {
	var users, hosts, unknown []uint64
	list := &krl.List{Comment: "revoked SSH certificates"}
	err := c.store.View(ctx, func(tx *store.Tx) error {
		users, hosts, unknown, list.Keys, list.Generated = nil, nil, nil, nil, time.Time{}
		for r, err := range tx.Revocations("ssh") {
			if err != nil {
				return err
			}
			if r.RevokedAt.After(list.Generated) {
				list.Generated = r.RevokedAt
			}
			serial, err := strconv.ParseUint(r.Serial, 16, 64)
			if err != nil {
				return fmt.Errorf("the stored serial number %q is no SSH serial number: %w", r.Serial, err)
			}
			if r.ReasonCode == keyCompromise {
				if err := addKeyHash(tx, list, r.Serial); err != nil {
					return err
				}
			}
			if !r.ExpiresAt.IsZero() && now.After(r.ExpiresAt.Add(listedPastExpiry)) {
				continue
			}
			switch r.Type {
			case "ssh-user":
				users = append(users, serial)
			case "ssh-host":
				hosts = append(hosts, serial)
			default:
				unknown = append(unknown, serial)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list.Version = uint64(max(list.Generated.Unix(), 0))
	for _, part := range []struct {
		keys    []ssh.PublicKey
		serials []uint64
	}{{s.UserKeys, users}, {s.HostKeys, hosts}, {s.UserKeys, unknown}, {s.HostKeys, unknown}} {
		for _, key := range part.keys {
			if len(part.serials) > 0 {
				list.CAs = append(list.CAs, krl.Certificates{CA: key, Serials: part.serials})
			}
		}
	}
	return list, nil
}

// addKeyHash lists the key of a certificate. A key in wrong hands is in wrong hands for
// good, so it stays listed when the certificate has expired.
func addKeyHash(tx *store.Tx, list *krl.List, serial string) error {
	record, err := tx.Certificate("ssh", serial)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var hash [32]byte
	if n, err := hex.Decode(hash[:], []byte(record.KeyID)); err != nil || n != len(hash) {
		return fmt.Errorf("the stored key ID of certificate %s is no SHA-256", serial)
	}
	list.Keys = append(list.Keys, hash)
	return nil
}
