package acme

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/store"
)

// A nonce is made without writing anything down:
//
//	version (1) ‖ day of its key (2) ‖ Unix seconds (5) ‖ random (11) ‖ HMAC-SHA256, truncated (16)
//
// The key is derived from the secret of the CA for each day, so that every server knows it
// and the store does not (version 2). A CA that has no secret at hand keeps a key for each
// day in the store (version 1), as releases before did. A nonce is used up twice: in the memory of the process, at once and whatever it
// is used for; and in the store, in the commit of what it changes. A request that changes
// nothing may so be repeated on another server, and does no harm there.
const (
	nonceStored  = 1 // version whose key is in the store
	nonceDerived = 2
	nonceBody    = 1 + 2 + 5 + 11
	nonceMAC     = 16
	nonceLife    = time.Hour
	nonceSkew    = 2 * time.Minute
	nonceMemory  = 1 << 20 // used nonces remembered in each half of the memory
)

type nonces struct {
	store *store.Store

	mu       sync.Mutex
	keys     map[int64][]byte // of the store, by day
	vault    *keys.Vault      // that derived is from
	derived  map[int64][][]byte
	looked   time.Time // when the store was last asked for a key we lack
	used     map[nonceID]struct{}
	earlier  map[nonceID]struct{} // those before that, which may be forgotten next
	since    time.Time            // when used began
	accepted time.Time            // nonces made before this are refused: their use may be forgotten
}

// nonceID is the random part.
type nonceID [11]byte

// usedNonce is a nonce that this process has used up.
type usedNonce struct {
	madeAt time.Time
	text   string // its random part
}

func newNonces(s *store.Store) *nonces {
	return &nonces{store: s, keys: map[int64][]byte{}, used: map[nonceID]struct{}{}, since: time.Now()}
}

func dayOf(t time.Time) int64 { return t.Unix() / 86400 }

// make gives a new nonce.
func (n *nonces) make(ctx context.Context, v *keys.Vault, now time.Time) (string, error) {
	day := dayOf(now)
	var raw [nonceBody + nonceMAC]byte
	var key []byte
	if derived := n.derive(v, day); len(derived) > 0 {
		raw[0], key = nonceDerived, derived[0]
	} else {
		var err error
		raw[0] = nonceStored
		if key, err = n.todaysKey(ctx, day); err != nil {
			return "", err
		}
	}
	binary.BigEndian.PutUint16(raw[1:], uint16(day))
	putSeconds(raw[3:8], now.Unix())
	_, _ = rand.Read(raw[8:nonceBody]) // crypto/rand never fails
	copy(raw[nonceBody:], nonceSum(key, raw[:nonceBody]))
	return base64.RawURLEncoding.EncodeToString(raw[:]), nil
}

// derive gives the keys of a day: the first one makes nonces, all of them check. There are
// several after the secret of the CA has changed.
func (n *nonces) derive(v *keys.Vault, day int64) [][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.vault != v || n.derived == nil || len(n.derived) > 4 {
		n.vault, n.derived = v, map[int64][][]byte{}
	}
	all, have := n.derived[day]
	if !have {
		all = v.Derive("ACME nonces of day " + strconv.FormatInt(day, 10))
		n.derived[day] = all
	}
	return all
}

func putSeconds(to []byte, s int64) {
	to[0] = byte(s >> 32)
	binary.BigEndian.PutUint32(to[1:], uint32(s))
}

func nonceSum(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return mac.Sum(nil)[:nonceMAC]
}

// use uses a nonce up. Whatever is wrong with it is a badNonce, so that clients come back
// with the one in the answer.
func (n *nonces) use(ctx context.Context, v *keys.Vault, text *string, now time.Time) (*usedNonce, error) {
	if text == nil || *text == "" {
		return nil, badNonce("the protected header has no nonce")
	}
	if len(*text) != base64.RawURLEncoding.EncodedLen(nonceBody+nonceMAC) { // also where a line break is in it
		return nil, badNonce("the nonce is not one of this CA")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(*text)
	if err != nil || len(raw) != nonceBody+nonceMAC || raw[0] != nonceStored && raw[0] != nonceDerived {
		return nil, badNonce("the nonce is not one of this CA")
	}
	made := time.Unix(int64(raw[3])<<32|int64(binary.BigEndian.Uint32(raw[4:])), 0)
	if made.After(now.Add(nonceSkew)) || now.Sub(made) > nonceLife {
		return nil, badNonce("the nonce is too old")
	}
	// A day is written in 16 bits; which one is meant follows from the time beside it.
	day := dayOf(made)
	if uint16(day) != binary.BigEndian.Uint16(raw[1:]) {
		return nil, badNonce("the nonce is not one of this CA")
	}
	candidates := n.derive(v, day)
	if raw[0] == nonceStored {
		key, err := n.key(ctx, day, now)
		if err != nil {
			return nil, err
		}
		candidates = [][]byte{key}
	}
	if !slices.ContainsFunc(candidates, func(key []byte) bool {
		return key != nil && hmac.Equal(nonceSum(key, raw[:nonceBody]), raw[nonceBody:])
	}) {
		return nil, badNonce("the nonce is not one of this CA")
	}
	if !n.remember(nonceID(raw[8:nonceBody]), made, now) {
		return nil, badNonce("the nonce has been used already")
	}
	return &usedNonce{madeAt: made, text: base64.RawURLEncoding.EncodeToString(raw[8:nonceBody])}, nil
}

// remember notes that a nonce is used; false if it was before, or if that might have been
// forgotten.
func (n *nonces) remember(id nonceID, made, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.used) >= nonceMemory || now.Sub(n.since) > nonceLife+nonceSkew {
		if len(n.earlier) > 0 && now.Sub(n.since) <= nonceLife+nonceSkew {
			n.accepted = n.since // what was used before that is forgotten now
		}
		n.earlier, n.used, n.since = n.used, map[nonceID]struct{}{}, now
	}
	if made.Before(n.accepted) {
		return false
	}
	if _, there := n.used[id]; there {
		return false
	}
	if _, there := n.earlier[id]; there {
		return false
	}
	n.used[id] = struct{}{}
	return true
}

// todaysKey is the key of a day, which is made if no server has made it yet.
func (n *nonces) todaysKey(ctx context.Context, day int64) ([]byte, error) {
	n.mu.Lock()
	key := n.keys[day]
	n.mu.Unlock()
	if key != nil {
		return key, nil
	}
	if err := n.load(ctx); err != nil {
		return nil, err
	}
	n.mu.Lock()
	key = n.keys[day]
	n.mu.Unlock()
	if key != nil {
		return key, nil
	}
	fresh := make([]byte, sha256.Size)
	_, _ = rand.Read(fresh) // crypto/rand never fails
	err := n.store.Update(ctx, func(tx *store.Tx) error { return tx.AddACMENonceKey(day, fresh) })
	if err != nil && !errors.Is(err, store.ErrExists) {
		return nil, err
	}
	if err := n.load(ctx); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.keys[day] == nil {
		return nil, fmt.Errorf("the key of nonces of day %d is gone", day)
	}
	return n.keys[day], nil
}

// key finds the key of a nonce; nil if there is none. Nonces of another server may be made
// with one that this server has not seen yet.
func (n *nonces) key(ctx context.Context, day int64, now time.Time) ([]byte, error) {
	n.mu.Lock()
	key := n.keys[day]
	ask := key == nil && now.Sub(n.looked) > time.Second // or forged nonces would cost a query each
	if ask {
		n.looked = now
	}
	n.mu.Unlock()
	if !ask {
		return key, nil
	}
	if err := n.load(ctx); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.keys[day], nil
}

func (n *nonces) load(ctx context.Context) error {
	var keys map[int64][]byte
	err := n.store.View(ctx, func(tx *store.Tx) (err error) {
		keys, err = tx.ACMENonceKeys()
		return err
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keys = keys
	return nil
}
