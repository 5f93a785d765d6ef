package provisioner

import (
	"cmp"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// List holds the provisioners of one CA in their configured order. Immutable after load.
type List struct {
	all       []*Provisioner
	ids       map[string]*Provisioner
	names     map[string]*Provisioner
	tokens    map[string]*Provisioner
	encrypted map[string]string // key ID → encrypted private key
	audiences *Audiences
}

// NewList indexes opened provisioners. Names, record IDs and what tokens select by must be
// unique; all duplicates are reported at once.
func NewList(all []*Provisioner, audiences *Audiences) (*List, error) {
	l := &List{all: all, audiences: audiences,
		ids: map[string]*Provisioner{}, names: map[string]*Provisioner{},
		tokens: map[string]*Provisioner{}, encrypted: map[string]string{}}
	var errs []error
	for _, p := range all {
		id := cmp.Or(p.ID, p.TokenID())
		switch {
		case l.names[p.Name] != nil:
			errs = append(errs, fault.New(fault.Invalid, "two provisioners are called %q; names must be unique", p.Name))
		case l.tokens[p.TokenID()] != nil:
			errs = append(errs, fault.New(fault.Invalid, "the provisioners %q and %q cannot be told apart: tokens select both by %q", l.tokens[p.TokenID()].Name, p.Name, p.TokenID()))
		case l.ids[id] != nil:
			errs = append(errs, fault.New(fault.Invalid, "the provisioners %q and %q have the same record ID %q", l.ids[id].Name, p.Name, id))
		}
		l.names[p.Name], l.tokens[p.TokenID()], l.ids[id] = p, p, p
		if j, ok := p.kind.(*JWK); ok && j.EncryptedKey != "" && j.Key.JWK != nil {
			l.encrypted[j.Key.KeyID] = j.EncryptedKey
		}
	}
	return l, errors.Join(errs...)
}

// All gives the provisioners in their configured order.
func (l *List) All() []*Provisioner { return l.all }

// ByID finds a provisioner by its record ID; nil if there is none.
func (l *List) ByID(id string) *Provisioner { return l.ids[id] }

// ByName finds a provisioner by its name; nil if there is none.
func (l *List) ByName(name string) *Provisioner { return l.names[name] }

// EncryptedKey is the encrypted private key of the JWK provisioner with this key ID.
func (l *List) EncryptedKey(kid string) (string, bool) {
	key, ok := l.encrypted[kid]
	return key, ok
}

// ByToken finds the provisioner an unverified token is addressed to: by the fragment of its
// audience, by issuer and key ID, or by what an identity provider's token carries.
func (l *List) ByToken(t *Token) (*Provisioner, error) {
	if p := l.byToken(t); p != nil {
		return p, nil
	}
	return nil, fault.New(fault.Unproven, "no provisioner of this CA matches the token's issuer, key ID and audience")
}

func (l *List) byToken(t *Token) *Provisioner {
	fragment := fragmentOf(t.Audience)
	if l.audiences.Known(t.Audience, fragment) {
		if fragment != "" {
			return l.tokens[fragment]
		}
		if p := l.tokens[t.Issuer+":"+t.KeyID]; p != nil {
			return p
		}
		return l.tokens["k8ssa/"+t.Issuer] // a cluster's token made out to us
	}
	if t.Issuer == legacyKubernetes {
		return l.tokens["k8ssa/k8sSA-default"]
	}
	if p := l.tokens["k8ssa/"+t.Issuer]; p != nil {
		return p
	}
	if len(t.Audience) == 0 {
		return nil
	}
	if p := l.tokens[t.AuthorizedParty]; t.AuthorizedParty != "" && p != nil {
		return p
	}
	first := l.tokens[t.Audience[0]]
	if t.TenantID != "" && (t.Email == "" || first == nil) {
		if p := l.tokens[t.TenantID]; p != nil {
			return p
		}
	}
	return first
}

// Bounds of one page of a listing.
const (
	defaultPage = 20
	maxPage     = 100
)

// Page lists provisioners from a cursor on and gives the cursor of the next page, "" on the
// last. The cursor names the first item of a page; an unknown one is a lower bound.
func (l *List) Page(cursor string, limit int) (page []*Provisioner, next string) {
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	from := strings.Repeat("0", max(0, 40-len(cursor))) + strings.ToLower(cursor)
	start := 0
	if cursor != "" {
		start, _ = slices.BinarySearchFunc(l.all, from, func(p *Provisioner, at string) int {
			return cmp.Compare(l.sortKey(p), at)
		})
	}
	end := min(start+limit, len(l.all))
	if end < len(l.all) {
		next = strings.TrimLeft(l.sortKey(l.all[end]), "0")
	}
	return l.all[start:end], next
}

// sortKey is 8 hex digits of the position, then 32 of the ID's hash, as old clients know it.
func (l *List) sortKey(p *Provisioner) string {
	var key [20]byte
	binary.BigEndian.PutUint32(key[:4], uint32(slices.Index(l.all, p)))
	sum := sha1.Sum([]byte(cmp.Or(p.ID, p.TokenID())))
	copy(key[4:], sum[4:])
	return hex.EncodeToString(key[:])
}

// Selects reports whether an unverified token of a cloud names this provisioner.
func (p *Provisioner) Selects(t *Token) bool {
	id := p.TokenID()
	return id == fragmentOf(t.Audience) || id == t.TenantID && id != ""
}
