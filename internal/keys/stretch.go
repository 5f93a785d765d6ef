package keys

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"hash"
)

// stretch is PBKDF2 with HMAC-SHA-256 (RFC 8018, Section 5.2), with the same result as
// crypto/pbkdf2 in two thirds of its time. That time is most of what the start of a server
// takes. Each HMAC of the chain is over 32 bytes, so it is two calls of the compression
// function on blocks whose padding never changes; the standard library pads anew each time.
// Keys longer than a digest, which no cipher of PBES2 has, are left to it.
func stretch(password, salt []byte, iterations, keyLen int) ([]byte, error) {
	if keyLen > sha256.Size {
		return pbkdf2.Key(sha256.New, string(password), salt, iterations, keyLen)
	}
	first, err := pbkdf2.Key(sha256.New, string(password), salt, 1, sha256.Size)
	if err != nil {
		return nil, err
	}
	c, err := newChain(password)
	if err != nil {
		return nil, err
	}
	link := c.block[:sha256.Size]
	copy(link, first)
	for range iterations - 1 {
		if err := c.next(); err != nil {
			return nil, err
		}
		subtle.XORBytes(first, first, link)
	}
	clear(c.block[:])
	return first[:keyLen], nil
}

// chain computes HMACs of the one before.
type chain struct {
	state        resumable
	inner, outer []byte                 // the state after the key's block
	block        [sha256.BlockSize]byte // 32 bytes of message and the padding of 96
	scratch      [2 * sha256.BlockSize]byte
}

// resumable is what hashes of the standard library can do.
type resumable interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// A marshalled state is a magic of four bytes, then the chaining value.
const chainingValue = 4

func newChain(password []byte) (*chain, error) {
	if len(password) > sha256.BlockSize { // RFC 2104, Section 2
		sum := sha256.Sum256(password)
		password = sum[:]
	}
	c := &chain{state: sha256.New().(resumable)}
	c.block[sha256.Size] = 0x80
	binary.BigEndian.PutUint64(c.block[sha256.BlockSize-8:], 8*(sha256.BlockSize+sha256.Size))
	var err error
	if c.inner, err = c.keyed(password, 0x36); err != nil {
		return nil, err
	}
	c.outer, err = c.keyed(password, 0x5c)
	return c, err
}

// keyed is the state after the key's block, each byte of it changed by pad.
func (c *chain) keyed(key []byte, pad byte) ([]byte, error) {
	var block [sha256.BlockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	c.state.Reset()
	c.state.Write(block[:])
	return c.state.AppendBinary(nil)
}

// next puts the HMAC of the block's message in its place.
func (c *chain) next() error {
	for _, from := range [...][]byte{c.inner, c.outer} {
		if err := c.state.UnmarshalBinary(from); err != nil {
			return err
		}
		c.state.Write(c.block[:])
		state, err := c.state.AppendBinary(c.scratch[:0])
		if err != nil {
			return err
		}
		copy(c.block[:], state[chainingValue:chainingValue+sha256.Size])
	}
	return nil
}
